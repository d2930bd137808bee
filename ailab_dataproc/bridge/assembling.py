"""The stored values of some rows -> an Arrow column: shapes, sequences and types as TFDS's features declare them."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from ailab_dataproc.bridge.examples import Stored
from ailab_dataproc.bridge.layout import SCALARS, Leaf, Node, Struct
from ailab_dataproc.errors import InvalidData


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a source."""

    values: Mapping[str, Stored]  # by key; absent: no row has it
    count: int
    source: str  # its name, for messages
    first: int  # rows of the source before them

    def get(self, key: str) -> Stored:
        """What a key holds."""
        nothing = np.zeros(self.count, np.int64)
        return self.values.get(key) or Stored(nothing[:0], nothing, nothing != 0)

    def refuse(self, row: int, leaf: Leaf, found: str) -> InvalidData:
        """The error for a row that doesn't fit."""
        place = f"row {self.first + row + 1} of {self.source}"
        return InvalidData(
            f"{place} has {found} in feature {leaf.column!r}, which features.json declares otherwise. "
            "Prepare it with TFDS again."
        )


def keys(node: Node) -> list[str]:
    """The keys of a tf.train.Example that hold a column."""
    if isinstance(node, Struct):
        return [key for _, child in node.children for key in keys(child)]
    if node.unknown > 1:
        return [f"{node.key}/value", f"{node.key}/shape"]
    if node.levels < 2:
        return [node.key]
    return [f"{node.key}/ragged_flat_values", *(f"{node.key}/ragged_row_lengths_{i}" for i in range(node.levels - 1))]


def assemble(node: Node, rows: Rows) -> pa.Array:
    """A column.

    Raises:
        InvalidData: a row holds something else than the features declare.
    """
    if isinstance(node, Struct):
        children = [assemble(child, rows) for _, child in node.children]
        return pa.StructArray.from_arrays(children, fields=list(arrow(node)))
    if not node.levels and not node.shape and not node.packed:
        return _scalars(node, rows)
    flat, lengths, absent = _packed(node, rows) if node.packed else _nested(node, rows)
    values = _typed(flat, node, rows, lengths)
    if node.fixed:
        return _fixed(values, node, absent)
    for number, sizes in reversed(list(enumerate(lengths))):
        mask = pa.array(absent) if number == 0 and absent is not None else None
        values = pa.ListArray.from_arrays(pa.array(_ends(sizes).astype(np.int32)), values, mask=mask)
    return values


def arrow(node: Node) -> pa.DataType:
    """The Arrow type of a column."""
    if isinstance(node, Leaf):
        return node.type
    return pa.struct(
        [pa.field(name, arrow(one), nullable=isinstance(one, Leaf) and one.nullable) for name, one in node.children]
    )


def _scalars(leaf: Leaf, rows: Rows) -> pa.Array:
    found = rows.get(leaf.key)
    many = np.flatnonzero(found.counts > 1)
    if len(many):
        raise rows.refuse(int(many[0]), leaf, f"{found.counts[many[0]]} values")
    values = _typed(found.values, leaf, rows, [found.counts])
    if len(values) == rows.count:
        return values
    if not leaf.nullable:
        row = rows.first + int(np.argmin(found.counts)) + 1
        raise InvalidData(
            f"row {row} of {rows.source} has no value in feature {leaf.column!r}, which isn't optional. A folder's "
            "features.json forgets that of a Text: give from_tfds the builder's name, class or script."
        )
    places = np.cumsum(found.counts) - 1
    return values.take(pa.array(places, mask=found.counts == 0))


