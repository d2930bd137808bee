"""transform: what tf.Transform makes of a prepared version, by value; lineage, order, restart, serving, wrong input."""

from __future__ import annotations

import datetime
import functools
import json
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner

import ailab_dataproc as adp
from ailab_dataproc import storage
from ailab_dataproc.cli import cli
from ailab_dataproc.columns import column
from ailab_dataproc.describing import describe
from ailab_dataproc.errors import ClusterFailed, InvalidData, InvalidRequest, SourceFailed, UnknownName, VersionConflict
from ailab_dataproc.manifest import open_prepared, read_manifest
from ailab_dataproc.preparation import pipeline
from ailab_dataproc.preparation.options import Options
from ailab_dataproc.preparation.tasks import Layout
from ailab_dataproc.settings import Settings, load_settings
from ailab_dataproc.verify import verify_version

tft = pytest.importorskip("tensorflow_transform")
import tensorflow as tf  # noqa: E402 - after the skip

ADS = pa.schema(
    [
        column("price", pa.float64(), "winning bid", unit="JPY"),
        column("device", pa.dictionary(pa.int8(), pa.string()), "what it was shown on"),
        column("word", pa.string(), "searched for", nullable=True),
        column("tags", pa.list_(pa.int32()), "of the page"),
        column("vector", pa.list_(pa.float32(), 4), "of the page", shape=(2, 2)),
        column("seen", pa.timestamp("us", "UTC"), "when"),
        column("clicked", pa.bool_(), "whether"),
        column("user", pa.string(), "who", pii=True),
        column("paid", pa.decimal128(9, 2), "in the end"),
    ]
)
ROWS = {"train": 90, "test": 30}
DEVICES = ("phone", "tablet", "desktop")


def ads(rows: int, seed: int, scale: float) -> pa.Table:
    """Rows with every kind of column; the scale of the price differs by split."""
    draw = np.random.default_rng(seed)
    start = datetime.datetime(2021, 1, 1, tzinfo=datetime.UTC)
    return pa.table(
        {
            "price": draw.random(rows) * scale,
            "device": [DEVICES[i] for i in draw.choice(3, rows, p=(0.6, 0.3, 0.1))],
            "word": [None if i % 4 == 1 else f"wörd {i % 7}" for i in range(rows)],
            "tags": [list(range(i % 3)) for i in range(rows)],
            "vector": draw.random((rows, 4), dtype=np.float32).tolist(),
            "seen": [start + datetime.timedelta(seconds=i) for i in range(rows)],
            "clicked": [i % 5 == 0 for i in range(rows)],
            "user": [f"user {i}" for i in range(rows)],
            "paid": [Decimal(i) for i in range(rows)],
        },
        schema=ADS,
    )


def preprocessing_fn(inputs):
    """One of each kind of analyzer and of column."""
    crossed = tf.strings.join([inputs["device"], tf.strings.as_string(inputs["clicked"])], "x")
    return {
        "price_z": tft.scale_to_z_score(inputs["price"]),
        "price_bucket": tft.bucketize(inputs["price"], 4),
        "device_id": tft.compute_and_apply_vocabulary(inputs["device"], vocab_filename="device"),
        "word_id": tft.compute_and_apply_vocabulary(inputs["word"]),
        "tags": inputs["tags"],
        "vector": tft.scale_to_0_1(inputs["vector"]),
        "hour": inputs["seen"] // 3_600_000_000,
        "cross": tft.hash_strings(crossed, 10),
        "device": inputs["device"],
    }


def scaled(inputs):
    """The smallest one."""
    return {"price_z": tft.scale_to_z_score(inputs["price"])}


# `scaled` in a process of its own.
KILLED = """
import sys
import ailab_dataproc as adp
from test_transform import scaled
adp.transform("test/ads", scaled, name="test/killed", version="1.0.0", formats=("parquet",), data_dir=sys.argv[1])
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A data directory with a prepared dataset: two files of train, one of test, a shard each."""
    place = tmp_path_factory.mktemp("transform")
    for split, seed, scale, files in (("train", 0, 100, 2), ("test", 1, 1000, 1)):
        table, rows = ads(ROWS[split], seed, scale), ROWS[split] // files
        for i in range(files):
            folder = place / split / str(i)
            folder.mkdir(parents=True)
            pq.write_table(table.slice(i * rows, rows), folder / "a.parquet")
    splits = {split: str(place / split / "*" / "a.parquet") for split in ROWS}
    dataset = adp.Dataset(name="test/ads", version="1.2.0", schema=ADS, splits=splits, owner="ads team")
    layout = Layout(shard_bytes=16)  # so that neighbours are no group
    options = Options(runner="inline", formats=("parquet",), layout=layout)
    pipeline.prepare_dataset(dataset, storage.folder(str(place / "data")), options)
    return str(place / "data")


