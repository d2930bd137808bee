"""Load the ad log on a GPU beside the CPUs of the same machine, and measure what the machine could do at best.

    python benchmarks/gpu.py [--rows 20000000 | --data-dir FOLDER] [--rounds 3] [--output benchmarks/results/gpu.jsonl]

Every measurement is a fresh process, in turns; imports and the first contact with the GPU are not in it. `GB/s` are
Arrow bytes by seconds, `factor` is the peak of the GPU's memory over Arrow bytes (`backends.device.FACTOR`).
The limits are copies within the GPU and to it, and the disk, of files that are not in the memory of the system.
FOLDER holds an ad log that was prepared elsewhere: preparing needs Beam. Not run yet: no GPU was at hand.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fresh
from machine import write_results

import ailab_dataproc as adp
from ailab_dataproc.backends import BACKENDS
from ailab_dataproc.errors import BackendRefused, MissingLibrary
from ailab_dataproc.report import peak_memory
from ailab_dataproc.sizing import Machine

LOG = "products/ad_log/impressions"
NAMES = [name for name in ("cudf", "dask_cudf", "pandas", "polars", "dask") if name in BACKENDS]
NUMBERS = ["price", "bid", "item"]
SELECTING: dict[str, dict[str, Any]] = {
    "load": {},
    "3 columns": {"columns": NUMBERS},
    "1 % filter": {"columns": ["timestamp", "user", "bid"]},
    "group-by": {"columns": ["country", "bid"]},
    "to tensors": {"columns": NUMBERS},
}
BLOCK = 1 << 30  # bytes that are copied to find a limit


def main() -> None:
    """Measure all backends on all cases in turns, and print tables."""
    options = fresh.parser("gpu", __doc__, nargs=4, metavar=("BACKEND", "CASE", "FOLDER", "BID"))
    options.add_argument("--rows", type=int, default=20_000_000)
    options.add_argument("--data-dir", help="holds a prepared ad log")
    asked = options.parse_args()
    if asked.one:
        name, case, folder, bid = asked.one
        print(json.dumps(_limits(folder) if name == "limits" else _measure(name, case, folder, float(bid))))
        return
    if lack := _lack():
        print(f"benchmarks/gpu.py: {lack}", file=sys.stderr)
        raise SystemExit(2)
    with tempfile.TemporaryDirectory(prefix="bench-gpu-") as work:
        folder = asked.data_dir or work
        if not asked.data_dir:
            source = f"synthetic:rows={asked.rows},seed=0"
            adp.prepare(LOG, data_dir=work, sources={"train": source}, formats=("parquet",))
        results = _rounds(folder, asked.rounds)
    stamp = {"suite": "gpu", "gpu": [f"{one.name} {one.total / 1e9:.0f} GB" for one in Machine.here().devices]}
    write_results([stamp | one for one in results], asked.output)
    _print(results)


def _lack() -> str:
    """What is missing here, or nothing."""
    machine = Machine.here()
    if not machine.gpus:
        return f"no GPU visible ({machine.no_gpu}). Run it on a machine where nvidia-smi lists one."
    if importlib.util.find_spec("cudf") is None:
        return "cudf is not installed. pip install 'ailab_dataproc[pandas,dask,gpu]'."
    return ""


def _rounds(folder: str, rounds: int) -> list[dict[str, Any]]:
    bids = adp.load(LOG, split="train", columns=["bid"], backend="numpy", data_dir=folder)["bid"]
    bids.sort()
    bid = float(bids[len(bids) * 99 // 100])
    results = [{"case": "limits", **fresh.measured(__file__, "limits", "-", folder, bid)}]
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for _ in range(rounds):
        for case in SELECTING:
            for name in NAMES:
                found.setdefault((case, name), []).append(fresh.measured(__file__, name, case, folder, bid))
    return results + [{"case": case, "backend": name, **_summary(runs)} for (case, name), runs in found.items()]


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    if "refused" in runs[0]:
        return runs[0]
    middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    return middle | {
        "all": [run["seconds"] for run in runs],
        "gb_per_second": middle["bytes"] / 1e9 / middle["seconds"],
    }


def _measure(name: str, case: str, folder: str, bid: float) -> dict[str, Any]:
    """One case in this process."""
    selecting: dict[str, Any] = {"split": "train", "data_dir": folder, **SELECTING[case]}
    filters = {"filters": [("bid", ">", bid)]} if case == "1 % filter" else {}
    if case == "to tensors" and importlib.util.find_spec("torch") is None:
        return {"refused": "torch is not installed"}
    try:
        need = adp.plan(LOG, **selecting, backend=name).need
    except (BackendRefused, MissingLibrary) as error:
        return {"refused": str(error)}
    use = USES.get(case, _hold)
    use(adp.load(LOG, **(selecting | {"split": "train[:1000]"}), backend=name))
    device = _DevicePeak() if name == "cudf" else None
    started = time.perf_counter()
    rows = use(adp.load(LOG, **selecting, **filters, backend=name))
    result = {"seconds": time.perf_counter() - started, "rows": rows, "bytes": need.bytes, "peak": peak_memory()}
    return result | (device.factor(need.bytes) if device else {})


class _DevicePeak:
    """The peak of what RMM allocates on the GPU from now on."""

    def __init__(self) -> None:
        import rmm.statistics

        rmm.statistics.enable_statistics()
        rmm.statistics.push_statistics()

    def factor(self, size: int) -> dict[str, float]:
        import rmm.statistics

        return {"factor": rmm.statistics.pop_statistics().peak_bytes / size}


def _hold(frame: Any) -> int:
    """All rows in memory; of a lazy frame, in that of its workers."""
    frame = frame.persist() if hasattr(frame, "dask") else frame
    return len(frame)


def _group(frame: Any) -> int:
    if hasattr(frame, "group_by"):  # polars
        return len(frame.group_by("country").mean())
    found = frame.groupby("country")["bid"].mean()
    return len(found.compute() if hasattr(found, "dask") else found)


def _tensors(frame: Any) -> int:
    """A tensor on the GPU for each column."""
    import torch

    frame = frame.compute() if hasattr(frame, "dask") else frame
    on_gpu = type(frame).__module__.startswith("cudf")
    columns = [frame[name].values if on_gpu else frame[name].to_numpy() for name in NUMBERS]
    tensors = [torch.as_tensor(column, device="cuda") for column in columns]
    torch.cuda.synchronize()
    return len(tensors[0])


USES: dict[str, Callable[[Any], int]] = {"group-by": _group, "to tensors": _tensors}


def _limits(folder: str) -> dict[str, float]:
    """GB/s at best: within the GPU, from the host's memory (pageable and pinned), from the disk."""
    import cupy
    import numpy as np

    on_gpu, other = cupy.zeros(BLOCK, np.uint8), cupy.empty(BLOCK, np.uint8)
    pageable = np.zeros(BLOCK, np.uint8)
    pinned = np.frombuffer(cupy.cuda.alloc_pinned_memory(BLOCK), np.uint8, BLOCK)
    copies = {
        "device_to_device": lambda: cupy.copyto(other, on_gpu),
        "pageable_to_device": lambda: other.set(pageable),
        "pinned_to_device": lambda: other.set(pinned),
    }
    return {name: BLOCK / 1e9 / _best(copy, cupy) for name, copy in copies.items()} | {"disk": _disk(folder)}


