"""diff: what has changed between two prepared versions of a dataset, and how far each column has moved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ailab_dataproc import storage
from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.references import Reference, split
from ailab_dataproc.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ailab_dataproc.comparing.comparison import Comparison


def diff(
    name: str,
    old: str | None = None,
    new: str | None = None,
    *,
    columns: Sequence[str] | None = None,
    data_dir: str | None = None,
) -> Comparison:
    """Compare two prepared versions of a dataset, without reading a row.

    Args:
        name: of the dataset.
        old: the version that the other one is measured by, ``"1.1.0"`` or a pattern; by default the one before `new`.
        new: by default the newest.
        columns: only these are compared; by default all.
        data_dir: where to look; by default as the settings say.

    Returns:
        Schema, rows, sizes, sources, release notes, lineage, and each column's drift; `to_dict` gives plain values.

    Raises:
        NotPrepared, UnknownName, InvalidRequest, DamagedData: each with one sentence.
    """
    from ailab_dataproc.comparing.comparison import compare
    from ailab_dataproc.loading import known_versions
    from ailab_dataproc.manifest import open_prepared

    settings = load_settings()
    settings = replace(settings, data_dir=data_dir) if data_dir else settings
    if split(name)[1] is not None:
        raise InvalidRequest(f"{name}: wanted the name alone, and two versions: diff {split(name)[0]} 1.1.0 1.2.0.")
    there = known_versions(name, settings).there
    last = Reference.parse(name, new, there).choose(there)
    earlier = there[: there.index(last)]
    if old is None and not earlier:
        raise InvalidRequest(f"{name}: {last} is the first version there is, so nothing stands before it to compare.")
    first = Reference.parse(name, old, there).choose(there) if old is not None else earlier[-1]
    if first == last:
        raise InvalidRequest(f"{name}: {first} twice. Name two versions.")
    place = storage.folder(settings.data_dir, settings.storage_options)
    return compare(open_prepared(place, name, first), open_prepared(place, name, last), columns=columns)