@pytest.fixture(scope="module")
def made(source):
    """The features of all kinds, of both splits."""
    adp.transform("test/ads", preprocessing_fn, name="test/features", version="1.0.0", data_dir=source)
    return source


@pytest.fixture
def again(source, tmp_path):
    """Make `scaled` features, of other rows or otherwise, under a name of their own."""

    def make(function=scaled, **given):
        options = {"name": f"test/{tmp_path.name.lower()}", "version": "1.0.0", "runner": "inline"}
        return adp.transform("test/ads", function, data_dir=source, **{"formats": ("parquet",)} | options | given)

    return make


def raw(split="train", rows=None):
    return ads(ROWS[split], {"train": 0, "test": 1}[split], {"train": 100, "test": 1000}[split])


def price(split):
    return raw(split)["price"].to_numpy().astype(np.float32)


def loaded(data_dir, split, name="test/features", **given):
    return adp.load(name, split=split, backend="arrow", data_dir=data_dir, **given)


def bytes_of(report):
    place = Path(report.location)
    return {one.name: one.read_bytes() for one in sorted((place / "parquet").iterdir())}


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_z_score_is_that_of_the_train_split_on_every_split(made, split):
    mean, deviation = price("train").mean(), price("train").std()
    found = loaded(made, split)["price_z"].to_numpy()
    np.testing.assert_allclose(found, (price(split) - mean) / deviation, rtol=1e-4, atol=1e-5)


def test_the_buckets_are_quarters_of_the_train_split(made):
    buckets = loaded(made, "train")["price_bucket"].to_numpy()
    assert set(buckets) == {0, 1, 2, 3}
    assert np.abs(np.bincount(buckets) - ROWS["train"] / 4).max() <= 2
    order = np.argsort(price("train"))
    assert (np.diff(buckets[order]) >= 0).all()
    assert set(loaded(made, "test")["price_bucket"].to_numpy()[price("test") > 100]) == {3}


def test_a_vocabulary_numbers_values_by_how_often_they_are(made):
    ids = dict(zip(raw()["device"].to_pylist(), loaded(made, "train")["device_id"].to_pylist(), strict=True))
    counts = raw()["device"].to_pandas().value_counts()
    assert ids == {device: number for number, device in enumerate(counts.index)}


def test_a_nullable_column_becomes_lists_of_none_or_one(made):
    words, ids = raw()["word"].to_pylist(), loaded(made, "train")["word_id"].to_pylist()
    assert [len(one) for one in ids] == [0 if word is None else 1 for word in words]
    pairs = {(word, one[0]) for word, one in zip(words, ids, strict=True) if word}
    assert len(pairs) == 7


