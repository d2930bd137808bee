"""From nothing to every backend in a minute, offline: prepare made-up ad impressions, then load them each way.

`python -m ailab_dataproc.demo BACKEND DATA_DIR COLUMN` measures one backend in this process and prints a JSON line.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

NAME = "products/ad_log/impressions"
MEASURED = (
    "Measured, each in a fresh process: from load() until every column of every row was read once, the rows were "
    "counted and column {column!r} was summed, the best of three. Imports are not counted; peak memory is the whole "
    "process after the first."
)
_TFDS = """
import sys, numpy as np, tensorflow_datasets as tfds
data = tfds.load(sys.argv[1], data_dir=sys.argv[2], split="train[:1%]")
assert "ailab_dataproc" not in sys.modules
rows = data.reduce(np.int64(0), lambda count, _: count + 1)
print(f"tf.data.Dataset, {int(rows):,} rows")
"""


def run(rows: int, data_dir: str, *, progress: bool) -> None:
    """Prepare, plan, load with every backend, and tell about each.

    Args:
        rows: of the train split; the test split has a tenth.
        data_dir: where the data goes.
        progress: whether to show a bar.
    """
    from ailab_dataproc import plan, prepare, tables
    from ailab_dataproc.backends import BACKENDS

    _say("1. Prepare", f'adp.prepare("{NAME}", …)')
    sources = {"train": f"synthetic:rows={rows},seed=0", "test": f"synthetic:rows={max(rows // 10, 1)},seed=1"}
    report = prepare(NAME, data_dir=data_dir, sources=sources, progress=progress)
    print(report)
    _say("2. Plan", f'print(adp.plan("{NAME}", split="train", nulls="mask"))')
    made = plan(NAME, split="train", nulls="mask", allow_pii=True, data_dir=data_dir)
    tables.plan(str(made))
    _say("3. Load", f'adp.load("{NAME}", split="train", backend=…)')
    column = _number(made.selection.schema)
    tables.backends([_measure_apart(name, data_dir, column) for name in BACKENDS])
    tables.console().print(MEASURED.format(column=column), style="dim")
    _tell_tfds(report.dataset, data_dir)
    _tell_next(report.location, data_dir)


def measure(name: str, data_dir: str, column: str) -> dict[str, Any]:
    """Load the train split with one backend, in this process."""
    from ailab_dataproc import load
    from ailab_dataproc.errors import AilabError
    from ailab_dataproc.report import peak_memory

    options: dict[str, Any] = {"backend": name, "nulls": "mask", "allow_pii": True, "data_dir": data_dir}
    try:
        _use(load(NAME, split="train[:1]", **options), column)  # imports the backend's libraries
        seconds, peak = [], 0
        for _ in range(3):
            frame = None  # the one before makes room
            started = time.perf_counter()
            frame = load(NAME, split="train", **options)
            rows, _total = _use(frame, column)
            seconds.append(time.perf_counter() - started)
            peak = peak or peak_memory()
    except AilabError as error:
        return {"backend": name, "refused": str(error)}
    kind = f"{type(frame).__module__.split('.')[0]}.{type(frame).__name__}".removeprefix("builtins.")
    if isinstance(frame, dict):
        kind = "dict of numpy.ndarray"
    return {"backend": name, "type": kind, "rows": rows, "seconds": min(seconds), "peak": peak}


def _use(frame: Any, column: str) -> tuple[int, float]:
    """Rows, and the sum of a column; what is lazy reads all columns to get there."""
    if hasattr(frame, "map_partitions"):
        dask: Any = importlib.import_module("dask")
        parts = dask.compute(*(dask.delayed(_use)(part, column) for part in frame.to_delayed()))
        return sum(rows for rows, _ in parts), sum(total for _, total in parts)
    if isinstance(frame, dict):
        return len(frame[column]), float(frame[column].sum())
    if not hasattr(frame, "columns"):  # dicts of tensors, one a part
        parts = [_use({column: one[column].numpy()}, column) for one in frame]
        return sum(rows for rows, _ in parts), sum(total for _, total in parts)
    if hasattr(frame, "num_rows"):
        import pyarrow.compute as pc

        return frame.num_rows, float(pc.sum(frame[column]).as_py() or 0)
    return len(frame), float(frame[column].sum())


def _measure_apart(name: str, data_dir: str, column: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "ailab_dataproc.demo", name, data_dir, column]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return {"backend": name, "refused": f"it failed ({last})"}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _number(schema: Any) -> str:
    """A column of floating-point numbers without nulls, or the first of all."""
    import pyarrow.types as t

    return str(next((one.name for one in schema if t.is_floating(one.type) and not one.nullable), schema.names[0]))


def _tell_tfds(dataset: str, data_dir: str) -> None:
    if not (importlib.util.find_spec("tensorflow") and importlib.util.find_spec("tensorflow_datasets")):
        return
    above, _, last = NAME.rpartition("/")
    reference = f"{last}:{dataset.rsplit(':', 1)[-1].split('.', maxsplit=1)[0]}.*.*"
    folder = f"{data_dir}/{above}"
    _say("4. Plain TFDS, without this package", f'tfds.load("{reference}", data_dir="{folder}", split="train[:1%]")')
    command = [sys.executable, "-c", _TFDS, reference, folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout.strip() if done.returncode == 0 else f"it failed ({done.stderr.strip().splitlines()[-1]})")


def _tell_next(location: str, data_dir: str) -> None:
    _say("The shards", location)
    for kind in ("parquet", "tfrecord"):
        files = sorted(path.name for path in (Path(location) / kind).glob("*"))
        if files:
            print(f"{kind + '/':<10} {files[0]} … {files[-1]} ({len(files)} files)")
    _say("Next", "")
    print(f"export AILAB_DATA_DIR={data_dir}   # or --data-dir with each command")
    print(f"ailab-dataproc head {NAME}")
    print(f"ailab-dataproc describe {NAME}   # columns, and the lines that load them")


def _say(title: str, code: str) -> None:
    from rich.text import Text

    from ailab_dataproc import tables

    tables.console().print(Text.assemble("\n", (title, "bold"), "  ", (code, "cyan")), soft_wrap=True)
    sys.stdout.flush()


if __name__ == "__main__":
    print(json.dumps(measure(*sys.argv[1:4])))
