"""The bridge from TFDS: any builder becomes a Dataset whose rows are those that TFDS reads."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import ailab_dataproc as adp
from ailab_dataproc.columns import is_pii, labels, meaning, shape
from ailab_dataproc.errors import InvalidData, InvalidDefinition, SourceFailed, UnknownName
from ailab_dataproc.preparing import prepare

tfds = pytest.importorskip("tensorflow_datasets")
pytest.importorskip("tensorflow")

import tensorflow as tf  # noqa: E402
from bridged import compare, tfds_rows  # noqa: E402

from ailab_dataproc.bridge.builders import find_builder  # noqa: E402

SCRIPTS = Path(__file__).parent / "tfds_scripts"
KINDS = SCRIPTS / "kinds.py"


@pytest.fixture(scope="module")
def tfds_dir(tmp_path_factory):
    """TFDS's own folder, in which builders are prepared once for all tests of this file."""
    return str(tmp_path_factory.mktemp("tfds"))


@pytest.fixture(scope="module")
def kinds(tfds_dir):
    """The builders of all kinds, by config, prepared by way of the bridge."""
    found = {}
    for config in ("all", "plain"):
        defined = adp.from_tfds(f"{KINDS}/{config}", name="test/kinds", data_dir=tfds_dir)
        defined.splits.find(Path(tfds_dir))
        found[config] = find_builder(f"{KINDS}/{config}", tfds_dir, "test/kinds").builder
    return found


def test_values_of_every_kind_of_feature_equal_those_that_tfds_reads(kinds, tfds_dir, data_dir):
    compare(adp.from_tfds(f"{KINDS}/all", name="test/kinds", data_dir=tfds_dir), kinds["all"], data_dir)


def test_the_folder_of_a_prepared_version_is_enough_and_goes_into_both_formats(kinds, data_dir):
    folder = str(kinds["plain"].data_dir)
    builder = tfds.builder_from_directory(folder)
    compare(adp.from_tfds(folder, name="test/kinds"), builder, data_dir, formats=("parquet", "tfrecord"))


def test_plain_tfds_reads_what_came_over_the_bridge(kinds, data_dir):
    """There and back: labels, text, numbers and lists are those of the first version."""
    folder = str(kinds["plain"].data_dir)
    prepare(adp.from_tfds(folder, name="test/kinds"), data_dir=data_dir)
    back = tfds.builder_from_directory(f"{data_dir}/test/kinds/1.2.0")
    assert back.info.features["label"].names == ["cat", "dog"]
    first, second = tfds_rows(kinds["plain"], "train"), tfds_rows(back, "train")
    for name in ("uint64", "label", "text", "words", "matrix", "exact", "ragged", "box", "photo"):
        ours = [np.asarray(one[name]).tolist() if name != "ragged" else one[name].to_list() for one in second]
        if name == "photo":
            ours = [np.asarray(tf.io.decode_image(one)).tolist() for one in ours]
        theirs = [np.asarray(one[name]).tolist() if name != "ragged" else one[name].to_list() for one in first]
        assert ours == theirs, name


@pytest.fixture
def script(tmp_path):
    """Write a builder's script: its features, and the rows of its only split."""

    def written(features, rows="[{'a': 1}]", name="small", **more):
        text = SCRIPT.format(features=features, rows=rows, **{"head": "", "name": name.capitalize(), **more})
        (tmp_path / f"{name}.py").write_text(text)
        return str(tmp_path / f"{name}.py")

    return written


SCRIPT = """
import numpy as np
import pyarrow as pa
import tensorflow_datasets as tfds

F = tfds.features
{head}

class {name}(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=F.FeaturesDict({features}))

    def _split_generators(self, dl_manager):
        return {{"train": self._generate_examples()}}

    def _generate_examples(self):
        yield from enumerate({rows})
"""


OWN = """
class Own(F.Tensor):
    def __init__(self):
        super().__init__(shape=(), dtype=np.int64)
"""


def test_a_class_and_a_builder_are_sources_too(tfds_dir, tmp_path):
    builder = tfds.testing.DummyDataset(data_dir=str(tmp_path / "tfds"))
    builder.download_and_prepare()
    for source in (builder, str(builder.data_dir)):
        compare(adp.from_tfds(source, name="test/dummy"), builder, str(tmp_path / "data"))
    lazy = adp.from_tfds(tfds.testing.DummyDataset, name="test/dummy", data_dir=str(tmp_path / "tfds"))
    assert list(lazy.splits) == ["train"]


