"""Folders that others have made become definitions, whose prepared values are those of the folder's own reader."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import ailab_dataproc as adp
from ailab_dataproc.catalog import Definition, Place
from ailab_dataproc.cli import cli
from ailab_dataproc.columns import is_pii, labels, meaning, shape
from ailab_dataproc.errors import AilabError, InvalidData, InvalidDefinition, InvalidRequest, StorageFailed, UnknownName
from ailab_dataproc.importing.finding import find
from ailab_dataproc.importing.readers import read_arrow
from ailab_dataproc.importing.writing import check_new, formats_for, places, write
from ailab_dataproc.settings import Settings

_TIMES = {pa.timestamp("us").id, pa.duration("us").id}
ROWS = pa.table({"n": [1, 2, 3], "text": ["a", None, "ü"]})


class Lab:
    """A folder of definitions and a data directory."""

    def __init__(self, tmp_path):
        self.folder, self.data_dir = tmp_path / "definitions", str(tmp_path / "data")
        self.settings = Settings(data_dir=self.data_dir, datasets=())

    def define(self, path, name="test/imported", **given):
        """The definition of a folder."""
        config, owner = given.get("config"), given.get("owner", "")
        place = check_new(name, self.folder, self.settings)
        return write(name, find(str(path), config), place, self.settings, owner=owner)

    def take(self, path, name="test/imported", **given):
        """The rows by split, after the whole way."""
        made = self.define(path, name, **given)
        adp.prepare(made.dataset, data_dir=self.data_dir, runner="inline", formats=("parquet",))
        options = {"backend": "arrow", "data_dir": self.data_dir, "allow_pii": True}
        return {split: adp.load(name, split=split, **options) for split in made.dataset.splits}


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


def put(folder, **tables):
    """Parquet files by name."""
    for name, table in tables.items():
        path = folder / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
    return folder


def text(folder, files):
    """Text files by path."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def hf():
    return pytest.importorskip("datasets", reason="the bench extra isn't installed")


@pytest.fixture(scope="module")
def image():
    return pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def features(hf):
    return hf.Features(
        {
            "number": hf.Value("int64"),
            "text": hf.Value("string"),
            "label": hf.ClassLabel(names=["cat", "dog"]),
            "image": hf.Image(),
            "boxes": hf.List(hf.List(hf.Value("float32"))),
            "pair": hf.List(hf.Value("int32"), length=2),
            "grid": hf.Array2D((2, 3), "float32"),
            "growing": hf.Array2D((None, 3), "float32"),
            "inner": {"a": hf.Value("int32"), "b": hf.List(hf.Value("string"))},
            "turns": hf.List({"who": hf.Value("string"), "n": hf.Value("int64")}),
            "older": hf.Sequence({"x": hf.Value("int64")}),
            "when": hf.Value("timestamp[us]"),
            "long": hf.Value("large_string"),
            "images": hf.List(hf.Image()),
            "tags": hf.List(hf.ClassLabel(names=["x", "y"])),
            "raw": hf.Value("binary"),
        }
    )


@pytest.fixture(scope="module")
def saved(hf, image, features, tmp_path_factory):
    """A DatasetDict of six rows in two files, and two rows."""

    def picture(value):
        return image.fromarray(np.full((4, 5, 3), value, np.uint8))

    rows = [
        {
            "number": 2**53 + i,
            "text": None if i == 1 else f"tëxt {i}",
            "label": -1 if i == 5 else i % 2,
            "image": picture(i),
            "boxes": [[1.0, 2.0], [], None] if i else None,
            "pair": [i, -i],
            "grid": None if i == 2 else np.arange(6, dtype=np.float32).reshape(2, 3) + i,
            "growing": np.ones((i + 1, 3), np.float32),
            "inner": {"a": i, "b": ["q", None]} if i != 3 else None,
            "turns": [{"who": "me", "n": i}] * (i % 3),
            "older": {"x": [i, 2]},
            "when": dt.datetime(2020, 1, 1, 0, 0, i),
            "long": "L" * i,
            "images": [picture(1), picture(i)][: i % 3],
            "tags": [0, 1],
            "raw": bytes([255, i]),
        }
        for i in range(6)
    ]
    whole = hf.Dataset.from_list(rows, features=features)
    folder = tmp_path_factory.mktemp("saved")
    parts = hf.DatasetDict({"train": whole, "test": whole.select([4, 5])})
    parts.save_to_disk(folder / "dict", num_shards={"train": 2, "test": 1})
    whole.select([0, 3]).save_to_disk(folder / "one")
    whole.to_parquet(folder / "hub/data/train-00000-of-00001.parquet")
    return folder


