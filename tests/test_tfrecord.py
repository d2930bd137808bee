"""What the TFRecord encoder writes: protobuf's own bytes, read back by plain TFDS."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ailab_dataproc.columns import column
from ailab_dataproc.dataset import Dataset
from ailab_dataproc.errors import InvalidData, InvalidDefinition
from ailab_dataproc.preparation import tfds as metadata
from ailab_dataproc.preparation.tfrecord import Encoder

tf = pytest.importorskip("tensorflow")
TEMPLATE = "tfrecord/{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"


def batch(kind, values, *, nullable=False, shape=None):
    """One column "x"."""
    schema = pa.schema([column("x", kind, "what x is", nullable=nullable, unit="s", shape=shape)])
    return pa.record_batch([pa.array(values, kind)], schema=schema)


def encode(rows):
    return Encoder(rows.schema, "ds").encode(rows)


def records(data, folder):
    """The records that TensorFlow reads; it checks every CRC."""
    path = os.path.join(folder, "one.tfrecord")
    with open(path, "wb") as file:
        file.write(data)
    return [record.numpy() for record in tf.data.TFRecordDataset(path)]


def example(**features):
    """Protobuf's deterministic bytes of an Example; bytes, float or int64 by the values' type."""
    message = tf.train.Example(features=tf.train.Features())
    for key, (kind, values) in features.items():
        getattr(message.features.feature[key], f"{kind}_list").SetInParent()
        getattr(message.features.feature[key], f"{kind}_list").value.extend(values)
    return message.SerializeToString(deterministic=True)


def prepare(folder, *shards, name="rows", split="train"):
    """Write shards and TFDS's metadata as a prepared version lies on disk."""
    version = os.path.join(folder, name, "1.0.0")
    os.makedirs(os.path.join(version, "tfrecord"))
    sizes = []
    for index, rows in enumerate(shards):
        data = encode(rows)
        sizes.append(len(data))
        file = f"{name}-{split}.tfrecord-{index:05d}-of-{len(shards):05d}"
        with open(os.path.join(version, "tfrecord", file), "wb") as out:
            out.write(data)
    files = metadata.SplitFiles(tuple(rows.num_rows for rows in shards), sum(sizes))
    dataset = Dataset(
        name=name,
        version="1.0.0",
        schema=shards[0].schema,
        splits={split: "rows"},
        description="What a row is.",
        citation="me",
        license="MIT",
        homepage="https://example.com",
        release_notes={"1.0.0": "first"},
    )
    metadata.write_metadata(version, dataset, splits={split: files}, file_template=TEMPLATE, metadata={"owner": "ads"})
    return version


def loaded(folder, *shards, split="train"):
    import tensorflow_datasets as tfds

    prepare(folder, *shards)
    return list(tfds.as_numpy(tfds.load("rows:1.*.*", data_dir=str(folder), split=split)))