def test_images_of_the_dummy_mnist_are_those_that_tfds_shows(tmp_path):
    builder = tfds.testing.DummyMnist(data_dir=str(tmp_path / "tfds"))
    builder.download_and_prepare()
    compare(adp.from_tfds(builder, name="test/mnist"), builder, str(tmp_path / "data"))


@pytest.mark.parametrize("form", ["array_record", "tfrecord"])
def test_each_format_is_read(form, tmp_path):
    builder = tfds.testing.DummyDataset(data_dir=str(tmp_path / "tfds"), file_format=form)
    builder.download_and_prepare()
    prepare(adp.from_tfds(builder, name="test/dummy"), data_dir=str(tmp_path / "data"))
    table = adp.load("test/dummy", split="train", backend="arrow", data_dir=str(tmp_path / "data"))
    assert sorted(table["id"].to_pylist()) == [0, 1, 2]


def test_rows_that_tfds_lost_as_it_wrote_parquet_are_missed(script, tmp_path):
    """TFDS 4.9.10 writes 400 of 1,000 rows; dataset_info.json says 1,000."""
    path = script('{"a": np.int64}', rows="[{'a': i} for i in range(1000)]")
    builder = find_builder(path, str(tmp_path / "tfds"), "test").builder
    builder = type(builder)(data_dir=str(tmp_path / "tfds"), file_format="parquet")
    builder.download_and_prepare()
    with pytest.raises(InvalidData, match=r"holds \d+ rows, its dataset_info.json says 1,000"):
        prepare(adp.from_tfds(builder, name="test/lost"), data_dir=str(tmp_path / "data"))


def test_a_script_of_a_package_is_imported_as_its_module(tmp_path):
    folder = tmp_path / "my_zoo"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "names.py").write_text("ANIMALS = ['cat', 'dog']\n")
    (folder / "README.md").write_text("All animals.")
    text = SCRIPT.format(features='{"a": F.ClassLabel(names=ANIMALS)}', rows="[{'a': 'dog'}]", name="Builder", head="")
    text = "from .names import ANIMALS\n" + text.replace(
        "tfds.core.DatasetInfo(builder=self, ", "self.dataset_info_from_configs("
    )
    (folder / "my_zoo_dataset_builder.py").write_text(text)
    dataset = adp.from_tfds(folder / "my_zoo_dataset_builder.py", name="test/zoo")
    assert labels(dataset.schema.field("a")) == ("cat", "dog")
    assert dataset.description == "All animals."


def test_a_dataset_in_the_catalog_is_prepared_by_name_on_processes(script, tmp_path, monkeypatch):
    source = script('{"a": np.int64}', rows="[{'a': i} for i in range(9)]", name="listed")
    folder = tmp_path / "definitions" / "lab"
    folder.mkdir(parents=True)
    (folder / "listed.py").write_text(
        f"from ailab_dataproc import from_tfds\n\ndataset = from_tfds({source!r}, name='lab/listed', owner='zoo')\n"
    )
    monkeypatch.setenv("AILAB_DATASETS", str(tmp_path / "definitions"))
    monkeypatch.setenv("AILAB_DATA_DIR", str(tmp_path / "data"))
    assert prepare("lab/listed", runner="processes", workers=2).rows == {"train": 9}
    assert prepare("lab/listed").reused


def test_columns_carry_what_the_author_and_the_builder_say(tfds_dir):
    dataset = adp.from_tfds(KINDS, name="test/kinds", version="3.0.0", pii=["name"], meanings={"flag": "whether"})
    schema = dataset.schema
    assert dataset.version == "3.0.0"
    assert is_pii(schema.field("name"))
    assert meaning(schema.field("flag")) == "whether"
    assert meaning(schema.field("text")) == "what was said"
    assert meaning(schema.field("sound")) == "16,000 samples a second"
    assert labels(schema.field("mask")) == ("ground", "road")
    assert shape(schema.field("matrix")) == (2, 3)
    assert schema.field("photo").type == pa.binary()
    assert schema.field("maybe").nullable