def pixels(image, value):
    """What an image shows, or several."""
    if isinstance(value, list):
        return [pixels(image, one) for one in value]
    return np.asarray(image.open(io.BytesIO(value)) if isinstance(value, bytes) else value).tolist()


def check(image, ours, theirs):
    """Assert that our rows are those that `datasets` reads."""
    for name in ours.schema.names:
        found, wanted = ours[name].to_pylist(), [row[name] for row in theirs]
        if name in ("image", "images"):
            found, wanted = pixels(image, found), pixels(image, wanted)
        if name == "grid":
            found = [None if one is None else np.reshape(one, (2, 3)).tolist() for one in found]
        assert found == wanted, name


class TestHuggingFace:
    """What `datasets` has saved."""

    def test_a_saved_dict_keeps_all_values(self, lab, hf, image, saved):
        ours = lab.take(saved / "dict")
        theirs = hf.load_from_disk(str(saved / "dict"))
        assert {split: rows.num_rows for split, rows in ours.items()} == {"train": 6, "test": 2}
        for split, rows in ours.items():
            check(image, rows, theirs[split])

    def test_one_saved_dataset_keeps_all_values(self, lab, hf, image, saved):
        check(image, lab.take(saved / "one")["train"], hf.load_from_disk(str(saved / "one")))

    def test_parquet_of_the_hub_keeps_all_values(self, lab, hf, image, saved, tmp_path):
        file = str(saved / "hub/data/train-00000-of-00001.parquet")
        theirs = hf.Dataset.from_parquet(file, cache_dir=str(tmp_path / "cache"))
        check(image, lab.take(saved / "hub")["train"], theirs)

    def test_meanings_are_kept(self, lab, saved):
        schema = lab.define(saved / "dict").dataset.schema
        assert labels(schema.field("label")) == ("cat", "dog")
        assert labels(schema.field("tags")) == ("x", "y")
        assert schema.field("image").type == pa.binary()
        assert shape(schema.field("image")) == (4, 5, 3)
        assert shape(schema.field("grid")) == (2, 3)
        assert meaning(schema.field("image")) == "encoded image"

    def test_a_column_is_nullable_where_a_row_has_no_value(self, lab, saved):
        schema = lab.define(saved / "dict").dataset.schema
        assert [one.name for one in schema if one.nullable] == ["text", "boxes", "grid", "inner"]

    def test_pixels_come_as_arrays(self, lab, saved):
        lab.take(saved / "dict")
        options = {"columns": ["image"], "batch_size": 6, "data_dir": lab.data_dir}
        (batch,) = adp.batches("test/imported", split="train", **options)
        assert batch["image"].shape == (6, 4, 5, 3)

    def test_images_of_several_sizes_have_no_fixed_one(self, lab, hf, image, tmp_path):
        rows = [{"image": image.new("L", (2 + i, 3))} for i in range(2)]
        hf.Dataset.from_list(rows, features=hf.Features({"image": hf.Image()})).save_to_disk(tmp_path / "sizes")
        assert shape(lab.define(tmp_path / "sizes").dataset.schema.field("image")) == (None, None, 1)

    def test_images_of_one_size_keep_it_beside_a_row_without_one(self, lab, hf, image, tmp_path):
        rows = [{"image": image.new("RGBA", (2, 3))}, {"image": None}]
        hf.Dataset.from_list(rows, features=hf.Features({"image": hf.Image()})).save_to_disk(tmp_path / "one")
        found = lab.define(tmp_path / "one").dataset.schema.field("image")
        assert (shape(found), found.nullable) == ((3, 2, 4), True)

    def test_an_image_that_lies_in_another_file_is_taken_in(self, lab, hf, image, tmp_path):
        image.new("RGB", (2, 2)).save(tmp_path / "a.png")
        kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
        rows = pa.table({"image": pa.array([{"bytes": None, "path": "a.png"}, None], kind)})
        features = {"info": {"features": {"image": {"_type": "Image"}}}}
        rows = rows.replace_schema_metadata({"huggingface": json.dumps(features)})
        put(tmp_path, **{"train": rows})
        found = lab.take(tmp_path / "train.parquet")["train"]
        assert found["image"].to_pylist() == [(tmp_path / "a.png").read_bytes(), None]
        assert shape(found.schema.field("image")) == (None, None, 3)

    def test_an_image_that_is_gone_is_named(self, lab, tmp_path):
        schema = pa.schema([pa.field("image", pa.binary())])
        rows = pa.table({"image": [{"bytes": b"", "path": None}, {"bytes": None, "path": "gone.png"}]})
        with pa.OSFile(str(tmp_path / "x.arrow"), "wb") as sink, pa.ipc.new_stream(sink, rows.schema) as writer:
            writer.write_table(rows.cast(pa.schema({"image": pa.struct({"bytes": pa.binary(), "path": pa.string()})})))
        with pytest.raises(InvalidData, match=r"names the file .*gone\.png, which can't be read"):
            list(read_arrow(adp.Source(str(tmp_path / "x.arrow"), "train"), schema))

    def test_translations_say_their_languages(self, lab, hf, tmp_path):
        features = hf.Features({"pair": hf.Translation(["de", "en"]), "audio": hf.Audio(sampling_rate=16_000)})
        rows = pa.table(
            {"pair": [{"de": "ja", "en": "yes"}], "audio": [{"bytes": b"RIFF", "path": None}]},
            schema=features.arrow_schema,
        )
        put(tmp_path / "pairs", train=rows)
        found = lab.take(tmp_path / "pairs")["train"]
        assert found.to_pylist() == [{"pair": {"de": "ja", "en": "yes"}, "audio": b"RIFF"}]
        assert meaning(found.schema.field("pair")) == "the same text in de, en"
        assert meaning(found.schema.field("audio")) == "encoded sound, to be played at 16000 Hz"

    def test_a_missing_file_is_named(self, lab, hf, tmp_path):
        hf.Dataset.from_dict({"a": [1, 2]}).save_to_disk(tmp_path / "cut")
        (tmp_path / "cut/data-00000-of-00001.arrow").unlink()
        with pytest.raises(InvalidData, match=r"data-00000-of-00001\.arrow is missing, which state\.json names"):
            lab.define(tmp_path / "cut")

    def test_a_split_without_rows_is_left_out(self, lab, hf, tmp_path):
        features = hf.Features({"a": hf.Value("int64")})
        parts = {"train": hf.Dataset.from_dict({"a": [1]}), "test": hf.Dataset.from_dict({"a": []}, features=features)}
        hf.DatasetDict(parts).save_to_disk(tmp_path / "half")
        assert list(lab.take(tmp_path / "half")) == ["train"]

    def test_a_file_that_is_cut_off_is_named(self, lab, hf, tmp_path):
        hf.Dataset.from_dict({"a": list(range(1000))}).save_to_disk(tmp_path / "cut")
        file = tmp_path / "cut/data-00000-of-00001.arrow"
        file.write_bytes(file.read_bytes()[:-2000])
        with pytest.raises(InvalidData, match=r"data-00000-of-00001\.arrow: can't be read as Arrow"):
            lab.define(tmp_path / "cut")

    def test_a_file_that_is_no_arrow_is_named(self, lab, hf, tmp_path):
        hf.Dataset.from_dict({"a": [1, 2]}).save_to_disk(tmp_path / "bad")
        (tmp_path / "bad/data-00000-of-00001.arrow").write_bytes(b"nonsense of some length")
        with pytest.raises(InvalidData, match="can't be read as Arrow"):
            lab.define(tmp_path / "bad")