OLD = datetime.datetime(1600, 2, 29, tzinfo=datetime.UTC)
OLD_US = (OLD - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(microseconds=1)
INTS = [(getattr(pa, f"{u}int{b}")(), np.iinfo(f"{u}int{b}")) for u in ("", "u") for b in (8, 16, 32, 64)]
LONG = "日" * 7000
SAME = [  # type, values, what TFDS gives back
    *[(kind, [int(info.min), 0, 1, int(info.max)], None) for kind, info in INTS],
    (pa.bool_(), [True, False], None),
    (pa.float16(), [np.float16(1.5), np.float16("nan")], None),
    (pa.float32(), [1.5, float("nan"), float("inf"), -0.0], None),
    (pa.float64(), [1e300, float("nan"), float("-inf"), 0.1], None),
    (pa.string(), ["", "日本 é", LONG], [b"", "日本 é".encode(), LONG.encode()]),
    (pa.large_binary(), [b"", b"\xff\x00"], None),
    (pa.dictionary(pa.int8(), pa.string()), ["a", "b", "a"], [b"a", b"b", b"a"]),
    (pa.timestamp("us", "UTC"), [OLD], [OLD_US]),
    (pa.date32(), [datetime.date(1969, 12, 31), datetime.date(2026, 1, 1)], [-1, 20454]),
    (pa.decimal128(38, 2), [Decimal("-123456789012345678901234567890123456.78")],
     [b"-123456789012345678901234567890123456.78"]),
    (pa.list_(pa.int64()), [[], [1, -2, 300], [2**63 - 1]], None),
    (pa.list_(pa.float32()), [[], [0.5], [1, 2]], None),
    (pa.list_(pa.float64()), [[], [1e300, 0.1]], None),
    (pa.list_(pa.string()), [[], ["", "é"], ["a" * 200]], [[], [b"", "é".encode()], [b"a" * 200]]),
    (pa.large_list(pa.uint64()), [[2**64 - 1], []], None),
    (pa.list_(pa.float64(), 2), [[1e300, 0], [1, 2]], None),
    (pa.list_(pa.list_(pa.float32(), 2), 1), [[[1, 2]], [[3, 4]]], None),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "values", "expected"), SAME, ids=[str(kind) for kind, *_ in SAME])
def test_plain_tfds_gives_back_every_value(tmp_path, kind, values, expected):
    rows = loaded(tmp_path, batch(kind, values))
    assert len(rows) == len(values)
    for row, value in zip(rows, expected or values, strict=True):
        np.testing.assert_array_equal(row["x"], value)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        assert rows[0]["x"].dtype == kind.to_pandas_dtype()


NULLS = [
    (pa.int64(), 5, -(2**63)), (pa.int8(), 5, -128), (pa.uint64(), 2**64 - 1, 0), (pa.bool_(), True, False),
    (pa.float32(), 1.5, np.finfo(np.float32).min), (pa.string(), "é", b""), (pa.decimal128(9, 2), Decimal("1.50"), b""),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "null"), NULLS, ids=[str(kind) for kind, *_ in NULLS])
def test_a_null_scalar_is_left_out_and_tfds_shows_its_own_stand_in(tmp_path, kind, value, null):
    rows = batch(kind, [None, value], nullable=True)
    assert records(encode(rows), tmp_path)[0] == b"\x0a\x00"  # an Example with an empty map
    first, second = loaded(tmp_path, rows)
    stored = value.encode() if isinstance(value, str) else b"1.50" if isinstance(value, Decimal) else value
    assert (first["x"], second["x"]) == (null, stored)


def test_a_null_float64_is_an_empty_array_beside_a_nan(tmp_path):
    rows = loaded(tmp_path, batch(pa.float64(), [None, float("nan"), 1e300], nullable=True))
    assert [row["x"].tolist() for row in rows][::2] == [[], [1e300]]
    assert np.isnan(rows[1]["x"]).tolist() == [True]


def test_shapes_structs_and_lists_of_lists_come_back(tmp_path):
    inner = pa.struct([pa.field("n", pa.int32(), nullable=False), pa.field("words", pa.list_(pa.string()))])
    schema = pa.schema(
        [
            column("image", pa.list_(pa.uint8(), 4), shape=(2, 2)),
            column("s", inner),
            column("r", pa.list_(pa.list_(pa.int64()))),
        ]
    )
    row = {"image": [1, 2, 3, 255], "s": {"n": -7, "words": ["a", ""]}, "r": [[1], [], [2, 3]]}
    rows = pa.RecordBatch.from_pylist([row, {**row, "r": []}], schema=schema)
    first, second = loaded(tmp_path, rows)
    assert first["image"].tolist() == [[1, 2], [3, 255]]
    assert first["image"].dtype == np.uint8
    assert first["s"]["n"] == -7
    assert first["s"]["words"].tolist() == [b"a", b""]
    assert (first["r"].to_list(), second["r"].to_list()) == ([[1], [], [2, 3]], [])


