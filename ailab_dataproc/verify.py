"""Is what was prepared still what was written? Names each file that is missing, damaged or foreign."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ailab_dataproc.manifest import INDEX, MANIFEST, SOURCES, STATISTICS, Prepared
from ailab_dataproc.storage import checksum

_OURS = {MANIFEST, INDEX, SOURCES, STATISTICS}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong."""

    path: str
    what: str


def verify_version(prepared: Prepared, *, deep: bool = True) -> Iterator[Fault]:
    """Compare a version's files with its index.

    Args:
        prepared: the version.
        deep: whether to read every byte and compare checksums; otherwise only presence and sizes.

    Yields:
        The faults, in the order of the index; nothing where all is well.
    """
    folder = prepared.folder
    if not folder.exists(INDEX):
        yield Fault(INDEX, "is missing")
        return
    if checksum(folder, INDEX) != prepared.manifest.index_checksum:
        yield Fault(INDEX, "is not the index that the manifest was written with")
    written = prepared.manifest.statistics_checksum
    if written and not folder.exists(STATISTICS):
        yield Fault(STATISTICS, "is missing")
    elif written and checksum(folder, STATISTICS) != written:
        yield Fault(STATISTICS, "is not the file that the manifest was written with")
    known = set(_OURS)
    present = folder.find()
    for kind in prepared.manifest.formats:
        for row in prepared.index(kind).select(["path", "bytes", "checksum"]).to_pylist():
            known.add(row["path"])
            size = folder.size(row["path"])
            if size is None:
                yield Fault(row["path"], "is missing")
            elif size != row["bytes"]:
                yield Fault(row["path"], f"has {size:,} bytes, the index says {row['bytes']:,}")
            elif deep and checksum(folder, row["path"]) != row["checksum"]:
                yield Fault(row["path"], "has other bytes than were written")
        for name in present:
            if name.startswith(f"{kind}/") and name not in known:
                yield Fault(name, "is foreign: the index doesn't know it")