CARD_FILES = {"en/1.csv": "n\n1\n", "more/a.csv": "n\n2\n", "more/b.csv": "n\n3\n", "de/all.csv": "n\n4\n"}


class TestCard:
    """A folder as on the Hub, with a README.md."""

    CARD = """---
license: cc-by-4.0
pretty_name: Rotten Reviews
dataset_info:
  features:
  - name: text
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': neg
          '1': pos
  splits:
  - name: train
---

# Dataset Card

<!-- a comment -->
Reviews of [films](https://example.org), one a row.

```
@article{pang, title={Seeing stars}}
```
"""

    def put(self, folder, card):
        rows = pa.table({"text": ["good", "bad"], "label": [1, 0]})
        put(
            folder,
            **{"data/train-00000-of-00002": rows, "data/train-00001-of-00002": rows, "data/dev-00000-of-00001": rows},
        )
        return text(folder, {"README.md": card})

    def test_its_words_and_classes_are_kept(self, lab, tmp_path):
        found = lab.define(self.put(tmp_path / "hub", self.CARD)).dataset
        assert found.license == "cc-by-4.0"
        assert found.description == "Rotten Reviews.\n\nReviews of films, one a row."
        assert found.citation == "@article{pang, title={Seeing stars}}"
        assert labels(found.schema.field("label")) == ("neg", "pos")

    def test_shards_are_named_after_their_splits(self, lab, tmp_path):
        found = lab.take(self.put(tmp_path / "hub", self.CARD))
        assert {split: rows.num_rows for split, rows in found.items()} == {"train": 4, "dev": 2}

    CONFIGS = """---
configs:
- config_name: en
  data_files:
  - split: train
    path: en/*.csv
  - split: Test-Set
    path:
    - more/a.csv
    - more/b.csv
- config_name: de
  data_files: de/all.csv
---
"""

    def test_the_files_of_a_configuration_are_taken(self, lab, tmp_path):
        folder = text(tmp_path / "hub", {"README.md": self.CONFIGS, **CARD_FILES})
        found = lab.take(folder, config="en")
        assert {split: rows["n"].to_pylist() for split, rows in found.items()} == {"train": [1], "test_set": [2, 3]}
        assert lab.take(folder, "test/german", config="de")["train"]["n"].to_pylist() == [4]

    @pytest.mark.parametrize(
        ("config", "error", "told"),
        [
            (None, InvalidRequest, "describes the configurations en, de, wanted one of them. Give --config."),
            ("dee", UnknownName, "no configuration 'dee'. Did you mean 'de'?"),
        ],
    )
    def test_a_configuration_has_to_be_named(self, lab, tmp_path, config, error, told):
        folder = text(tmp_path / "hub", {"README.md": self.CONFIGS, **CARD_FILES})
        with pytest.raises(error) as caught:
            lab.define(folder, config=config)
        assert told in str(caught.value)

    def test_a_file_that_the_card_names_and_nobody_has_is_told(self, lab, tmp_path):
        folder = text(tmp_path / "hub", {"README.md": self.CONFIGS, "de/all.csv": "n\n4\n"})
        with pytest.raises(InvalidData, match=r"names en/\*\.csv, where no file is"):
            lab.define(folder, config="en")

    def test_yaml_that_cannot_be_read_is_told_with_its_line(self, lab, tmp_path):
        folder = text(tmp_path / "hub", {"README.md": "---\na: b\nlicense: [\n---\n", "a.csv": "n\n1\n"})
        with pytest.raises(InvalidData, match=r"the YAML at its head can't be read \(.*, line \d\)"):
            lab.define(folder)


