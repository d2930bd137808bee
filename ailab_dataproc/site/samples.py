"""The first rows of a version and its first images, for its page. Personal data is never read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ailab_dataproc.backends.shards import Part, first_of
from ailab_dataproc.manifest import Prepared
from ailab_dataproc.site.pictures import Preview, can_preview, preview
from ailab_dataproc.tables import HIDDEN, cell

ROWS = 5
_READ = 12  # rows: as many images as a page shows
_COLUMNS = 60  # that are shown of a wide table
_IMAGES = 3  # columns of images that are shown


@dataclass(frozen=True, slots=True)
class Sample:
    """The first rows of a split."""

    split: str
    columns: tuple[tuple[str, bool], ...]  # name, and whether its values are hidden
    rows: tuple[tuple[str, ...], ...]
    left_out: int  # columns that have no room
    images: tuple[tuple[str, tuple[Preview, ...]], ...]  # by column


def sample_of(prepared: Prepared, split: str, personal: Collection[str], *, images: bool = True) -> Sample | None:
    """The first rows of a split; None where there are none, or none that may be shown.

    Args:
        prepared: the version.
        split: of it.
        personal: the columns whose values are hidden.
        images: whether they are shown.

    Raises:
        DamagedData: the index or the shard isn't what was written.
        MissingLibrary: there are images, and Pillow isn't installed.
    """
    schema = prepared.schema
    names = schema.names[:_COLUMNS]
    free = pa.schema([one for one in schema if one.name not in personal and (one.name in names or can_preview(one))])
    found = _first(prepared, split, free) if len(free) else None
    if found is None:
        return None
    shown = found.slice(0, ROWS).to_pylist()
    return Sample(
        split=split,
        columns=tuple((one, one in personal) for one in names),
        rows=tuple(tuple(HIDDEN if one in personal else cell(row[one]) for one in names) for row in shown),
        left_out=len(schema) - len(names),
        images=tuple(_images(found, [one.name for one in free if can_preview(one)][:_IMAGES]) if images else ()),
    )


def _first(prepared: Prepared, split: str, schema: pa.Schema) -> pa.Table | None:
    index = prepared.index(columns=["split", "path", "rows", "bytes", "checksum"])
    mine = index.filter(pc.and_(pc.equal(index["split"].cast(pa.string()), split), pc.greater(index["rows"], 0)))
    if not len(mine):
        return None
    shard = mine.slice(0, 1).to_pylist()[0]
    part = Part(
        folder=prepared.folder,
        path=shard["path"],
        rows=shard["rows"],
        size=shard["bytes"],
        bytes=0,
        skip=0,
        take=min(_READ, shard["rows"]),
        checksum=shard["checksum"],
    )
    return first_of(part, schema)


def _images(found: pa.Table, columns: Sequence[str]) -> list[tuple[str, tuple[Preview, ...]]]:
    made = [(one, tuple(preview(found, one))) for one in columns]
    return [(one, images) for one, images in made if images]
