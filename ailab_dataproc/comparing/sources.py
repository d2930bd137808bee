"""Which sources a version was read from that another one wasn't, by name, size and checksum."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass

import pyarrow.parquet as pq

from ailab_dataproc.errors import DamagedData
from ailab_dataproc.manifest import SOURCES, Prepared
from ailab_dataproc.storage import checksum_of


@dataclass(frozen=True, slots=True)
class SourceChanges:
    """The difference of two lists of sources, each as ``split: name``."""

    added: list[str]
    removed: list[str]
    changed: list[str]  # of the same name, with another content
    same: int


def compare_sources(old: Prepared, new: Prepared) -> SourceChanges | None:
    """Compare the lists; None where a version was prepared before they were kept.

    Raises:
        DamagedData: a list isn't what the manifest was written with.
    """
    before, after = _read(old), _read(new)
    if before is None or after is None:
        return None
    gone, come = before - after, after - before
    names, other = ({name for name, _ in found} for found in (gone, come))
    changed = names & other
    return SourceChanges(
        added=sorted(name for name, _ in come.elements() if name not in changed),
        removed=sorted(name for name, _ in gone.elements() if name not in changed),
        changed=sorted(changed),
        same=(before & after).total(),
    )


def _read(prepared: Prepared) -> Counter[tuple[str, tuple[int, str | None]]] | None:
    """Names with size and identity; a name may stand for several files, of which only the last part is kept."""
    written = prepared.manifest.files.get(SOURCES)
    if written is None:
        return None
    where = prepared.folder.path(SOURCES)
    try:
        content = prepared.folder.read(SOURCES)
    except FileNotFoundError as error:
        raise DamagedData(f"{where}: the list of sources is missing. Restore the file.") from error
    if checksum_of(io.BytesIO(content)) != written:
        raise DamagedData(f"{where}: is not the file that the manifest was written with. Restore it.")
    rows = pq.read_table(io.BytesIO(content)).to_pylist()
    return Counter((f"{one['split']}: {one['url']}", (one["bytes"], one["identity"])) for one in rows)