class TestPlain:
    """Folders and files of Parquet, CSV, JSON Lines."""

    @pytest.mark.parametrize(
        ("names", "wanted"),
        [
            (["train", "test", "valid"], {"train": 1, "validation": 1, "test": 1}),
            (["train/a", "train/b", "test/a"], {"train": 2, "test": 1}),
            (["my-dev-set", "part-1", "part-2"], {"train": 2, "validation": 1}),
            (["a", "b"], {"train": 2}),
            (["training_set_1", "evaluation"], {"train": 1, "test": 1}),
            (["split=train/a", "split=holdout/a"], {"train": 1, "holdout": 1}),
            (["part-00000-of-00002", "part-00001-of-00002"], {"train": 2}),
            (["contest/latest", "retrain/x"], {"train": 2}),
        ],
    )
    def test_files_belong_to_splits_by_their_names(self, tmp_path, names, wanted):
        folder = put(tmp_path / "f", **dict.fromkeys(names, ROWS))
        assert {split: len(files) for split, files in find(str(folder)).files.items()} == wanted

    def test_parquet_keeps_its_values_and_needs_no_reader(self, lab, tmp_path):
        folder = put(tmp_path / "f", **{"train-1": ROWS, "train-2": ROWS, "test": ROWS.slice(0, 1)})
        found = lab.take(folder)
        assert found["train"].to_pylist() == ROWS.to_pylist() * 2
        assert found["test"].to_pylist() == ROWS.to_pylist()[:1]
        made = Definition("test/imported", lab.folder / "test/imported.py", Place(lab.folder, "")).load()
        assert made.read is None
        assert made.splits["train"] == (f"{folder}/train-*.parquet",)

    def test_all_types_keep_their_values(self, lab, tmp_path):
        from ailab_dataproc.testing import edge_cases

        rows = edge_cases()
        with pa.OSFile(str(tmp_path / "rows.arrow"), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
            writer.write_table(rows)
        found = lab.take(tmp_path / "rows.arrow")["train"]
        assert found.schema.names == rows.schema.names
        for name in rows.schema.names:
            ours, theirs = found[name].combine_chunks(), rows[name].combine_chunks()
            if theirs.type.id in _TIMES:  # some are beyond Python's years
                ours, theirs = ours.cast(theirs.type).view(pa.int64()), theirs.view(pa.int64())
            assert repr(ours.to_pylist()) == repr(theirs.to_pylist()), name

    def test_csv_keeps_its_values(self, lab, tmp_path):
        text(tmp_path / "f", {"train.csv": "n,word\n1,a\n2,\n", "test.csv": "n,word\n3,ü\n"})
        found = lab.take(tmp_path / "f")
        assert found["train"].to_pylist() == [{"n": 1, "word": "a"}, {"n": 2, "word": None}]
        assert found["test"].to_pylist() == [{"n": 3, "word": "ü"}]

    def test_csv_in_another_dialect_is_read(self, lab, tmp_path):
        (tmp_path / "euro.csv").write_bytes("preis;ort\n1,5;Köln\n2,25;Bonn\n".encode("cp1252"))
        found = lab.take(tmp_path / "euro.csv")["train"]
        assert found.to_pylist() == [{"preis": 1.5, "ort": "Köln"}, {"preis": 2.25, "ort": "Bonn"}]

    @pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.ndjson"])
    def test_json_lines_keep_their_values(self, lab, tmp_path, name):
        lines = '{"n": 1, "tags": ["a"]}\n{"n": 2, "tags": []}\n'
        assert lab.take(text(tmp_path / "f", {name: lines}))["train"].to_pylist() == [
            {"n": 1, "tags": ["a"]},
            {"n": 2, "tags": []},
        ]

    def test_packed_files_are_read(self, lab, tmp_path):
        (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"n\n1\n2\n"))
        assert lab.take(tmp_path / "a.csv.gz")["train"]["n"].to_pylist() == [1, 2]

    def test_what_stands_beside_the_data_is_left_out(self, lab, tmp_path):
        folder = put(tmp_path / "f", **{"train": ROWS})
        text(folder, {"_SUCCESS": "", ".hidden/x.csv": "a\n1\n", "LICENSE": "", "notes.txt": "", "README.md": "# Hi"})
        found = find(str(folder))
        assert found.files == {"train": (f"{folder}/train.parquet",)}
        assert found.notes == ("left out: 1 file of .txt",)

    def test_a_column_looks_personal(self, lab, tmp_path):
        rows = pa.table({"mail": ["a@example.org", "b@example.org"], "n": [1, 2]})
        made = lab.define(put(tmp_path / "f", train=rows))
        assert [one.name for one in made.dataset.schema if is_pii(one)] == ["mail"]
        assert "looks like mail addresses by its values" in made.remarks["mail"]

    def test_names_that_cannot_be_ours_are_changed(self, lab, tmp_path):
        rows = pa.table({"a.b": [1], "c/d": ["x"]})
        assert lab.take(put(tmp_path / "f", train=rows))["train"].to_pylist() == [{"a_b": 1, "c_d": "x"}]

    def test_a_column_without_a_type_in_one_file_has_that_of_another(self, lab, tmp_path):
        folder = put(tmp_path / "f", **{"a": pa.table({"x": pa.nulls(2)}), "b": pa.table({"x": [1, 2]})})
        assert lab.take(folder)["train"]["x"].to_pylist() == [None, None, 1, 2]

    def test_a_file_without_rows_is_no_error(self, lab, tmp_path):
        folder = put(tmp_path / "f", **{"a": ROWS, "b": ROWS.slice(0, 0)})
        assert lab.take(folder)["train"].num_rows == 3

    def test_nulls_in_lists_of_parquet_are_seen(self, lab, tmp_path):
        rows = pa.table({"full": [[1, None], []], "some": [[1], None]})
        schema = lab.define(put(tmp_path / "f", train=rows)).dataset.schema
        assert [one.nullable for one in schema] == [False, True]

    def test_a_folder_with_marks_of_globs_in_its_name_is_read(self, lab, tmp_path):
        folder = put(tmp_path / "odd [1] *", **{"part-1": ROWS, "part-2": ROWS})
        assert lab.take(folder)["train"].num_rows == 6