def test_text_that_is_no_utf8_names_row_and_column_and_may_be_bytes(script, tmp_path):
    rows = "[{'a': {'b': ['ok', b'\\xff']}}]"
    path = script("{'a': {'b': F.Sequence(F.Text())}}", rows=rows, name="bytes_")
    data_dir = str(tmp_path / "data")
    with pytest.raises(
        InvalidData, match=r"row 1 of .* has bytes in 'a\.b' that are no UTF-8\. Pass binary=\['a\.b'\]"
    ):
        prepare(adp.from_tfds(path, name="test/text"), data_dir=data_dir)
    prepare(adp.from_tfds(path, name="test/text", binary=["a.b"]), data_dir=data_dir)
    table = adp.load("test/text", split="train", backend="arrow", data_dir=data_dir)
    assert table["a"].to_pylist() == [{"b": [b"ok", b"\xff"]}]


@pytest.mark.parametrize(
    ("features", "head", "told"),
    [
        ('{"a": Own()}', OWN, "feature 'a' is an Own, which isn't one of TFDS's own features"),
        ('{"a": F.Image(shape=(4, 4, 1), dtype=np.float32)}', "", "is an Image, of float32, which TFDS hides"),
        ('{"a": {"b": F.Tensor(shape=(), dtype=np.complex64)}}', "", r"feature 'a\.b' is a Tensor, of complex64"),
        ('{"a": F.Sequence(F.Tensor(shape=(None,), dtype=np.int64))}', "", r"of shape \(None,\) in a Sequence"),
        ('{"a": F.Tensor(shape=(0,), dtype=np.int64)}', "", "holds nothing"),
        ('{"a": {}}', "", "feature 'a' is a FeaturesDict, without members"),
        ('{"a/b": np.int64, "a.b": np.int64}', "", "two features become the column 'a_b'"),
    ],
)
def test_a_feature_without_mapping_is_refused_by_name(script, features, head, told):
    with pytest.raises(InvalidDefinition, match=f"test/small: .*{told}"):
        adp.from_tfds(script(features, head=head), name="test/small")


@pytest.mark.parametrize(
    ("source", "error", "told"),
    [
        ("mnits", UnknownName, "no TFDS builder 'mnits'. Did you mean 'mnist'"),
        ("glue/colla", UnknownName, "no config 'colla'. Did you mean 'cola'"),
        (f"{KINDS}/plan", UnknownName, "no config 'plan'. Did you mean 'plain'"),
        ("glue/cola:9.*.*", InvalidDefinition, "cannot be loaded at version 9"),
        ("", InvalidDefinition, "wanted the name of a TFDS builder"),
        ("mnist:9.9.9", InvalidDefinition, "mnist:9.9.9"),
        ("no/such/script.py", InvalidDefinition, "script.py does not exist"),
        ("./no_such_folder", InvalidDefinition, "no_such_folder does not exist"),
        (str(SCRIPTS), InvalidDefinition, "holds no dataset_info.json"),
        (str(SCRIPTS.parent / "conftest.py"), InvalidDefinition, "defines no TFDS builder"),
        (42, InvalidDefinition, r"from_tfds\(42\): wanted the name of a TFDS builder"),
        ("three words here", InvalidDefinition, "TFDS can't make the builder 'three words here'"),
    ],
)
def test_a_source_that_stands_for_no_builder_is_refused(source, error, told):
    with pytest.raises(error, match=told) as found:
        adp.from_tfds(source, name="test/wrong")
    assert "\n" not in str(found.value)


def test_the_folder_above_a_version_names_the_version(kinds):
    above = Path(kinds["plain"].data_dir).parent
    with pytest.raises(InvalidDefinition, match=r"Did you mean .*/kinds/plain/1\.2\.0\?"):
        adp.from_tfds(str(above), name="test/kinds")


@pytest.mark.parametrize("given", [{"pii": ["nmae"]}, {"meanings": {"nmae": "x"}}, {"binary": ["nmae"]}])
def test_a_column_that_is_not_there_is_refused_with_the_nearest(given):
    with pytest.raises(UnknownName, match=r"'nmae'\. Did you mean 'name'"):
        adp.from_tfds(KINDS, name="test/kinds", **given)


