"""cudf.DataFrame on one GPU: the GPU decodes Parquet from disks, the host what lies in buckets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as t

from ailab_dataproc.backends import device
from ailab_dataproc.backends.partitions import grouped
from ailab_dataproc.backends.shards import Part, Selection, locate_part, map_parts, read_part, threads
from ailab_dataproc.errors import BackendRefused, DamagedData
from ailab_dataproc.sizing import Machine, Need


class CuDF:
    """Backend "cudf". Nothing of it that needs a GPU has been run yet."""

    returns = "cudf.DataFrame"
    family = "eager"
    device = "gpu"

    def peak(self, need: Need) -> int:
        """Memory of the GPU: the frame, and what is decoded meanwhile."""
        return int(need.bytes * device.FACTOR)

    def refuse(self, need: Need, machine: Machine) -> str | None:
        """Refuses without a GPU or cuDF, types that cuDF lacks, and what doesn't fit into the GPU."""
        refusal = device.refusal(need, machine, ("cudf",), "pandas")
        return refusal or device.too_large(self.peak(need), need, machine)

    def read(self, selection: Selection) -> Any:
        """A frame by the contract, in the first GPU."""
        device.count_as_nvml()
        import cudf

        limit = device.partition_bytes(max(Machine.here().gpus[:1], default=0), 1, selection.schema)
        groups = list(grouped(selection.parts, limit, device.MOST)) or [()]
        every = [read_stored(group, selection.schema) for group in groups]
        frames = [frame for frame in every if len(frame)] or every[:1]
        frame = frames[0] if len(frames) == 1 else cudf.concat(frames, ignore_index=True)
        return by_contract(frame, selection.schema)

    def to_arrow(self, frame: Any, schema: pa.Schema) -> pa.Table:
        """The frame as a table of the declared schema."""
        return to_arrow(frame, schema)


def to_arrow(frame: Any, schema: pa.Schema) -> pa.Table:
    """A cudf.DataFrame as a table of the declared schema, in the memory of the host."""
    return device.declared(pa.table({name: _arrow(frame[name]) for name in schema.names}), schema)


def _arrow(series: Any) -> pa.Array:
    import cudf

    if isinstance(series.dtype, cudf.CategoricalDtype) and series.isna().all():
        return pa.nulls(len(series))  # cuDF looks for the largest of its codes, and there is none
    return series.to_arrow()


def read_parts(parts: Sequence[Part], schema: pa.Schema) -> Any:
    """Some shards as one frame by the contract."""
    return by_contract(read_stored(parts, schema), schema)


def read_stored(parts: Sequence[Part], schema: pa.Schema) -> Any:
    """Some shards as one frame with the types of the files: dictionaries by their values."""
    import cudf

    if not parts:
        return cudf.DataFrame.from_arrow(device.held(schema).empty_table())
    if not parts[0].folder.is_local:  # only the wanted columns come over the network, and the cache is used
        tables = map_parts(lambda part: read_part(part, schema), parts, threads(parts))
        return cudf.DataFrame.from_arrow(pa.concat_tables(tables).cast(device.held(schema)))
    located = map_parts(lambda part: locate_part(part, schema), parts)  # the host filters: all backends keep the same
    found = [(part.folder.path(part.path), one) for part, one in zip(parts, located, strict=True) if len(one.numbers)]
    if not found:
        return read_stored((), schema)
    if not schema.names:  # Dask counts rows
        return cudf.DataFrame(index=cudf.RangeIndex(sum(len(one.numbers) for _, one in found)))
    return _decoded([path for path, _ in found], schema, device.reading([one for _, one in found]))


def by_contract(frame: Any, schema: pa.Schema) -> Any:
    """The frame with the dtypes of `schema.CONTRACTS`, whatever its rows hold."""
    for field in schema:
        wanted = _dtype(field.type)
        if wanted is not None and frame[field.name].dtype != wanted:
            frame[field.name] = frame[field.name].astype(wanted)
    return frame[schema.names] if schema.names else frame


def _dtype(type_: pa.DataType) -> Any:
    import cudf

    if t.is_dictionary(type_):
        return cudf.CategoricalDtype(ordered=False)  # of the text "category", `ordered` would be None, not for Arrow
    if t.is_decimal128(type_):
        return cudf.Decimal128Dtype(type_.precision, type_.scale)
    return device.dtype(type_)


def _decoded(paths: Sequence[str], schema: pa.Schema, reading: device.Reading) -> Any:
    """One call for all files, so that the GPU has enough to do at once."""
    import cudf

    where = paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
    try:
        frame = cudf.read_parquet(
            list(paths),
            columns=schema.names,
            row_groups=reading.groups,
            use_pandas_metadata=False,
            dataset_kwargs={"partitioning": None},  # a folder named day=3 would become a column
            ignore_missing_columns=False,
        )
    except MemoryError as error:
        raise BackendRefused(
            f"{where}: the memory of the GPU doesn't suffice ({error}). Take fewer columns, or backend='dask_cudf'."
        ) from error
    except (RuntimeError, ValueError, OSError) as error:
        raise DamagedData(f"{where}: the GPU can't read it ({error}). Run verify, or take backend='arrow'.") from error
    if len(frame) != reading.rows:
        raise DamagedData(f"{where}: {len(frame):,} rows came back, the index says {reading.rows:,}. Run verify.")
    frame = frame[schema.names]
    if reading.wanted is None:
        return frame
    cut = frame.iloc[reading.wanted] if isinstance(reading.wanted, slice) else frame.take(reading.wanted)
    return cut.reset_index(drop=True)