def test_lists_text_times_and_shapes_come_through(made):
    found = loaded(made, "train")
    assert found["tags"].to_pylist() == raw()["tags"].to_pylist()
    assert found["device"].to_pylist() == raw()["device"].to_pylist()
    assert found.schema.field("device").type == pa.string()
    assert found["hour"].to_pylist() == [int(t.timestamp()) // 3600 for t in raw()["seen"].to_pylist()]
    assert found.schema.field("vector").type == pa.list_(pa.float32(), 4)
    vectors = np.array(raw()["vector"].to_pylist(), np.float32)
    expected = (vectors - vectors.min()) / (vectors.max() - vectors.min())
    np.testing.assert_allclose(np.array(found["vector"].to_pylist()), expected, rtol=1e-4, atol=1e-6)
    assert adp.load("test/features", split="train", columns=["vector"], backend="numpy", data_dir=made)[
        "vector"
    ].shape == (90, 2, 2)


def test_a_shard_stays_a_shard_and_rows_stay_in_order(made):
    place = storage.folder(made)
    manifests = [open_prepared(place, name).manifest for name in ("test/ads", "test/features")]
    assert manifests[0].splits == manifests[1].splits == {"train": [45, 45], "test": [30]}
    order = np.argsort(np.argsort(price("train")))
    assert (np.argsort(np.argsort(loaded(made, "train")["price_z"].to_numpy())) == order).all()


def test_pandas_and_plain_tfds_read_the_result(made):
    import tensorflow_datasets as tfds

    frame = adp.load("test/features", split="test", backend="pandas", data_dir=made)
    assert frame.shape == (30, 9)
    rows = list(tfds.as_numpy(tfds.load("features:1.*.*", data_dir=f"{made}/test", split="test")))
    np.testing.assert_array_equal([row["price_z"] for row in rows], frame["price_z"].to_numpy(np.float32))
    assert rows[0]["vector"].shape == (2, 2)


def test_the_graph_serves_what_was_prepared(made):
    layer = adp.transform_graph("test/features", data_dir=made).transform_features_layer()
    inputs = {
        "price": tf.constant(price("test")),
        "device": tf.constant(raw("test")["device"].to_pylist()),
        "clicked": tf.constant(raw("test")["clicked"].to_numpy().astype(np.int64)),
    }
    found = layer(inputs)
    np.testing.assert_array_equal(found["price_z"], loaded(made, "test")["price_z"].to_numpy())
    np.testing.assert_array_equal(found["cross"], loaded(made, "test")["cross"].to_numpy())


def test_the_graph_tells_how_requests_are_parsed(made):
    spec = adp.transform_graph("test/features:1.0.0", data_dir=made).raw_feature_spec()
    assert spec["price"] == tf.io.FixedLenFeature([], tf.float32)
    assert "user" not in spec


def test_verify_covers_the_graph(made):
    prepared = open_prepared(storage.folder(made), "test/features")
    assert "transform_graph/transform_fn/saved_model.pb" in prepared.manifest.files
    assert not list(verify_version(prepared))
    vocabulary = Path(prepared.folder.url) / "transform_graph/transform_fn/assets/device"
    kept = vocabulary.read_bytes()
    vocabulary.write_bytes(kept + b"x")
    faults = [fault.path for fault in verify_version(prepared)]
    vocabulary.write_bytes(kept)
    assert faults == ["transform_graph/transform_fn/assets/device"]


def test_manifest_and_describe_tell_what_it_was_made_from(made):
    place = storage.folder(made)
    origin = open_prepared(place, "test/ads").manifest
    manifest = open_prepared(place, "test/features").manifest
    (found,) = manifest.lineage.derived_from
    assert (found.name, found.version, found.fingerprint) == ("test/ads", "1.2.0", origin.fingerprint)
    assert manifest.lineage.options == {"analyze": "train", "public": []}
    told = describe("test/features", Settings(data_dir=made))
    assert told["made_from"] == "test/ads:1.2.0 by test_transform.preprocessing_fn"
    assert told["owner"] == "ads team"


def test_a_manifest_from_before_lineage_is_read(made):
    file = Path(made) / "test/ads/1.2.0/manifest.json"
    kept = file.read_text()
    file.write_text(json.dumps({key: value for key, value in json.loads(kept).items() if key != "lineage"}))
    manifest = read_manifest(storage.folder(str(file.parent)))
    file.write_text(kept)
    assert manifest.lineage is None


def test_a_slice_with_filters_is_transformed_by_its_own_statistics(again, source):
    report = again(split="train[:60]+test[10:20]", filters=[("price", "<", 50)])
    assert json.loads((Path(report.location) / "manifest.json").read_text())["lineage"]["options"]["analyze"] == (
        "train[0:60]"
    )
    kept = price("train")[:60]
    kept = kept[kept < 50]
    found = loaded(source, "train", name=report.dataset.split(":")[0])["price_z"].to_numpy()
    np.testing.assert_allclose(found, (kept - kept.mean()) / kept.std(), rtol=1e-4, atol=1e-5)


def test_statistics_may_come_from_any_split(again, source):
    report = again(analyze="test", split="test")
    found = loaded(source, "test", name=report.dataset.split(":")[0])["price_z"].to_numpy()
    np.testing.assert_allclose(found.mean(), 0, atol=1e-4)


def test_the_shards_are_the_same_bytes_on_any_runner(again, tmp_path):
    first = again(preprocessing_fn, name="test/bytes_inline", runner="inline")
    second = again(preprocessing_fn, name="test/bytes_threads", runner="threads", workers=2)
    assert bytes_of(first) == bytes_of(second)


def test_it_runs_on_processes(again):
    assert bytes_of(again(name="test/on_processes", runner="processes", workers=2)) == bytes_of(again())


def test_a_version_that_is_there_is_not_made_again(again):
    assert not again().reused
    assert again().reused


def test_other_code_or_another_selection_needs_another_version(again):
    again()
    with pytest.raises(VersionConflict, match="its code differs"):
        again(preprocessing_fn)
    with pytest.raises(VersionConflict, match="its origin differs"):
        again(split="train[:50%]", analyze="train")
    with pytest.raises(VersionConflict, match="its options differs"):
        again(analyze="test")


def test_the_arguments_of_a_partial_are_code(again):
    def bucketed(inputs, count):
        return {"bucket": tft.bucketize(inputs["price"], count)}

    again(functools.partial(bucketed, count=3))
    assert again(functools.partial(bucketed, count=3)).reused
    with pytest.raises(VersionConflict, match="code"):
        again(functools.partial(bucketed, count=4))


def test_a_graph_is_kept_for_the_next_run_where_a_cluster_fails(again, source):
    name = "test/kept"
    with pytest.raises(ClusterFailed, match="no Dask scheduler answers"):
        again(name=name, runner="dask", cluster="tcp://127.0.0.1:9")
    (stage,) = Path(source, name).glob(".incomplete-1.0.0-*")
    graph = (stage / "graph/transform_fn/saved_model.pb").read_bytes()
    report = again(name=name)
    assert (Path(report.location) / "transform_graph/transform_fn/saved_model.pb").read_bytes() == graph
    assert [one.name for one in Path(source, name).iterdir()] == ["1.0.0"]


@pytest.mark.slow
def test_a_run_that_is_killed_shows_nothing_and_the_next_one_finishes(source, again):
    """Killed while the graph is written, and again when it is there."""
    place = Path(source, "test/killed")
    for sign in ("*/graph", "*/analyzed.json"):
        run = subprocess.Popen([sys.executable, "-c", KILLED, source], cwd=Path(__file__).parent)
        while run.poll() is None and not list(place.glob(f".incomplete-{sign}")):
            time.sleep(0.005)
        run.kill()
        run.wait()
        assert not (place / "1.0.0").exists()
    report = again(name="test/killed", runner="threads")
    assert bytes_of(report) == bytes_of(again())
    assert [one.name for one in place.iterdir()] == ["1.0.0"]


def test_personal_data_needs_leave_and_its_outputs_are_personal(again, source):
    def users(inputs):
        return {"user_id": tft.compute_and_apply_vocabulary(inputs["user"]), "price": inputs["price"]}

    with pytest.raises(InvalidRequest, match="'user' holds personal data"):
        again(users)
    report = again(users, allow_pii=True, public=["price"])
    columns = read_manifest(storage.folder(report.location)).columns
    assert {one["name"]: one["pii"] for one in columns} == {"user_id": True, "price": False}


def test_a_function_that_raises_is_told_in_a_sentence(again):
    def broken(inputs):
        return 1 / 0

    with pytest.raises(SourceFailed, match=r"broken: it raised ZeroDivisionError: division by zero. Mend it."):
        again(broken)


def test_an_unknown_column_is_told_with_its_neighbours(again):
    with pytest.raises(UnknownName, match=r"no column 'prise'. Did you mean 'price'"):
        again(lambda inputs: {"a": inputs["prise"]})
    with pytest.raises(UnknownName, match=r"no column 'prise'. Did you mean 'price'"):
        again(columns=["prise"])


def test_a_column_that_tensors_cannot_hold_is_named(again):
    with pytest.raises(InvalidRequest, match=r"column 'paid' is decimal128\(9, 2\), which tf.Transform can't take"):
        again(lambda inputs: {"a": inputs["paid"]})
    with pytest.raises(InvalidRequest, match="column 'paid' is decimal128"):
        again(columns=["price", "paid"])


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda inputs: [inputs["price"]], "it returned list, wanted a dict of tensors"),
        (lambda inputs: {}, "it returned an empty dict, wanted a dict of tensors"),
        (lambda inputs: {"a": 1}, "output 'a' is a int, wanted a tensor"),
        (lambda inputs: {"a": inputs["price"] > 1}, "output 'a' is bool, wanted int64, float32 or string. Use tf.cast"),
        (lambda inputs: {"a": tf.constant([1.0])}, "it uses no column of test/ads:1.2.0"),
        (lambda inputs: {"a": tf.reduce_mean(inputs["price"])}, "output 'a' has no row dimension"),
        (lambda inputs: {"a": inputs["price"][:1]}, "a preprocessing_fn keeps the number"),
        (lambda inputs: {"a.b": inputs["price"]}, "'a.b' can't be a column's name"),
    ],
)
def test_what_a_function_may_not_return_is_told(again, function, told):
    with pytest.raises(ValueError, match=told):
        again(function)