def _best(copy: Callable[[], None], cupy: Any) -> float:
    seconds = []
    for _ in range(6):
        cupy.cuda.runtime.deviceSynchronize()
        started = time.perf_counter()
        copy()
        cupy.cuda.runtime.deviceSynchronize()
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])


def _disk(folder: str) -> float:
    """Of the shards, one after the other, put out of the system's memory before."""
    files = sorted(Path(folder).rglob("*.parquet"))
    for file in files:
        with open(file, "rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    started, size = time.perf_counter(), 0
    for file in files:
        with open(file, "rb", buffering=0) as opened:
            while block := opened.read(16 << 20):
                size += len(block)
    return size / 1e9 / (time.perf_counter() - started)


def _print(results: list[dict[str, Any]]) -> None:
    print("  ".join(f"{name} {value:.1f} GB/s" for name, value in results[0].items() if name != "case"))
    print(f"{'case':12} {'backend':10} {'seconds':>8} {'GB/s':>7} {'factor':>7}")
    for one in results[1:]:
        if "refused" in one:
            print(f"{one['case']:12} {one['backend']:10} {one['refused']}")
        else:
            factor = f"{one['factor']:7.2f}" if "factor" in one else ""
            print(f"{one['case']:12} {one['backend']:10} {one['seconds']:8.2f} {one['gb_per_second']:7.2f} {factor}")


if __name__ == "__main__":
    main()
