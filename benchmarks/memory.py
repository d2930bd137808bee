"""Predict the peak memory of every eager backend on eight schemas, and measure it.

    python benchmarks/memory.py [--rounds 1] [--rows 1.0] [--data FOLDER] [--output benchmarks/results/memory.jsonl]

Every measurement is a fresh process that loads one prepared dataset of 250 to 500 MB as Arrow. The peak is its largest
resident set (VmHWM) less what it had before; libraries are imported by a load of no row. The prediction is
`Backend.peak` of the plan's need, made in the same process.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import fresh
import numpy as np
import pyarrow as pa
from machine import write_results

import ailab_dataproc as adp
from ailab_dataproc.backends import BACKENDS, backend
from ailab_dataproc.dataset import Dataset, Source, column
from ailab_dataproc.errors import AilabError
from ailab_dataproc.report import peak_memory, resident_memory

LOG = "products/ad_log/impressions"
BATCH = 20_000  # rows at most that a source yields at a time
SOURCES = {"numbers": 3, "long texts": 2, "images, embeddings": 16}  # of a dataset, so as many shards; others have 8
OPTIONS: dict[str, dict[str, Any]] = {"pandas, NumPy dtypes": {"backend": "pandas", "dtypes": "numpy"}}
BOUND = 0.25  # how far a prediction may be from its measurement

Make = Callable[[np.random.Generator, int], pa.Array]


def main() -> None:
    """Prepare the datasets, measure every backend on each, and print a table."""
    options = fresh.parser("memory", __doc__, nargs=3, metavar=("WAY", "DATASET", "FOLDER"))
    options.add_argument("--rows", type=float, default=1.0, help="times the usual number of rows")
    options.add_argument("--data", help="a folder to keep the datasets in")
    options.add_argument("--only", help="a part of the names of the ways or datasets that are measured")
    asked = options.parse_args()
    if asked.one:
        print(json.dumps(measure(*asked.one)))
        return
    with contextlib.ExitStack() as stack:
        work = asked.data or stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-memory-"))
        results = _all(work, asked.rows, asked.rounds, asked.only or "")
    write_results(results, asked.output)
    _print(results)


def ways() -> list[str]:
    """Every eager backend, and pandas once more with NumPy dtypes."""
    return [name for name in BACKENDS if _eager(name)] + list(OPTIONS)


def prepare_case(case: str, data_dir: str, rows: float) -> str:
    """Prepare one dataset and return its name."""
    if case == "ad log":
        adp.prepare(
            LOG, data_dir=data_dir, sources={"train": f"synthetic:rows={int(4e6 * rows)},seed=0"}, formats=("parquet",)
        )
        return LOG
    count, columns = SCHEMAS[case]
    name = "bench/" + case.replace(",", "").replace(" ", "_")
    sources = SOURCES.get(case, 8)
    each = int(count * rows / sources)

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


def measure(way: str, name: str, data_dir: str) -> dict[str, Any]:
    """Load a dataset in this process: bytes predicted, measured and of Arrow; or the refusal."""
    given = {"backend": way} | OPTIONS.get(way, {}) | {"data_dir": data_dir, "nulls": "mask", "allow_pii": True}
    try:
        adp.load(name, split="train[:0]", **given)  # imports are not what is measured
        need = adp.plan(name, split="train", **given).need
        predicted = backend(given["backend"]).peak(need)
        before = resident_memory()
        frame = adp.load(name, split="train", **given)
    except AilabError as error:
        return {"refused": str(error)}
    measured = peak_memory() - before
    del frame
    found = {"predicted": predicted, "measured": measured, "ratio": predicted / measured}
    return found | {"bytes": need.bytes, "rows": need.rows, "shards": need.shards, "largest": need.largest}


def _all(work: str, rows: float, rounds: int, only: str) -> list[dict[str, Any]]:
    results = []
    for case in (*SCHEMAS, "ad log"):
        name = None
        for way in ways():
            if only not in f"{way}, {case}":
                continue
            name = name or prepare_case(case, work, rows)
            runs = [fresh.measured(__file__, way, name, work) for _ in range(rounds)]
            kept = runs[0]
            if "refused" not in kept:
                middle = statistics.median(run["measured"] for run in runs)
                kept |= {"measured": middle, "ratio": kept["predicted"] / middle}
            results.append({"suite": "memory", "case": case, "way": way} | kept)
            print(_line(results[-1]), flush=True)
    return results


def _line(one: dict[str, Any]) -> str:
    start = f"{one['case']:20} {one['way']:22}"
    if "refused" in one:
        return f"{start} {one['refused'][:90]}"
    sizes = " ".join(f"{one[key] / 1e6:9.0f}" for key in ("bytes", "predicted", "measured"))
    return f"{start} {sizes} {one['ratio']:7.2f}"


def _print(results: list[dict[str, Any]]) -> None:
    print(f"\n{'case':20} {'way':22} {'Arrow MB':>9} {'predicted':>9} {'measured':>9} {'ratio':>7}")
    for one in results:
        print(_line(one))
    known = [one for one in results if "ratio" in one]
    worst = max(known, key=lambda one: abs(one["ratio"] - 1))
    beyond = sum(abs(one["ratio"] - 1) > BOUND for one in known)
    print(f"worst: {worst['ratio']:.2f} ({worst['way']}, {worst['case']}); {beyond} of {len(known)} beyond {BOUND:.0%}")


def _eager(name: str) -> bool:
    try:
        return backend(name).family == "eager" and name not in ("cudf",)
    except ImportError:
        return False


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


if __name__ == "__main__":
    main()