def test_a_builder_that_fails_is_told_in_a_sentence(script, tmp_path):
    path = script('{"a": np.int64}', rows="[{'a': 1 / 0}]", name="failing")
    with pytest.raises(SourceFailed, match=r"TFDS could not prepare failing/1\.0\.0 .*division by zero"):
        prepare(adp.from_tfds(path, name="test/failing"), data_dir=str(tmp_path))


def test_a_shard_that_was_cut_off_is_found(script, tmp_path):
    path = script('{"a": np.int64}', rows="[{'a': i} for i in range(9)]", name="cut")
    dataset = adp.from_tfds(path, name="test/cut", data_dir=str(tmp_path))
    dataset.splits.find(tmp_path)
    shard = next(tmp_path.glob("cut/1.0.0/*tfrecord*"))
    shard.write_bytes(shard.read_bytes()[:-5])
    with pytest.raises(InvalidData, match="is cut off in the bytes of record 9"):
        prepare(adp.from_tfds(path, name="test/cut", data_dir=str(tmp_path)), data_dir=str(tmp_path / "data"))


def test_two_who_prepare_at_once_let_tfds_work_once(script, tmp_path):
    rows = "(open(PLACE, 'a').write('x') and {'a': i} for i in range(9))"
    path = script("{'a': np.int64}", rows=rows, name="twice", head=f"PLACE = {str(tmp_path / 'calls')!r}")
    datasets = [adp.from_tfds(path, name=f"test/at_once_{i}") for i in range(3)]
    with ThreadPoolExecutor() as pool:
        reports = list(pool.map(lambda one: prepare(one, data_dir=str(tmp_path / "data")), datasets))
    assert [one.rows for one in reports] == [{"train": 9}] * 3
    assert (tmp_path / "calls").read_text() == "x" * 9


def test_what_a_builder_says_of_personal_data_is_not_shown(script, tmp_path):
    path = script("{'a': np.int64}", rows="[{'a': 'Ada Lovelace'}]", name="personal")
    with pytest.raises(SourceFailed, match="message not shown: PII") as found:
        prepare(adp.from_tfds(path, name="test/personal", pii=["a"]), data_dir=str(tmp_path))
    assert found.value.__suppress_context__
    assert "Ada" not in str(found.value)


def test_a_row_that_tfds_refuses_is_told_by_its_reason(script, tmp_path):
    path = script("{'a': F.ClassLabel(names=['cat'])}", rows="[{'a': 'dog'}]", name="refused")
    with pytest.raises(SourceFailed, match=r"In <ClassLabel> with name .a.: .dog."):
        prepare(adp.from_tfds(path, name="test/refused"), data_dir=str(tmp_path))


def test_a_definition_without_its_data_imports_no_tensorflow():
    code = "import sys, ailab_dataproc as adp; adp.from_tfds('mnist', name='a/b'); print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_rows_of_several_shards_stand_in_the_order_of_tfds(script, tmp_path):
    path = script("{'a': np.int64, 't': F.Text()}", rows="[{'a': i, 't': 'x' * i} for i in range(300)]", name="many")
    builder = find_builder(path, str(tmp_path / "tfds"), "test").builder
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(num_shards=12))
    dataset = adp.from_tfds(path, name="test/many", data_dir=str(tmp_path / "tfds"))
    assert len(dataset.splits["train"]) == 12
    compare(dataset, builder, str(tmp_path / "data"))


def test_a_builder_on_beam_is_prepared_without_a_question(tmp_path):
    dataset = adp.from_tfds(tfds.testing.DummyBeamDataset, name="test/beam")
    assert prepare(dataset, data_dir=str(tmp_path)).rows == {"train": 3}


def test_audio_that_is_decoded_late_stays_the_file(script, tmp_path):
    features = "{'a': F.Audio(file_format='wav', lazy_decode=True), 'pair': F.Tensor(shape=(2,), dtype=np.str_)}"
    rows = "[{'a': io.BytesIO(b'RIFF...'), 'pair': ['x', 'é']}]"
    path = script(features, rows=rows, name="late", head="import io")
    dataset = adp.from_tfds(path, name="test/late")
    assert meaning(dataset.schema.field("a")) == "audio file, wav"
    prepare(dataset, data_dir=str(tmp_path))
    table = adp.load("test/late", split="train", backend="arrow", data_dir=str(tmp_path))
    assert table.to_pylist() == [{"a": b"RIFF...", "pair": ["x", "é"]}]
