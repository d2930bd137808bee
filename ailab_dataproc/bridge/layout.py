"""Where a column's values lie in the tf.train.Examples of a prepared TFDS version. Plain values, sent to workers."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import pyarrow as pa

SCALARS = {
    "bool": pa.bool_(),
    **{f"{sign}int{bits}": getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "float16": pa.float16(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "string": pa.string(),
    "binary": pa.binary(),
}


@dataclass(frozen=True, slots=True)
class Leaf:
    """One tensor of a row: a value, an array, or sequences of them."""

    key: str  # of the tf.train.Example
    column: str  # for messages, such as "objects.bbox"
    kind: str  # one of SCALARS
    levels: int = 0  # sequences around it
    shape: tuple[int | None, ...] = ()  # of one item
    packed: str = ""  # "bytes" or "zlib": the values of an item are one value of raw bytes
    nullable: bool = False

    @property
    def fixed(self) -> bool:
        """Whether each row has the same number of values, which then are a list of a fixed size."""
        return not self.levels and bool(self.shape) and None not in self.shape

    @property
    def unknown(self) -> int:
        """How many dimensions of an item aren't known beforehand."""
        return self.shape.count(None)

    @property
    def size(self) -> int:
        """The product of the dimensions that are known."""
        return math.prod(one for one in self.shape if one is not None)

    @property
    def type(self) -> pa.DataType:
        """The Arrow type."""
        found = SCALARS[self.kind]
        if self.fixed:
            return pa.list_(found, self.size)
        for _ in range(self.levels + len(self.shape)):
            found = pa.list_(found)
        return found


@dataclass(frozen=True, slots=True)
class Struct:
    """A dict of tensors."""

    children: tuple[tuple[str, Leaf | Struct], ...]


Node = Leaf | Struct


Columns = tuple[tuple[str, Node], ...]  # by name


def split_name(name: str) -> str:
    """TFDS's name of a split as ours: lower-case letters, digits and _."""
    return re.sub(r"[^a-z0-9_]", "_", name.lower())