def test_what_is_no_function_is_refused(again):
    with pytest.raises(InvalidRequest, match="preprocessing_fn=3: wanted a function"):
        again(3)


def test_an_unknown_split_or_output_is_told(again):
    with pytest.raises(UnknownName, match="no split 'trian'"):
        again(analyze="trian")
    with pytest.raises(UnknownName, match="no output 'price'"):
        again(public=["price"])


def test_an_empty_selection_is_refused(again):
    with pytest.raises(InvalidRequest, match="has no row that is asked for"):
        again(split="train[:0]")


def test_a_failure_leaves_nothing_behind(again, source):
    with pytest.raises(ValueError, match="keeps the number"):
        again(lambda inputs: {"a": inputs["price"][:1]}, name="test/left")
    assert not Path(source, "test/left").exists()


def test_a_version_without_a_graph_says_so(source):
    with pytest.raises(InvalidRequest, match="holds no graph, since it was not made by transform"):
        adp.transform_graph("test/ads", data_dir=source)


def test_the_command_line_imports_the_function_from_a_file(source, tmp_path):
    file = tmp_path / "my_features.py"
    file.write_text(
        "import tensorflow_transform as tft\n\n\n"
        "def preprocessing_fn(inputs):\n    return {'price_z': tft.scale_to_z_score(inputs['price'])}\n"
    )
    options = ["--name", "test/by_command", "--version", "1.0.0", "--runner", "inline", "--data-dir", source, "--json"]
    call = ["transform", "test/ads", f"{file}:preprocessing_fn", *options, "--filter", "price < 50"]
    done = CliRunner().invoke(cli, call)
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["step"] == "transform"
    shown = CliRunner().invoke(cli, ["describe", "test/by_command", "--data-dir", source])
    assert "made from    test/ads:1.2.0 where price < 50" in shown.stdout
    assert "by my_features.preprocessing_fn" in shown.stdout
    assert (Path(told["location"]) / "definition.py").read_text() == file.read_text()


