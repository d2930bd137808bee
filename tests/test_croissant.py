"""Croissant: the document of a prepared version is valid, and its reader finds the values that we load."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import math
import shutil
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

import ailab_dataproc as adp
from ailab_dataproc.cli import cli
from ailab_dataproc.columns import column
from ailab_dataproc.croissant import metadata, write
from ailab_dataproc.errors import StorageFailed
from ailab_dataproc.manifest import open_prepared
from ailab_dataproc.storage import folder
from ailab_dataproc.testing import edge_cases, prepare_tables
from ailab_dataproc.verify import verify_version

mlcroissant = pytest.importorskip("mlcroissant", reason="the croissant extra isn't installed")

UNSAID = ["duration", "duration_or_null"]
# mlcroissant reads through pandas and NumPy: an integer beside null is a float (beyond 2**53 another one), a null
# struct one of nulls, a time in a list has no zone, and a zone's own time before 1900 is another. Ours is as written.
BENT = ["big_or_null", "unsigned_or_null", "code_or_null", "place_or_null", "moments", "abroad_or_null", "far_or_null"]
EXACT = edge_cases().drop_columns(UNSAID + BENT)


def opened(place, name="testing/tables"):
    return open_prepared(folder(place), name)


def saved(place, name="testing/tables", **given):
    """Prepare tables, and write the document beside the version's folder."""
    prepare_tables(place, given.pop("splits"), name=name, **given)
    return write(opened(place, name), f"{place}/{name}/croissant.json")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A data directory with a version of nearly all types: two shards of train, one of test."""
    place = str(tmp_path_factory.mktemp("lab"))
    saved(place, splits={"train": [EXACT, EXACT.slice(1)], "test": [EXACT]})
    return place


@pytest.fixture(scope="module")
def read(lab):
    """What mlcroissant reads, by split."""
    dataset = mlcroissant.Dataset(f"{lab}/testing/tables/croissant.json")
    return {split: list(dataset.records(split)) for split in ("train", "test")}


def plain(value):
    """What mlcroissant hands out, as Python's own values with short keys."""
    if isinstance(value, dict):
        return {key.rpartition("/")[2]: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and math.isnan(value) else value  # pandas has one word for both


def seen(wanted):
    """Our value as mlcroissant hands it out: text as UTF-8, a day as a time, a decimal as a float, NaN as null."""
    if isinstance(wanted, list):
        return [seen(one) for one in wanted]
    if isinstance(wanted, dict):
        return {key: seen(one) for key, one in wanted.items()}
    if isinstance(wanted, str):
        return wanted.encode()
    if isinstance(wanted, Decimal):
        return float(wanted)
    if isinstance(wanted, dt.date) and not isinstance(wanted, dt.datetime):
        return dt.datetime.combine(wanted, dt.time())
    return None if isinstance(wanted, float) and math.isnan(wanted) else wanted


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("name", EXACT.schema.names)
def test_the_reader_finds_our_values(lab, read, split, name):
    ours = adp.load("testing/tables", split=split, columns=[name], backend="arrow", data_dir=lab)
    assert [plain(row[f"{split}/{name}"]) for row in read[split]] == seen(ours[name].to_pylist())


def test_a_document_of_all_types_is_valid(tmp_path):
    document = saved(tmp_path, splits={"train": [edge_cases()]}, license="CC0", citation="us", description="All types.")
    assert mlcroissant.Dataset(document).metadata.ctx.issues.report() == ""


def test_a_document_says_what_the_manifest_says(tmp_path):
    rows = pa.table([[1.5]], schema=pa.schema([column("price", pa.float32(), "winning bid", unit="JPY")]))
    document = saved(
        tmp_path,
        name="shop/bids",
        splits={"train": [rows]},
        owner="ads-team",
        description="Bids.",
        license="private",
        citation="cite us",
        homepage="https://example.org/bids",
    )
    found = mlcroissant.Dataset(document).metadata
    assert (found.name, found.description, found.version, found.license) == ("shop/bids", "Bids.", "1.0.0", ["private"])
    assert (found.cite_as, found.url, found.creators[0].name) == ("cite us", "https://example.org/bids", "ads-team")
    assert found.record_sets[0].fields[0].description == "winning bid; unit: JPY"


def test_each_file_has_its_checksum_and_size(lab):
    version = f"{lab}/testing/tables/1.0.0"
    files = [one for one in metadata(opened(lab))["distribution"] if one["@type"] == "cr:FileObject"]
    assert len(files) == 3
    for one in files:
        content = Path(one["contentUrl"]).read_bytes()
        assert one["contentUrl"].startswith(version)
        assert one["sha256"] == hashlib.sha256(content).hexdigest()
        assert one["contentSize"] == f"{len(content)} B"


def test_the_document_and_its_data_may_move_together(lab, tmp_path):
    shutil.copytree(f"{lab}/testing", tmp_path / "elsewhere")
    moved = mlcroissant.Dataset(str(tmp_path / "elsewhere/tables/croissant.json"))
    assert len(list(moved.records("train"))) == 7
    assert len(list(moved.records("test"))) == 4


def test_a_changed_file_is_told_by_its_checksum(tmp_path):
    document = saved(tmp_path, splits={"train": [EXACT]})
    shard = tmp_path / "testing/tables/1.0.0/parquet/train-00000-of-00001.parquet"
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    with pytest.raises(mlcroissant.GenerationError) as caught:
        list(mlcroissant.Dataset(document).records("train"))
    assert "Hash of downloaded file" in str(caught.value.__cause__)


def test_a_type_without_words_is_named_and_no_field(tmp_path):
    prepare_tables(tmp_path, {"train": [edge_cases()]})
    (found,) = metadata(opened(tmp_path))["recordSet"]
    assert not {one["name"] for one in found["field"]} & set(UNSAID)
    assert "duration is not a field here: Croissant has no words for duration[us]." in found["description"]


class TestPersonalData:
    """A column with personal data is named; its values are not handed out, unless somebody says so."""

    @pytest.fixture
    def place(self, tmp_path):
        schema = pa.schema([column("mail", pa.string(), "where to write", pii=True), column("n", pa.int64())])
        prepare_tables(tmp_path, {"train": [pa.table([["a@example.org"], [1]], schema=schema)]})
        return str(tmp_path)

    def test_it_is_named_and_no_field(self, place):
        found = metadata(opened(place))
        assert found["rai:personalSensitiveInformation"] == ["mail"]
        assert [one["name"] for one in found["recordSet"][0]["field"]] == ["n"]
        assert "mail is not a field here: it holds personal data" in found["recordSet"][0]["description"]

    def test_the_reader_gets_no_value_of_it(self, place):
        document = write(opened(place), f"{place}/croissant.json")
        assert list(mlcroissant.Dataset(document).records("train")) == [{"train/n": 1}]
        assert mlcroissant.Dataset(document).metadata.personal_sensitive_information == ["mail"]

    def test_it_is_a_field_where_that_is_allowed(self, place):
        document = write(opened(place), f"{place}/croissant.json", allow_pii=True)
        (row,) = mlcroissant.Dataset(document).records("train")
        assert row["train/mail"] == b"a@example.org"

    def test_a_version_of_nothing_else_is_valid(self, tmp_path):
        schema = pa.schema([column("mail", pa.string(), pii=True)])
        document = saved(tmp_path, name="all/personal", splits={"train": [pa.table([["x"]], schema=schema)]})
        assert mlcroissant.Dataset(document).metadata.record_sets == []


def test_encoded_images_come_as_images(tmp_path):
    image = pytest.importorskip("PIL.Image")
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    stream = io.BytesIO()
    image.fromarray(pixels).save(stream, "png")
    schema = pa.schema([column("picture", pa.binary(), shape=(2, 2, 3))])
    document = saved(tmp_path, splits={"train": [pa.table([[stream.getvalue()]], schema=schema)]})
    (row,) = mlcroissant.Dataset(document).records("train")
    assert np.array_equal(np.asarray(row["train/picture"]), pixels)


def test_labels_are_an_enumeration_that_its_column_refers_to(tmp_path):
    schema = pa.schema([column("kind", pa.int8(), labels=["cat", "dog"], nullable=True), column("n", pa.int64())])
    rows = pa.table([pa.array([1, None, -1, 0], pa.int8()), [1, 2, 3, 4]], schema=schema)
    dataset = mlcroissant.Dataset(saved(tmp_path, splits={"train": [rows, rows], "test": [rows]}))
    labels = [{key.rpartition("/")[2]: value for key, value in row.items()} for row in dataset.records("kind-labels")]
    assert labels == [{"number": 0, "label": "cat"}, {"number": 1, "label": "dog"}]
    for split, times in (("train", 2), ("test", 1)):
        found = [(row[f"{split}/kind"], row[f"{split}/n"]) for row in dataset.records(split)]
        assert found == [(1, 1), (None, 2), (-1, 3), (0, 4)] * times


def test_two_columns_may_have_labels(tmp_path):
    one, two = column("one", pa.int64(), labels=["a", "b"]), column("two", pa.int64(), labels=["a", "b", "c"])
    rows = pa.table([[0, 1, 1], [2, 2, 0]], schema=pa.schema([one, two]))
    dataset = mlcroissant.Dataset(saved(tmp_path, splits={"train": [rows, rows]}))
    assert [list(row.values()) for row in dataset.records("train")] == [[0, 2], [1, 2], [1, 0]] * 2


def test_labels_and_shapes_stand_in_the_description(tmp_path):
    columns = [
        column("kind", pa.int8(), "what it is", labels=["cat", "dog"]),
        column("grid", pa.list_(pa.uint8(), 6), shape=(2, 3)),
    ]
    prepare_tables(tmp_path, {"train": [pa.table([[1], [[0] * 6]], schema=pa.schema(columns))]})
    kind, grid = metadata(opened(tmp_path))["recordSet"][1]["field"]
    assert kind["description"] == "what it is; labels: 0 cat, 1 dog"
    assert grid["description"] == "an array of 2 x 3 in row-major order"
    assert grid["arrayShape"] == "6"  # as the files hold it


def test_names_may_hold_anything(tmp_path):
    inner = pa.struct([("it's", pa.int64()), ('a "b"', pa.int64()), ("価格", pa.int64()), ("where", pa.int64())])
    names = ["two words", "価格", "100%", 'a"b', "<x>", "a#b?c", "{y}", "back\\slash"]
    schema = pa.schema([*(column(name, pa.int64()) for name in names), column("in", inner)])
    nested = {"it's": 7, 'a "b"': 8, "価格": 9, "where": 10}
    document = saved(tmp_path, splits={"train": [pa.table([*([i] for i in range(8)), [nested]], schema=schema)]})
    dataset = mlcroissant.Dataset(document)
    (row,) = dataset.records("train")
    ids = {one.uuid: one.name for one in dataset.metadata.record_sets[0].fields}
    assert [ids[key] for key in row] == [*names, "in"]
    assert list(row.values()) == [*range(8), dict(zip(row["train/in"], [7, 8, 9, 10], strict=True))]


@pytest.mark.parametrize(
    "type_",
    [
        pa.list_(pa.list_(pa.struct([("x", pa.int64())]))),
        pa.struct([("deep", pa.list_(pa.struct([("x", pa.int64())])))]),
        pa.struct([("both ' and \"", pa.int64())]),
        pa.struct([("time", pa.duration("s"))]),
    ],
)
def test_a_nesting_without_words_is_left_out(tmp_path, type_):
    rows = pa.table([[1], pa.nulls(1, type_)], schema=pa.schema([column("n", pa.int64()), pa.field("deep", type_)]))
    document = saved(tmp_path, splits={"train": [rows]})
    assert list(mlcroissant.Dataset(document).records("train")) == [{"train/n": 1}]


def test_a_struct_in_a_struct_keeps_its_values(tmp_path):
    type_ = pa.struct([("a", pa.struct([("b", pa.list_(pa.int64()))])), ("c", pa.int64())])
    rows = pa.table([[{"a": {"b": [1, 2]}, "c": 3}]], schema=pa.schema([column("s", type_)]))
    (row,) = mlcroissant.Dataset(saved(tmp_path, splits={"train": [rows]})).records("train")
    assert plain(row)["a"] == {"b": [1, 2]}
    assert plain(row)["s"]["c"] == 3


def test_a_version_in_a_bucket_is_described_there(bucket, gcs):
    rows = pa.table({"n": [1, 2]}, schema=pa.schema([column("n", pa.int64())]))
    prepare_tables(bucket, {"train": [rows]})
    place = folder(bucket, gcs.options)
    written = write(open_prepared(place, "testing/tables"), f"{bucket}/testing/tables/croissant.json")
    (file,) = json.loads(place.read("testing/tables/croissant.json"))["distribution"]
    assert written == f"{bucket}/testing/tables/croissant.json"
    assert file["contentUrl"] == f"{bucket}/testing/tables/1.0.0/parquet/train-00000-of-00001.parquet"


class TestCommand:
    """`ailab-dataproc croissant`."""

    def call(self, *words):
        return CliRunner().invoke(cli, ["croissant", *map(str, words)])

    def test_it_prints_a_valid_document(self, lab, tmp_path):
        done = self.call("testing/tables", "--data-dir", lab)
        (tmp_path / "printed.json").write_text(done.stdout)
        assert len(list(mlcroissant.Dataset(str(tmp_path / "printed.json")).records("test"))) == 4

    def test_it_writes_a_file_and_says_where(self, lab, tmp_path):
        done = self.call("testing/tables:1.0.0", "--data-dir", lab, "-o", tmp_path / "new/croissant.json")
        assert done.stdout.strip() == str(tmp_path / "new/croissant.json")
        assert json.loads((tmp_path / "new/croissant.json").read_text())["version"] == "1.0.0"

    def test_a_web_address_stands_before_each_file(self, lab):
        found = json.loads(
            self.call("testing/tables", "--data-dir", lab, "--url", "https://data.example.org/t/").stdout
        )
        assert found["distribution"][0]["contentUrl"].startswith("https://data.example.org/t/parquet/t")

    def test_the_version_stays_as_it_was(self, lab):
        assert self.call("testing/tables", "--data-dir", lab, "-o", f"{lab}/testing/tables/again.json").exit_code == 0
        assert list(verify_version(opened(lab))) == []

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (["testing/tabels"], "no dataset 'testing/tabels'. Did you mean 'testing/tables'?"),
            (["testing/tables:2.0.0"], "testing/tables: no version '2.0.0'."),
            (["image_classification/digits"], "nothing is prepared in"),
            (["testing/tables", "-o", "/proc/none/x.json"], "/proc/none/x.json: can't write it"),
        ],
    )
    def test_wrong_input_is_one_sentence(self, lab, words, told):
        done = self.call(*words, "--data-dir", lab)
        assert done.exit_code == 2
        assert told in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1

    def test_a_folder_as_output_is_refused(self, lab, tmp_path):
        with pytest.raises(StorageFailed, match=r"is a folder, wanted a file\. Write .*/croissant\.json"):
            write(opened(lab), str(tmp_path))

    def test_the_versions_own_folder_as_output_is_refused(self, lab):
        with pytest.raises(StorageFailed, match="where nothing may be added"):
            write(opened(lab), f"{lab}/testing/tables/1.0.0/croissant.json")