def test_the_bytes_are_protobufs_own_on_many_random_rows(tmp_path):
    random = np.random.default_rng(0)
    n = 20_000  # several chunks
    ints = [
        int(value) >> int(shift)
        for value, shift in zip(random.integers(-(2**63), 2**63 - 1, n), random.integers(0, 64, n), strict=True)
    ]
    lists = [random.integers(-300, 300, size).tolist() for size in random.integers(0, 60, n)]
    texts = ["é" * int(size) for size in random.integers(0, 100, n)]
    texts[n // 2] = "x" * 20_000
    maybe = [None if value % 3 == 0 else value for value in ints]
    words = [[text, ""][: i % 3] for i, text in enumerate(texts)]
    floats = random.random(n).astype(np.float32)
    deep = [[values, []][: i % 3] for i, values in enumerate(lists)]
    data = {"z": ints, "a": lists, "text": texts, "maybe": maybe, "words": words, "f": floats, "deep": deep}
    found = records(encode(pa.record_batch(data)), tmp_path)
    assert len(found) == n
    for i, record in enumerate(found):
        assert record == example(
            z=("int64", [ints[i]]), a=("int64", lists[i]), f=("float", [floats[i]]),
            text=("bytes", [texts[i].encode()]), words=("bytes", [word.encode() for word in words[i]]),
            **({} if maybe[i] is None else {"maybe": ("int64", [maybe[i]])}),
            **{"deep/ragged_flat_values": ("int64", [v for values in deep[i] for v in values]),
               "deep/ragged_row_lengths_0": ("int64", [len(values) for values in deep[i]])},
        )  # fmt: skip


STRUCT = pa.struct([pa.field("a", pa.int64(), nullable=False)])
SLICED = [
    *((kind, values) for kind, values, _ in SAME),
    (pa.list_(pa.list_(pa.string())), [[], [["a"], []], [["b", ""]]]),
    (STRUCT, [{"a": 1}, {"a": -2}]),
]


@pytest.mark.parametrize(("kind", "values"), SLICED, ids=[str(kind) for kind, _ in SLICED])
def test_a_sliced_batch_gives_the_same_bytes_as_its_copy(kind, values):
    whole = batch(kind, values[::-1] + values + values)
    assert encode(whole.slice(len(values), len(values))) == encode(batch(kind, values))
    assert encode(whole.slice(1, 0)) == encode(batch(kind, [])) == b""


def test_lists_that_are_all_empty_are_kept(tmp_path):
    for kind in (pa.int64(), pa.float32(), pa.string(), pa.list_(pa.string())):
        assert len(records(encode(batch(pa.list_(kind), [[], []])), tmp_path)) == 2


REFUSED_ROWS = [
    (pa.list_(pa.int64()), [[1], None], True, "column 'x' row 1: a null list can't be told from an empty one"),
    (pa.list_(pa.list_(pa.int64())), [[[1]], [[], None]], True, "column 'x' row 1: a null list can't be told"),
    (pa.list_(pa.int64()), [[], [1, 2], [None]], True, "column 'x' row 2: a null inside a list has no place"),
    (pa.list_(pa.float64()), [[], [1, None]], True, "column 'x' row 1: a null inside a list has no place"),
    (pa.list_(pa.int8(), 2), [[1, 2], None], True, "column 'x' row 1: a null list of a fixed size has no place"),
    (STRUCT, [{"a": 1}, None], True, "column 'x' row 1: a null struct can't be told from a struct of nulls"),
    (STRUCT, [{"a": None}], True, "column 'x.a' row 0: a null, but the column isn't nullable"),
    (pa.int64(), [1] * 20_000 + [None], False, "column 'x' row 20000: a null, but the column isn't nullable"),
]


@pytest.mark.parametrize(("kind", "values", "nullable", "message"), REFUSED_ROWS)
def test_a_null_that_would_be_lost_stops_with_its_column_and_row(kind, values, nullable, message):
    with pytest.raises(InvalidData, match=message) as error:
        encode(batch(kind, values, nullable=nullable))
    assert "Prepare with formats=('parquet',), or " in str(error.value)


REFUSED_TYPES = [
    pa.map_(pa.string(), pa.int64()), pa.null(), pa.list_(STRUCT), pa.list_(pa.list_(pa.float64())), pa.struct([]),
    pa.list_(pa.list_(pa.int64(), 2)), pa.list_(pa.list_(pa.int64()), 2), pa.month_day_nano_interval(), pa.uuid(),
]  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED_TYPES, ids=str)
def test_a_type_that_an_example_cant_hold_is_refused_by_name(kind):
    with pytest.raises(
        InvalidDefinition, match=r"^ads: column 'x' is .*can't hold. Prepare with formats=\('parquet',\)"
    ):
        Encoder(pa.schema([column("x", kind, nullable=True)]), "ads")


