"""A prepared version described as Croissant metadata (JSON-LD), which dataset search and other loaders read."""

from __future__ import annotations

from ailab_dataproc.croissant.document import metadata, write

__all__ = ["metadata", "write"]