@pytest.mark.parametrize(
    ("function", "told"),
    [
        ("nothing", "'nothing' is no MODULE:FUNCTION"),
        ("no_such_module:f", "importing 'no_such_module' raised ModuleNotFoundError"),
        ("test_transform:preprocesing_fn", "no function 'preprocesing_fn'. Did you mean 'preprocessing_fn'"),
    ],
)
def test_the_command_line_tells_which_function_it_cannot_find(source, function, told):
    options = ["--name", "test/none", "--version", "1.0.0", "--data-dir", source]
    done = CliRunner().invoke(cli, ["transform", "test/ads", function, *options])
    assert done.exit_code == 2
    assert told in done.stderr


def test_from_bucket_to_bucket_with_the_graph_in_the_cache(define, bucket, tmp_path):
    adp.prepare(define(), data_dir=bucket, runner="inline", formats=("parquet",))

    def words(inputs):
        return {"word_id": tft.compute_and_apply_vocabulary(inputs["word"]), "user": inputs["user"]}

    adp.transform("test/clicks", words, name="test/words", version="1.0.0", formats=("parquet",))
    assert adp.load("test/words", backend="arrow")["user"].to_pylist() == list(range(20))
    assert not list(
        verify_version(open_prepared(storage.folder(bucket, load_settings().storage_options), "test/words"))
    )
    for _ in range(2):  # fetched, and found
        graph = adp.transform_graph("test/words")
        found = graph.transform_features_layer()(
            {"user": tf.constant([1], tf.int64), "word": tf.sparse.from_dense([[""]])}
        )
        assert found["user"].numpy() == [1]
    (kept,) = (tmp_path / "cache" / "graphs").iterdir()
    assert (kept / "transform_fn/saved_model.pb").exists()