class TestFoldersAsValues:
    """Folders such as year=2021/month=01."""

    @pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
    def test_they_become_columns(self, lab, tmp_path, ending):
        for path, n in {"year=2020/land=de": 1, "year=2021/land=j%20p": 2}.items():
            (tmp_path / "f" / path).mkdir(parents=True)
            file = tmp_path / "f" / path / f"x.{ending}"
            if ending == "parquet":
                pq.write_table(pa.table({"n": [n]}), file)
            else:
                file.write_text(f"n\n{n}\n" if ending == "csv" else json.dumps({"n": n}))
        assert lab.take(tmp_path / "f")["train"].to_pylist() == [
            {"n": 1, "year": 2020, "land": "de"},
            {"n": 2, "year": 2021, "land": "j p"},
        ]

    def test_they_are_as_pyarrow_reads_them(self, lab, tmp_path):
        rows = pa.table({"n": [1, 2, 3], "day": ["2021-01-31", "2021-02-01", "2021-02-01"], "shop": ["a", None, "b"]})
        pq.write_to_dataset(rows, tmp_path / "f", partition_cols=["day", "shop"])
        theirs = sorted(pq.read_table(tmp_path / "f").to_pylist(), key=lambda row: row["n"])
        ours = lab.take(tmp_path / "f")["train"].sort_by("n").to_pylist()
        assert ours == [{**row, "day": dt.date.fromisoformat(row["day"])} for row in theirs]

    def test_a_reader_of_its_own_stays(self, lab, tmp_path):
        text(tmp_path / "f", {"year=1/a.csv": "a;b\n1;2\n", "year=2/a.csv": "a;b\n3;4\n"})
        assert lab.take(tmp_path / "f")["train"].to_pylist() == [
            {"a": 1, "b": 2, "year": 1},
            {"a": 3, "b": 4, "year": 2},
        ]

    def test_files_in_folders_of_other_names_are_refused(self, lab, tmp_path):
        folder = put(tmp_path / "f", **{"year=1/a": ROWS, "b": ROWS})
        with pytest.raises(InvalidData, match=r"lies in folders that name nothing, and .* in folders that name year"):
            lab.define(folder)