def test_a_batch_of_another_schema_is_refused():
    with pytest.raises(InvalidData, match="Cast it to the schema first"):
        Encoder(pa.schema([column("x", pa.int64())]), "ads").encode(batch(pa.int32(), [1]))


def test_the_metadata_are_the_same_in_every_folder_and_carry_meaning_and_license(tmp_path):
    one, two = (prepare(tmp_path / part, batch(pa.int64(), [1])) for part in ("a", "b"))
    for name in ("dataset_info.json", "features.json", "metadata.json", "LICENSE"):
        text = Path(one, name).read_text()
        assert text == Path(two, name).read_text()
        assert str(tmp_path) not in text
    assert "what x is [s]" in Path(one, "features.json").read_text()


def test_sub_splits_and_empty_shards_are_read(tmp_path):
    full, empty = batch(pa.int64(), list(range(10))), batch(pa.int64(), [])
    assert [row["x"] for row in loaded(tmp_path, empty, full, empty, full, split="train[25%:75%]")] == [
        *range(5, 10),
        *range(5),
    ]


def test_a_split_without_rows_can_be_described_but_tfds_refuses_to_read_it(tmp_path):
    with pytest.raises(ValueError, match="corresponds to no data"):
        loaded(tmp_path, batch(pa.int64(), []))


def test_a_null_that_hides_in_a_dictionary_is_found():
    hidden = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), pa.array(["a", None]))
    schema = pa.schema([column("x", hidden.type)])
    with pytest.raises(InvalidData, match="column 'x' row 1: a null, but the column isn't nullable"):
        encode(pa.record_batch([hidden], schema=schema))


def test_another_process_reads_it_without_this_package(tmp_path):
    prepare(tmp_path / "products" / "product_a", batch(pa.int64(), list(range(20))), name="clicks")
    code = (
        "import sys, tensorflow_datasets as tfds\n"
        "ds, info = tfds.load('clicks:1.*.*', data_dir=sys.argv[1], split='train[:10%]', with_info=True)\n"
        "print([int(row['x']) for row in ds], info.metadata['owner'], info.splits['train'].num_examples)\n"
        "assert 'ailab_dataproc' not in sys.modules\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "products" / "product_a")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[0, 1] ads 20"


def test_encoding_and_metadata_need_no_tensorflow(tmp_path):
    code = (
        "import sys, pyarrow as pa\n"
        "from ailab_dataproc.preparation import tfds, tfrecord\n"
        "schema = pa.schema([('x', pa.int64())])\n"
        "tfrecord.Encoder(schema, 'ds').encode(pa.record_batch([pa.array([1])], schema=schema))\n"
        "assert 'tensorflow_datasets' not in sys.modules\n"
        "from ailab_dataproc import Dataset\n"
        "dataset = Dataset(name='ds', version='1.0.0', schema=schema, splits={'train': 'x'})\n"
        "tfds.write_metadata(sys.argv[1], dataset, splits={'train': tfds.SplitFiles((1,), 9)}, metadata={},\n"
        f"    file_template={TEMPLATE!r})\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
