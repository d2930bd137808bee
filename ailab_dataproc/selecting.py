"""From what is asked for to the parts of shards that are read: for all shards at once, until few are left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ailab_dataproc import filters as filtering
from ailab_dataproc import pruning, sampling, splits
from ailab_dataproc.backends.shards import Parts, Selection, count_part, map_parts, threads
from ailab_dataproc.columns import is_pii
from ailab_dataproc.errors import DamagedData, InvalidRequest, unknown
from ailab_dataproc.manifest import Prepared
from ailab_dataproc.sizing import Need

_NULLS = ("refuse", "mask")
_DTYPES = ("arrow", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Which rows and columns a load wants."""

    split: str = "all"
    columns: Sequence[str] | None = None  # all by default
    filters: Any = None  # see `filters.parse`
    limit: int | None = None  # rows; see `sampling.parse`
    sample: float | None = None
    seed: int = 0
    nulls: str = "refuse"
    dtypes: str = "arrow"
    allow_pii: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """What a request comes to."""

    selection: Selection
    need: Need
    all_shards: int  # of the version
    most_rows: int  # of one part
    pruned: int  # shards of the split that hold no row that the filters keep
    filters: filtering.Filters | None
    draw: sampling.Draw | None


def select(prepared: Prepared, request: Request) -> Selected:
    """Find the parts of shards that hold the rows of a request; no row is read but for filters with limit or sample.

    Raises:
        UnknownName, InvalidRequest: a part of the request that doesn't fit the dataset.
        DamagedData: the index isn't the manifest's; or, where rows are counted, a shard isn't the index's.
    """
    if request.nulls not in _NULLS:
        raise InvalidRequest(f"nulls={request.nulls!r}: wanted 'refuse' or 'mask'.")
    if request.dtypes not in _DTYPES:
        raise InvalidRequest(f"dtypes={request.dtypes!r}: wanted 'arrow' or 'numpy'.")
    draw = sampling.parse(request.limit, request.sample, request.seed)
    schema = _columns(prepared, request)
    chosen = _filters(prepared, request)
    slices = splits.parse(request.split, prepared.manifest.splits, prepared.name)
    read = chosen.rows.with_columns(schema).names if chosen else schema.names
    index = prepared.index(
        columns=[*_index_columns(read, chosen), "crc32c" if prepared.folder.is_local else "checksum"]
    )
    taken = _take(prepared, slices, index)
    kept = taken.only(pruning.may_match(chosen, index)[taken.row]) if chosen else taken
    pruned = len(taken.row) - len(kept.row)
    if draw:
        counts = kept.take
        if chosen:
            parts = _parts(prepared, index, kept, kept.bytes(index, read), chosen)
            counts = _count(parts, draw.rows if draw.seed is None else None)
        kept = _drawn(kept, counts, draw, sliced=chosen is None)
    sizes = {name: kept.bytes(index, [name]) for name in schema.names}
    size = sum(sizes.values(), np.zeros(len(kept.row), dtype=np.int64))
    parts = _parts(prepared, index, kept, size, chosen, draw.seed if draw else None)
    columns = {name: int(size.sum()) for name, size in sizes.items()}
    need = Need(
        rows=int(kept.rows.sum()),
        bytes=sum(columns.values()),
        largest=int(replace(kept, pick=None).bytes(index, read).max(initial=0)),
        shards=len(parts),
        schema=schema,
        columns=columns,
        nulls=request.nulls,
        dtypes=request.dtypes,
        filtered=chosen is not None and draw is None,
        whole=draw is None and _is_whole(prepared, kept, index, read),
    )
    return Selected(
        selection=Selection(parts, schema, request.nulls, request.dtypes),
        need=need,
        all_shards=len(index),
        pruned=pruned,
        most_rows=int(kept.rows.max(initial=0)),
        filters=chosen,
        draw=draw,
    )


@dataclass(frozen=True, slots=True)
class _Taken:
    """Rows of shards, an entry a shard: `take` of them after `skip`, and `pick` of those that the filter keeps."""

    row: np.ndarray  # of the index
    skip: np.ndarray
    take: np.ndarray
    pick: np.ndarray | None = None

    @property
    def rows(self) -> np.ndarray:
        """That come out; with a filter but without a pick, at most."""
        return self.take if self.pick is None else self.pick

    def only(self, mask: np.ndarray) -> _Taken:
        pick = None if self.pick is None else self.pick[mask]
        return _Taken(self.row[mask], self.skip[mask], self.take[mask], pick)

    def bytes(self, index: pa.Table, columns: Sequence[str]) -> np.ndarray:
        """Of the rows of some columns, as Arrow."""
        whole = np.zeros(len(self.row), dtype=np.int64)
        for name in columns:
            whole += pc.struct_field(index["columns"], [name, "bytes"]).to_numpy()[self.row]
        rows = np.maximum(index["rows"].to_numpy()[self.row], 1)
        return np.where(self.rows == rows, whole, (whole * (self.rows / rows)).astype(np.int64))


