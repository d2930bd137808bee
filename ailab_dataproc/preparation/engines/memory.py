"""Which of Arrow's memory pools is used while tasks run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa


def keep_memory() -> None:
    """Let Arrow keep freed memory: its default pool returns it at once, and threads then wait for fresh pages.

    Two threads took 0.75 times as long with jemalloc (benchmarks/prepare.py, medians of 4, 2 cores).
    """
    if "jemalloc" in pa.supported_memory_backends():
        pa.set_memory_pool(pa.jemalloc_memory_pool())


@contextmanager
def kept_memory() -> Iterator[None]:
    """`keep_memory` for a while."""
    before = pa.default_memory_pool()
    keep_memory()
    try:
        yield
    finally:
        pa.set_memory_pool(before)