def _nested(leaf: Leaf, rows: Rows) -> tuple[np.ndarray | pa.Array, list[np.ndarray], np.ndarray | None]:
    """The flat values, the lengths of the lists from the outermost on, and which rows have none at all."""
    if leaf.unknown > 1:
        found, dims = rows.get(f"{leaf.key}/value"), rows.get(f"{leaf.key}/shape")
        return found.values, _by_dimensions(leaf, rows, dims, found.counts), None
    if leaf.levels < 2:
        found = rows.get(leaf.key)
        absent = ~found.present if leaf.nullable else None
        if not leaf.levels:
            present = found.counts if absent is None else np.where(absent, leaf.size, found.counts)
            sizes = _unknown(leaf, rows, present)
            lengths = _below(leaf, rows.count, None if sizes is None else sizes * (found.counts > 0))
            return found.values, lengths, absent
        outer = _divided(leaf, rows, found.counts)
        return found.values, [outer, *_below(leaf, int(outer.sum()), None)], None
    found = rows.get(f"{leaf.key}/ragged_flat_values")
    inner = [rows.get(f"{leaf.key}/ragged_row_lengths_{i}") for i in range(leaf.levels - 1)]
    lengths = [inner[0].counts, *(np.asarray(one.values, np.int64) for one in inner)]
    for above, below in pairwise(lengths):
        if int(above.sum()) != len(below):
            raise rows.refuse(0, leaf, "sequences of other lengths than it says")
    items = int(lengths[-1].sum())
    if items * leaf.size != len(found.values):
        raise rows.refuse(0, leaf, f"{len(found.values)} values, and {items} times {leaf.shape} are told")
    return found.values, [*lengths, *_below(leaf, items, None)], None


def _packed(leaf: Leaf, rows: Rows) -> tuple[np.ndarray, list[np.ndarray], np.ndarray | None]:
    """The same for items that are raw bytes each."""
    outer = Leaf(leaf.key, leaf.column, "binary", leaf.levels, nullable=leaf.nullable)
    if leaf.unknown > 1:
        outer = Leaf(f"{leaf.key}/value", leaf.column, "binary")
    found = assemble(outer, rows)
    absent = found.is_null().to_numpy(zero_copy_only=False) if leaf.nullable else None
    lengths = []
    while pa.types.is_list(found.type):
        lengths.append(np.diff(found.offsets.to_numpy()).astype(np.int64))
        found = found.values
    blobs = [b"" if one is None else one.as_py() for one in found]
    if leaf.packed == "zlib":
        blobs = [zlib.decompress(one) if one else one for one in blobs]
    dtype = np.dtype(leaf.kind).newbyteorder("<")
    sizes = np.array([len(one) for one in blobs], np.int64)
    wrong = np.flatnonzero(sizes % dtype.itemsize)
    if len(wrong):
        raise rows.refuse(_row(lengths, int(wrong[0])), leaf, f"{sizes[wrong[0]]} bytes for {leaf.kind}")
    flat, counts = np.frombuffer(b"".join(blobs), dtype), sizes // dtype.itemsize
    if leaf.unknown > 1:
        return flat, _by_dimensions(leaf, rows, rows.get(f"{leaf.key}/shape"), counts), absent
    present = counts if absent is None else np.where(absent, leaf.size, counts)
    unknown = _unknown(leaf, rows, present)
    return flat, [*lengths, *_below(leaf, len(counts), unknown)], absent


def _unknown(leaf: Leaf, rows: Rows, counts: np.ndarray) -> np.ndarray | None:
    """The one dimension of each item that isn't declared; None where all are."""
    if leaf.unknown:
        return _divided(leaf, rows, counts)
    wrong = np.flatnonzero(counts != leaf.size)
    if len(wrong):
        raise rows.refuse(int(wrong[0]), leaf, f"{counts[wrong[0]]} values for the shape {leaf.shape}")
    return None


def _divided(leaf: Leaf, rows: Rows, counts: np.ndarray) -> np.ndarray:
    """How many items, or slices of an item, make up these values."""
    wrong = np.flatnonzero(counts % leaf.size)
    if len(wrong):
        raise rows.refuse(int(wrong[0]), leaf, f"{counts[wrong[0]]} values, in parts of {leaf.size}")
    return counts // leaf.size