def _drawn(kept: _Taken, counts: np.ndarray, draw: sampling.Draw, *, sliced: bool) -> _Taken:
    """The shards that a limit or a sample takes rows of.

    Args:
        kept: what split and filters leave.
        counts: the rows that they leave of each shard; of the first ones only, where these hold enough.
        draw: the limit or the sample.
        sliced: whether the first rows are simply the first, since there is no filter.
    """
    rows = draw.of(int(counts.sum()))
    picked = sampling.first(counts, rows) if draw.seed is None else sampling.share(counts, rows, draw.seed)
    kept = kept.only(np.arange(len(kept.row)) < len(counts))
    kept = replace(kept, take=picked) if sliced and draw.seed is None else replace(kept, pick=picked)
    return kept.only(picked > 0)


def _count(parts: Parts, enough: int | None) -> np.ndarray:
    """How many rows the filter keeps of each part; of no more parts than hold enough."""
    counts: list[int] = []
    step = threads(parts)
    while len(counts) < len(parts) and (enough is None or sum(counts) < enough):
        counts += map_parts(count_part, parts[len(counts) : len(counts) + step], step)
        step *= 2
    return np.array(counts, dtype=np.int64)


def _take(prepared: Prepared, slices: Sequence[splits.Slice], index: pa.Table) -> _Taken:
    """The rows of the index whose shards the slices touch, in their order."""
    shard_rows = prepared.manifest.splits
    places = {name: _places(prepared, name, index) for name in dict.fromkeys(one.split for one in slices)}
    pieces = [splits.pieces(one, shard_rows[one.split]) for one in slices]
    nothing = np.zeros(0, dtype=np.int64)
    return _Taken(
        row=np.concatenate([nothing, *(places[one.split][one.shard] for one in pieces)]),
        skip=np.concatenate([nothing, *(one.skip for one in pieces)]),
        take=np.concatenate([nothing, *(one.take for one in pieces)]),
    )


def _places(prepared: Prepared, split: str, index: pa.Table) -> np.ndarray:
    """The row of the index of each shard of a split."""
    rows = np.flatnonzero(pc.equal(index["split"], split).to_numpy())
    found = index["shard"].to_numpy()[rows]
    wanted = len(prepared.manifest.splits[split])
    if not np.array_equal(np.sort(found), np.arange(wanted)):
        raise DamagedData(
            f"{prepared.name}: the index has {len(found):,} shards of {split!r}, the manifest says {wanted:,}. "
            "Restore both files."
        )
    return rows[np.argsort(found, kind="stable")]


def _parts(
    prepared: Prepared,
    index: pa.Table,
    kept: _Taken,
    sizes: np.ndarray,
    chosen: filtering.Filters | None,
    seed: int | None = None,
) -> Parts:
    """The parts that are read; `sizes` are the bytes of what is read of each."""
    names = [name for name in ("path", "rows", "bytes", "checksum", "crc32c") if name in index.schema.names]
    found = index.select(names).take(pa.array(kept.row)).rename_columns({"bytes": "size"})
    added = {"bytes": sizes, "skip": kept.skip, "take": kept.take, "pick": kept.pick}
    for name, values in added.items():
        if values is not None:
            found = found.append_column(name, pa.array(values))
    return Parts(prepared.folder, found, chosen.rows if chosen else None, seed)


def _is_whole(prepared: Prepared, kept: _Taken, index: pa.Table, columns: Sequence[str]) -> bool:
    """Whether most columns of whole shards are read from a disk, and their bytes are quickly checked."""
    rows = index["rows"].to_numpy()[kept.row]
    most = len(columns) * 2 > len(prepared.schema)
    return most and prepared.folder.is_local and "crc32c" in index.schema.names and np.array_equal(kept.take, rows)


def _index_columns(read: Sequence[str], chosen: filtering.Filters | None) -> list[str]:
    sizes = [f"columns.{name}.bytes" for name in read]
    return ["split", "shard", "path", "rows", "bytes", *sizes, *(pruning.needed(chosen) if chosen else ())]


def _filters(prepared: Prepared, request: Request) -> filtering.Filters | None:
    if request.filters is None:
        return None
    chosen = filtering.parse(request.filters, prepared.schema, prepared.name)
    _check_personal(prepared, chosen.rows.columns, request.allow_pii, "Leave them out of filters=")
    return chosen


def _columns(prepared: Prepared, request: Request) -> pa.Schema:
    columns = request.columns
    if isinstance(columns, str):
        raise InvalidRequest(f"columns={columns!r} is a text, wanted a list: columns=[{columns!r}].")
    names = list(columns) if columns is not None else prepared.schema.names
    for i, name in enumerate(names):
        if name not in prepared.schema.names:
            raise unknown("column", str(name), prepared.schema.names, where=prepared.name)
        if name in names[:i]:
            raise InvalidRequest(f"{prepared.name}: column {name!r} is asked for twice. Name it once.")
    if not names:
        raise InvalidRequest(f"{prepared.name}: columns=[] asks for nothing. Name at least one column.")
    schema = pa.schema([prepared.schema.field(name) for name in names])
    _check_personal(prepared, schema, request.allow_pii, "Leave out with columns=[…]")
    return schema


def _check_personal(prepared: Prepared, schema: pa.Schema, allowed: bool, advice: str) -> None:
    personal = [one.name for one in schema if is_pii(one)]
    if personal and not allowed:
        raise InvalidRequest(
            f"{prepared.name}: {', '.join(map(repr, personal))} hold{'s' * (len(personal) == 1)} personal data (PII). "
            f"{advice}, or pass allow_pii=True if you may."
        )
