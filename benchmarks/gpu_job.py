"""One measurement of the gpu suite: load as a way says, work, and what came out with the bytes that it was of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gpu_limits
import tpch_data
import tpch_queries
from clock import Clock, WrongAnswer
from gpu_cases import CASES, FILES, LOG, Case, hold
from gpu_device import Place, place
from harness import Point

import ailab_dataproc as adp
from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.report import count_bytes

DATASET = "products/ad_log/impressions"
_TINY = "train[:1000]"  # rows that are loaded before the clock starts
_THIRD = 3  # times as many bytes as the pool that they are spilled from
_DECODING = 4  # times the Arrow bytes of a shard, that decoding it may take
Found = tuple[list[tuple[Any, ...]], tuple[int, int], dict[str, Any]]  # answer; rows and Arrow bytes; what else


@dataclass(frozen=True, slots=True)
class Job:
    """A way of a case over the data of a folder."""

    point: Point
    folder: Path
    limits: Mapping[str, float]  # of the filters

    def run(self, clock: Clock) -> Found:
        """A case of `gpu_cases`."""
        case = CASES[self.point.case]
        from_files = case.kind == FILES
        with self.place() as here:
            case.answer(case.work(self._frames(case, _TINY), self.limits))
            frames = {} if from_files else self._frames(case, "train")
            here.settle()
            here.watch()
            if case.cold:
                gpu_limits.forget(shards(self.folder))
            with clock:
                result = case.work(frames or self._frames(case, "train"), self.limits)
                here.settle()
            extra = here.measured()
            found = case.answer(result)
        return found, self._size(case), extra | self._told(case, extra)

    def place(self, pool: int | None = None) -> AbstractContextManager[Place]:
        """The GPUs of the way; `pool` is in bytes, beyond which is spilled."""
        given = self.point.given
        return place(gpu=given["device"] == "gpu", workers=self.point.workers, pool=0 if given["pool"] else pool)

    def _frames(self, case: Case, split: str) -> dict[str, Any]:
        return {table: hold(self.load(table, columns, split, case.keep)) for table, columns in case.columns.items()}

    def load(self, table: str, columns: Sequence[str] | None, split: str, keep: float | None) -> Any:
        """A frame as the way makes it; with `keep`, only the rows whose bid is high."""
        filters = [("bid", ">", self.limits["few"])] if keep else None
        backend = self.point.given["backend"]
        if not self.point.given["ours"]:
            return _read_parquet(backend, shards(self.folder)[: 1 if split == _TINY else None], columns, filters)
        return adp.load(
            _name(table), split=split, columns=columns, filters=filters, backend=backend, data_dir=str(self.folder)
        )

    def plan(self, table: str, columns: Sequence[str] | None) -> adp.Plan:
        """What will be read of a table, all rows."""
        backend = self.point.given["backend"]
        return adp.plan(_name(table), split="train", columns=columns, backend=backend, data_dir=str(self.folder))

    def _size(self, case: Case) -> tuple[int, int]:
        """Rows and Arrow bytes of what is read or worked on; with a filter, of what is searched."""
        needs = [self.plan(table, columns).need for table, columns in case.columns.items()]
        return sum(one.rows for one in needs), sum(one.bytes for one in needs)

    def _told(self, case: Case, extra: Mapping[str, Any]) -> dict[str, Any]:
        """Of a case that reads: the bytes in the files, and the memory that the planner predicts for the GPU."""
        if case.kind != FILES or case.keep:
            return {}
        columns = case.columns[LOG]
        told: dict[str, Any] = {"stored_bytes": stored(shards(self.folder), columns)}
        if self.point.given["backend"] == "cudf" and self.point.given["ours"]:
            told |= {
                "predicted": self.plan(LOG, columns).choice.verdict.peak,
                "measured": extra["device_memory"],
            }
        return told


def query(job: Job, clock: Clock) -> Found:
    """A query of TPC-H, from the files on."""
    ask, backend = tpch_queries.QUERIES[job.point.case.removeprefix("TPC-H ")], job.point.given["backend"]
    sizes: list[tuple[int, int]] = []
    load = tpch_data.loader(backend, "train", str(job.folder), sizes)
    with job.place() as here:
        ask(tpch_data.loader(backend, "train[:20]", str(job.folder)))
        here.settle()
        here.watch()
        with clock:
            found = ask(load)
        extra = here.measured()
    size = sum(rows for rows, _ in sizes), sum(size for _, size in sizes)
    return tpch_queries.rows(found), size, extra


def spill(job: Job, clock: Clock) -> Found:
    """Read all columns shard by shard, keep them all, then sum one column."""
    need = job.plan(LOG, None).need
    third = job.point.given["third"]
    with job.place(_pool(need) if third else None) as here:
        _summed(job, [_TINY])
        here.settle()
        here.watch()
        with clock:
            found = _summed(job, map(str, adp.even_splits(DATASET, need.shards, data_dir=str(job.folder))))
        extra = here.measured()
    if third and not extra["spilled"]:
        raise WrongAnswer("nothing was spilled, wanted what the pool can't hold")
    return found, (need.rows, need.bytes), extra


def _pool(need: Any) -> int:
    """A third of the data: it must hold what decoding one shard takes, for that can't be spilled."""
    if need.bytes < _THIRD * _DECODING * need.largest:
        raise InvalidRequest(
            f"spilling: the largest shard has {count_bytes(need.largest)} of {count_bytes(need.bytes)}, wanted a "
            f"{_THIRD * _DECODING}th of it at most. Take a larger --scale."
        )
    return int(need.bytes // _THIRD)


def _summed(job: Job, splits: Iterable[str]) -> list[tuple[Any, ...]]:
    frames = [hold(job.load(LOG, None, split, None)) for split in splits]
    return [(float(sum(map(len, frames))), sum(float(tpch_queries.done(one["bid"].sum())) for one in frames))]


def shards(folder: Path) -> list[Path]:
    """The Parquet files of the ad log."""
    return sorted((folder / DATASET).rglob("train-*.parquet"))


def stored(files: Sequence[Path], columns: Sequence[str] | None) -> int:
    """Bytes of some columns in the files, compressed."""
    import pyarrow.parquet as pq

    total = 0
    for file in files:
        told = pq.read_metadata(file)
        for group in (told.row_group(number) for number in range(told.num_row_groups)):
            chunks = [group.column(number) for number in range(group.num_columns)]
            total += sum(
                one.total_compressed_size
                for one in chunks
                if columns is None or one.path_in_schema.split(".")[0] in columns
            )
    return total


def _name(table: str) -> str:
    return DATASET if table == LOG else tpch_data.name(table)


def _read_parquet(library: str, files: Sequence[Path], columns: Sequence[str] | None, filters: Any) -> Any:
    """The library's own way."""
    import importlib

    chosen = {"columns": list(columns) if columns else None, "filters": filters}
    return importlib.import_module(library).read_parquet([str(file) for file in files], **chosen)