def _below(leaf: Leaf, items: int, unknown: np.ndarray | None) -> list[np.ndarray]:
    """The lengths of the lists that an item's dimensions are."""
    lengths, item = [], np.arange(items)
    for dimension in leaf.shape:
        sizes = np.full(len(item), dimension, np.int64) if dimension is not None else _of(unknown, item)
        lengths.append(sizes)
        item = np.repeat(item, sizes)
    return lengths


def _of(unknown: np.ndarray | None, item: np.ndarray) -> np.ndarray:
    return np.zeros(len(item), np.int64) if unknown is None else unknown[item]


def _by_dimensions(leaf: Leaf, rows: Rows, dims: Stored, counts: np.ndarray) -> list[np.ndarray]:
    """The same where each row has its dimensions beside it."""
    rank = len(leaf.shape)
    wrong = np.flatnonzero(dims.counts != rank)
    if len(wrong):
        raise rows.refuse(int(wrong[0]), leaf, f"a shape of {dims.counts[wrong[0]]} dimensions")
    shapes = np.asarray(dims.values, np.int64).reshape(rows.count, rank)
    wrong = np.flatnonzero(shapes.prod(axis=1) != counts)
    if len(wrong):
        raise rows.refuse(int(wrong[0]), leaf, f"{counts[wrong[0]]} values for {tuple(shapes[wrong[0]].tolist())}")
    lengths, item = [], np.arange(rows.count)
    for number in range(rank):
        sizes = shapes[item, number]
        lengths.append(sizes)
        item = np.repeat(item, sizes)
    return lengths


def _fixed(values: pa.Array, leaf: Leaf, absent: np.ndarray | None) -> pa.Array:
    if absent is None or not absent.any():
        return pa.FixedSizeListArray.from_arrays(values, type=leaf.type)
    begins = (np.cumsum(~absent) - 1) * leaf.size
    places = begins[:, None] + np.arange(leaf.size)
    filled = values.take(pa.array(places.ravel(), mask=np.repeat(absent, leaf.size)))
    return pa.FixedSizeListArray.from_arrays(filled, type=leaf.type, mask=pa.array(absent))


def _typed(flat: np.ndarray | pa.Array, leaf: Leaf, rows: Rows, lengths: list[np.ndarray]) -> pa.Array:
    """The flat values in the declared type, bit by bit."""
    wanted = SCALARS[leaf.kind]
    if leaf.kind in ("string", "binary"):
        if not isinstance(flat, pa.Array):
            if len(flat):
                raise rows.refuse(0, leaf, "numbers")
            return pa.array([], wanted)
        try:
            return flat.cast(wanted)
        except pa.ArrowInvalid:
            row = _row(lengths, _first_not_text(flat))
            raise InvalidData(
                f"row {rows.first + row + 1} of {rows.source} has bytes in {leaf.column!r} that are no UTF-8. "
                f"Pass binary=[{leaf.column!r}] to from_tfds."
            ) from None
    if isinstance(flat, pa.Array):
        if len(flat):
            raise rows.refuse(0, leaf, "bytes")
        return pa.array([], wanted)
    if leaf.kind == "bool":
        return pa.array(flat != 0)
    dtype = np.dtype(leaf.kind)
    if leaf.kind == "uint64" and flat.dtype == np.int64:  # its bits, since an Example has no unsigned integers
        return pa.array(flat.view(np.uint64))
    return pa.array(flat.astype(dtype, copy=False))


def _first_not_text(flat: pa.Array) -> int:
    for number, one in enumerate(flat):
        try:
            one.as_py().decode()
        except UnicodeDecodeError:
            return number
    return 0


def _row(lengths: list[np.ndarray], item: int) -> int:
    """The row that an item stands in."""
    for sizes in reversed(lengths):
        item = int(np.searchsorted(np.cumsum(sizes), item, side="right"))
    return item


def _ends(sizes: np.ndarray) -> np.ndarray:
    ends = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=ends[1:])
    return ends
