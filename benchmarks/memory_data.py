"""Datasets of eight schemas, of 250 to 500 MB as Arrow, whose loads are predicted and measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

import ailab_dataproc as adp
from ailab_dataproc.columns import column
from ailab_dataproc.dataset import Dataset, Source

LOG = "products/ad_log/impressions"
AD_LOG = "ad log"  # the case
ROWS = 4_000_000  # of the ad log
BATCH = 20_000  # rows at most that a source yields at a time
SOURCES = {"numbers": 3, "long texts": 2, "images, embeddings": 16}  # of a dataset, so as many shards; others have 8

Make = Callable[[np.random.Generator, int], pa.Array]


def prepare_case(case: str, data_dir: str, rows: float) -> str:
    """Prepare one dataset and return its name.

    Args:
        case: a key of `SCHEMAS`, or the ad log.
        data_dir: where.
        rows: times the usual number of rows.
    """
    if case == AD_LOG:
        source = {"train": f"synthetic:rows={max(int(ROWS * rows), 1)},seed=0", "test": "synthetic:rows=1,seed=1"}
        adp.prepare(LOG, data_dir=data_dir, sources=source, formats=("parquet",))
        return LOG
    count, columns = SCHEMAS[case]
    name = dataset_name(case)
    sources = SOURCES.get(case, 8)
    each = max(int(count * rows / sources), 1)

    def read(source: Source) -> Iterator[pa.Table]:
        random = np.random.default_rng(int(source.url))
        step = min(BATCH, each)
        for start in range(0, each, step):
            size = min(step, each - start)
            yield pa.table([make(random, size).cast(one.type) for one, make in columns], schema=schema)

    schema = pa.schema([one for one, _ in columns])
    adp.prepare(
        Dataset(
            name=name,
            version="1.0.0",
            schema=schema,
            splits={"train": [str(i) for i in range(sources)]},
            read=read,
            sources=lambda split, url: [Source(url, split, identity=f"{case} {each} {url}")],
        ),
        data_dir=data_dir,
        formats=("parquet",),
    )
    return name


def dataset_name(case: str) -> str:
    """The name of a case's dataset."""
    return LOG if case == AD_LOG else "bench/" + case.replace(",", "").replace(" ", "_")


def _numbers(kind: str) -> Make:
    def make(random: np.random.Generator, rows: int) -> pa.Array:
        if kind.startswith("float"):
            return pa.array(random.standard_normal(rows).astype(kind))
        return pa.array(random.integers(0, 100 if kind == "int8" else 1_000_000, rows).astype(kind))

    return make


def _nulls(make: Make) -> Make:
    def made(random: np.random.Generator, rows: int) -> pa.Array:
        array = make(random, rows)
        return pa.array(array.to_numpy(zero_copy_only=False), array.type, mask=random.random(rows) < 0.2)

    return made


def _flags(random: np.random.Generator, rows: int) -> pa.Array:
    return pa.array(random.random(rows) < 0.3)


def _words(count: int, length: int) -> Make:
    words = pa.array([f"w{i:0{length - 1}d}" for i in range(count)])
    return lambda random, rows: words.take(pa.array(random.integers(0, count, rows)))


def _texts(least: int, most: int) -> Make:
    def make(random: np.random.Generator, rows: int) -> pa.Array:
        ends = np.cumsum(random.integers(least, most, rows)).astype(np.int32)
        letters = random.integers(97, 123, int(ends[-1]), dtype=np.uint8)
        offsets = pa.py_buffer(np.concatenate([np.zeros(1, np.int32), ends]))
        return pa.Array.from_buffers(pa.string(), rows, [None, offsets, pa.py_buffer(letters)])

    return make


def _lists(inner: Make, most: int) -> Make:
    def make(random: np.random.Generator, rows: int) -> pa.Array:
        ends = np.cumsum(random.integers(0, most + 1, rows)).astype(np.int32)
        return pa.ListArray.from_arrays(np.concatenate([np.zeros(1, np.int32), ends]), inner(random, int(ends[-1])))

    return make