class TestWrongInput:
    """One sentence each."""

    @pytest.mark.parametrize(
        ("files", "told"),
        [
            ({}, "is empty, wanted files of Parquet, Arrow, CSV or JSON Lines"),
            ({"a.png": "", "b.png": "", "c.txt": ""}, "holds 2 files of .png, 1 file of .txt, wanted files of Parquet"),
            (
                {"a.csv": "n\n1\n", "b/c.jsonl": '{"n": 1}\n', "d.csv": "n\n1\n"},
                "holds 2 files of .csv and 1 file of .jsonl, such as a.csv and b/c.jsonl, wanted files of one kind.",
            ),
            ({"a.csv": "n,m\n1,2\n", "b.csv": "n\n1\n"}, "b.csv: lacks the column 'm', which"),
            ({"a.csv": "n\n1\n", "b.csv": "n,m\n1,2\n"}, "a.csv: lacks the column 'm', which"),
            ({"a.jsonl": '{"n": 1}\n', "b.jsonl": '{"n": 1, "m": 2}\n'}, "a.jsonl: lacks the column 'm', which"),
            ({"a.parquet": "nonsense"}, "a.parquet: can't be read as Parquet"),
            ({"a.csv": ""}, "a.csv: is empty"),
        ],
    )
    def test_a_folder_that_cannot_be_read(self, lab, tmp_path, files, told):
        (tmp_path / "f").mkdir()
        with pytest.raises(AilabError) as caught:
            lab.define(text(tmp_path / "f", files))
        assert told in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_url(self, lab):
        with pytest.raises(InvalidRequest, match="gs://lab/x: lies elsewhere, and only what is on this machine"):
            lab.define("gs://lab/x")

    def test_a_column_that_is_there_twice(self, lab, tmp_path):
        rows = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
        with pytest.raises(InvalidData, match=r"a\.parquet: the column 'a' is there twice"):
            lab.define(put(tmp_path / "f", a=rows))

    def test_no_such_folder(self, lab):
        with pytest.raises(StorageFailed, match="/none: there is no such folder"):
            lab.define("/none")

    @pytest.mark.parametrize(
        ("other", "told"),
        [
            (pa.table({"n": [1.5], "text": ["a"]}), r"b\.parquet: column 'n' is double, and int64 in .*a\.parquet"),
            (pa.table({"n": [1]}), r"b\.parquet: lacks the column 'text', which .*a\.parquet has"),
            (ROWS.append_column("x", [[1, 2, 3]]), r"a\.parquet: lacks the column 'x', which .*b\.parquet has"),
        ],
    )
    def test_schemas_that_differ(self, lab, tmp_path, other, told):
        with pytest.raises(InvalidData, match=told):
            lab.define(put(tmp_path / "f", a=ROWS, b=other))

    def test_a_column_of_nothing_but_nulls(self, lab, tmp_path):
        with pytest.raises(InvalidData, match="column 'x' has no value and no type in any file"):
            lab.define(put(tmp_path / "f", a=pa.table({"x": pa.nulls(2)})))

    def test_a_type_that_no_backend_keeps(self, lab, tmp_path):
        with pytest.raises(
            InvalidDefinition, match=r"column 'x' has type time64\[us\], which no backend keeps the same"
        ):
            lab.define(put(tmp_path / "f", a=pa.table({"x": [dt.time(1)]})))
        assert not (lab.folder / "test/imported.py").exists()

    def test_a_name_that_exists(self, lab, tmp_path):
        lab.define(put(tmp_path / "f", a=ROWS))
        with pytest.raises(InvalidRequest, match=r"test/imported: is defined already in .*test/imported\.py"):
            lab.define(tmp_path / "f")

    def test_a_name_that_is_built_in(self, lab, tmp_path):
        with pytest.raises(InvalidRequest, match="image_classification/digits: is defined already in"):
            lab.define(put(tmp_path / "f", a=ROWS), "image_classification/digits")

    def test_a_name_that_can_be_none(self, lab, tmp_path):
        with pytest.raises(InvalidDefinition, match="'My Data' can't be a dataset's name"):
            lab.define(put(tmp_path / "f", a=ROWS), "My Data")