def test_a_portable_runner_of_beam_analyzes_too(again, source, tmp_path):
    config = tmp_path / "embedded.yaml"
    options = {"job_endpoint": "embed", "environment_type": "LOOPBACK"}
    config.write_text(yaml.safe_dump({"runner": "PortableRunner", "options": options}))
    report = again(runner=str(config))
    assert bytes_of(report) == bytes_of(again(name="test/portable"))


def table_of(values, kind, data_dir, tmp_path, **given):
    """Prepare a dataset of one column, and transform it as it is."""
    written = pa.list_(kind.value_type) if pa.types.is_fixed_size_list(kind) else kind  # a null one can't be read back
    pq.write_table(pa.table({"x": pa.array(values, written)}), tmp_path / "x.parquet")
    schema = pa.schema([column("x", kind, "a value", **given)])
    dataset = adp.Dataset(name="test/x", version="1.0.0", schema=schema, splits={"all_of": str(tmp_path / "x.parquet")})
    adp.prepare(dataset, data_dir=data_dir, runner="inline", formats=("parquet",))

    def same(inputs):
        return {"y": inputs["x"]}

    options = {"formats": ("parquet",), "data_dir": data_dir, "runner": "inline"}
    adp.transform("test/x", same, name="test/y", version="1.0.0", **options)
    return adp.load("test/y", backend="arrow", data_dir=data_dir)["y"]


@pytest.mark.parametrize(
    ("values", "kind", "nullable", "expected"),
    [
        ([1, 2**63 - 1], pa.uint64(), False, [1, 2**63 - 1]),
        ([0.1, float("inf")], pa.float64(), False, [np.float32(0.1), float("inf")]),
        ([True, None], pa.bool_(), True, [[1], []]),
        ([datetime.date(1970, 1, 3)], pa.date32(), False, [2]),
        ([datetime.timedelta(milliseconds=5)], pa.duration("ms"), False, [5]),
        (["日本", ""], pa.large_string(), False, ["日本", ""]),
        (["a", None, "b"], pa.dictionary(pa.int32(), pa.string()), True, [["a"], [], ["b"]]),
        ([["a", "b"], []], pa.list_(pa.string()), False, [["a", "b"], []]),
        ([[1.5], None], pa.large_list(pa.float32()), True, [[1.5], []]),
        ([[1, 2], None], pa.list_(pa.int16(), 2), True, [[1, 2], []]),
        ([[1, 2], [3, 4]], pa.list_(pa.int8(), 2), False, [[1, 2], [3, 4]]),
    ],
    ids=lambda value: str(value) if isinstance(value, pa.DataType) else "",
)
def test_values_of_each_type_come_through(values, kind, nullable, expected, data_dir, tmp_path):
    assert table_of(values, kind, data_dir, tmp_path, nullable=nullable).to_pylist() == expected


@pytest.mark.parametrize(
    ("values", "kind", "told"),
    [
        ([2**63], pa.uint64(), r"column 'x' \(uint64\) holds a value that int64 can't"),
        ([1e300], pa.float64(), r"column 'x' \(double\) holds a value that float can't"),
        ([[1, None]], pa.list_(pa.int64()), "column 'x' holds a null inside a list"),
        ([b"\xff"], pa.binary(), "output 'y' doesn't fit string .* tf.io.encode_base64"),
    ],
)
def test_a_value_that_would_be_lost_is_told_with_its_shard(values, kind, told, data_dir, tmp_path):
    with pytest.raises(InvalidData, match=rf"x/1.0.0/parquet/all_of-.*.parquet: {told}"):
        table_of(values, kind, data_dir, tmp_path)