def _fixed(inner: Make, size: int) -> Make:
    return lambda random, rows: pa.FixedSizeListArray.from_arrays(inner(random, rows * size), size)


def _bytes(random: np.random.Generator, rows: int) -> pa.Array:
    return pa.array(random.integers(0, 256, rows, dtype=np.uint8))


def _moments(random: np.random.Generator, rows: int) -> pa.Array:
    return pa.array(random.integers(1_500_000_000, 1_700_000_000, rows) * 1_000_000)


def _days(random: np.random.Generator, rows: int) -> pa.Array:
    return pa.array(random.integers(0, 20_000, rows).astype(np.int32))


def _decimals(random: np.random.Generator, rows: int) -> pa.Array:
    return pa.array(random.integers(0, 10**9, rows)).cast(pa.decimal128(19, 0)).cast(pa.decimal128(23, 4))


_FLOATS = _numbers("float32")
# By case: rows, and each column with what makes its values.
SCHEMAS: dict[str, tuple[int, list[tuple[pa.Field, Make]]]] = {
    "numbers": (
        6_000_000,
        [
            *((column(f"i{n}", pa.int64()), _numbers("int64")) for n in range(2)),
            *((column(f"f{n}", pa.float64()), _numbers("float64")) for n in range(2)),
            *((column(f"g{n}", pa.float32()), _FLOATS) for n in range(3)),
            (column("small", pa.int8()), _numbers("int8")),
            (column("flag", pa.bool_()), _flags),
        ],
    ),
    "wide with nulls": (
        400_000,
        [
            *((column(f"f{n}", pa.float32(), nullable=True), _nulls(_FLOATS)) for n in range(80)),
            *((column(f"i{n}", pa.int64(), nullable=True), _nulls(_numbers("int64"))) for n in range(40)),
            *((column(f"b{n}", pa.bool_(), nullable=True), _nulls(_flags)) for n in range(10)),
        ],
    ),
    "categories": (
        6_000_000,
        [
            *((column(f"d{n}", pa.dictionary(pa.int32(), pa.string())), _words(10**n, 8)) for n in range(1, 4)),
            (column("low", pa.string()), _words(20, 6)),
            (column("high", pa.string()), _words(50_000, 12)),
            (column("rare", pa.string(), nullable=True), _nulls(_words(100, 10))),
        ],
    ),
    "long texts": (
        200_000,
        [
            (column("id", pa.int64()), _numbers("int64")),
            (column("title", pa.string()), _texts(20, 100)),
            (column("body", pa.string(), nullable=True), _nulls(_texts(500, 2500))),
        ],
    ),
    "lists": (
        1_500_000,
        [
            (column("floats", pa.list_(pa.float32())), _lists(_FLOATS, 40)),
            (column("words", pa.list_(pa.string())), _lists(_words(1000, 8), 8)),
            (column("ids", pa.list_(pa.int64()), nullable=True), _lists(_numbers("int64"), 6)),
        ],
    ),
    "images, embeddings": (
        90_000,
        [
            (column("image", pa.list_(pa.uint8(), 3072), shape=(32, 32, 3)), _fixed(_bytes, 3072)),
            (column("embedding", pa.list_(pa.float32(), 256)), _fixed(_FLOATS, 256)),
            (column("label", pa.int64()), _numbers("int64")),
        ],
    ),
    "times, decimals": (
        5_000_000,
        [
            (column("at", pa.timestamp("us", "UTC")), _moments),
            (column("until", pa.timestamp("us", "UTC"), nullable=True), _nulls(_moments)),
            (column("day", pa.date32()), _days),
            (column("took", pa.duration("us"), nullable=True), _nulls(_numbers("int64"))),
            (column("price", pa.decimal128(23, 4), nullable=True), _decimals),
            (column("tax", pa.decimal128(23, 4)), _decimals),
        ],
    ),
}