def test_formats_are_those_that_hold_the_columns(lab, tmp_path):
    rows = pa.table({"turns": [[{"who": "me"}]]})
    formats, why = formats_for(lab.define(put(tmp_path / "f", a=rows)).dataset)
    assert formats == ("parquet",)
    assert why.startswith("prepared as Parquet only: column 'turns' is list<item: struct<who: string>>, which a tf")
    assert formats_for(lab.define(put(tmp_path / "g", a=ROWS), "test/other").dataset) == (("parquet", "tfrecord"), "")


def test_many_files_are_named_by_a_glob_that_names_no_other(tmp_path):
    put(tmp_path, **{"x/a-1": ROWS, "x/a-2": ROWS, "y/a-1": ROWS, "b-1": ROWS})
    files = [str(tmp_path / f"{name}.parquet") for name in ("x/a-1", "x/a-2", "y/a-1", "b-1")]
    assert places(files[:2]) == [f"{tmp_path}/x/a-*.parquet"]
    assert places(files[:3]) == [f"{tmp_path}/**/a-*.parquet"]
    assert places(sorted(files)) == [f"{tmp_path}/**/*.parquet"]
    assert places([files[0], files[3]]) == [files[0], files[3]]


def test_a_written_definition_is_formatted(lab, tmp_path):
    folder = put(tmp_path / "f", **{"year=1/a": pa.table({"a.b": [1]}), "year=2/a": pa.table({"a.b": [1]})})
    path = lab.define(folder).path
    for words in (["format", "--check"], ["check", "--select", "F,UP"]):
        command = [sys.executable, "-m", "ruff", *words, "--line-length", "120", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + path.read_text()


class TestCommand:
    """`ailab-dataproc import`."""

    @pytest.fixture(autouse=True)
    def places(self, tmp_path, monkeypatch):
        monkeypatch.setenv("AILAB_DATA_DIR", str(tmp_path / "data"))
        monkeypatch.setenv("COLUMNS", "200")

    def call(self, *words):
        return CliRunner().invoke(cli, ["import", *map(str, words)])

    def test_it_writes_prepares_and_says_how_to_load(self, tmp_path, monkeypatch):
        (tmp_path / "definitions").mkdir()
        monkeypatch.setenv("AILAB_DATASETS", str(tmp_path / "definitions"))
        done = self.call(put(tmp_path / "f", train=ROWS, test=ROWS), "shop/rows", "--owner", "ads-team")
        assert done.exit_code == 0, done.output
        assert "2 columns, train, test" in done.stdout
        assert 'load it: adp.load("shop/rows", split="train")' in done.stdout
        assert adp.load("shop/rows", split="train", backend="arrow").num_rows == 3
        assert 'owner="ads-team"' in (tmp_path / "definitions/shop/rows.py").read_text()

    def test_a_folder_that_the_settings_do_not_name_is_told(self, tmp_path):
        done = self.call(put(tmp_path / "f", train=ROWS), "shop/rows", "--folder", tmp_path / "mine", "--no-prepare")
        assert f"export AILAB_DATASETS={tmp_path}/mine" in done.stdout
        assert "next: ailab-dataproc prepare shop/rows" in done.stdout

    def test_a_folder_of_the_settings_may_not_be_there_yet(self, tmp_path, monkeypatch):
        monkeypatch.setenv("AILAB_DATASETS", str(tmp_path / "new"))
        done = self.call(put(tmp_path / "f", train=ROWS), "shop/rows", "--no-prepare")
        assert done.exit_code == 0, done.output
        assert (tmp_path / "new/shop/rows.py").exists()

    def test_a_folder_that_tfds_has_prepared_goes_over_the_bridge(self, tmp_path, monkeypatch):
        pytest.importorskip("tensorflow_datasets")
        monkeypatch.setenv("AILAB_DATASETS", str(tmp_path / "new"))
        assert self.call(put(tmp_path / "f", train=ROWS), "shop/rows").exit_code == 0
        done = self.call(tmp_path / "data/shop/rows/1.0.0", "shop/again", "--owner", "ads-team")
        assert done.exit_code == 0, done.output
        ours, again = (adp.load(name, split="train", backend="arrow") for name in ("shop/rows", "shop/again"))
        assert again["n"].to_pylist() == ours["n"].to_pylist()

    def test_a_builder_that_tfds_does_not_know_leaves_no_file(self, tmp_path):
        pytest.importorskip("tensorflow_datasets")
        done = self.call("tfds:mnisty", "image/mnist", "--folder", tmp_path / "mine")
        assert done.exit_code == 2
        assert "no TFDS builder 'mnisty'. Did you mean 'mnist'" in done.stderr
        assert not list((tmp_path / "mine").rglob("*.py"))

    def test_no_folder_of_definitions_is_one_sentence(self, tmp_path):
        done = self.call(put(tmp_path / "f", train=ROWS), "shop/rows")
        assert done.exit_code == 2
        assert "Give --folder my_datasets" in done.stderr
