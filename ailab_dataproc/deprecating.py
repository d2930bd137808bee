"""Deprecate a prepared version, or take that back; what its definition says is taken over, too."""

from __future__ import annotations

from ailab_dataproc import catalog, notices, storage
from ailab_dataproc.errors import InvalidDefinition, InvalidRequest
from ailab_dataproc.loading import known_versions
from ailab_dataproc.notices import Notice, Notices
from ailab_dataproc.references import Reference, listed, number
from ailab_dataproc.settings import Settings


def deprecate(reference: str, reason: str, settings: Settings, *, use: str = "") -> dict[str, Notice]:
    """Say of a version why it should no longer be used; `load` of it warns, and the bare name no longer takes it.

    Args:
        reference: ``name:1.1.0``.
        reason: for people.
        settings: where the data lies.
        use: the version to take instead, or a pattern.

    Returns:
        What is deprecated now, as `deprecated` has it.

    Raises:
        InvalidRequest: no version is named, or there is no reason.
        NotPrepared, UnknownName: it doesn't exist.
    """
    wanted, there = _exact(reference, settings)
    if not notices.clean(reason):
        raise InvalidRequest(f"{wanted}: no reason. Say why, such as 'prices in the wrong currency'.")
    if use:
        instead = Reference.parse(wanted.name, use, there)
        if instead.matches(wanted.version):
            raise InvalidRequest(f"{wanted}: use={use!r} is the version itself. Name another one. {listed(there)}")
        instead.choose(there)
    notices.deprecate(_folder(wanted.name, settings), wanted.version, reason, use)
    return deprecated(wanted.name, settings)


def undo(reference: str, settings: Settings) -> dict[str, Notice]:
    """Take back what `deprecate` has said; returns what is deprecated now.

    Raises:
        InvalidRequest: nothing was said of the version, or its definition says it.
        NotPrepared, UnknownName: it doesn't exist.
    """
    wanted, _ = _exact(reference, settings)
    found = _follow(wanted.name, settings)
    if wanted.version in found.told:
        notices.undo(_folder(wanted.name, settings), wanted.version)
        return deprecated(wanted.name, settings)
    if wanted.version in found.defined:
        raise InvalidRequest(f"{wanted}: its definition says that it is deprecated. Take it out of deprecated= there.")
    raise InvalidRequest(f"{wanted}: isn't deprecated. There is nothing to undo.")


def deprecated(name: str, settings: Settings) -> dict[str, Notice]:
    """What is deprecated of a dataset, the newest version first. What its definition says is taken over before.

    Raises:
        NotPrepared, UnknownName: nothing of it is prepared.
    """
    known_versions(name, settings)
    found = _follow(name, settings).deprecated
    return {version: found[version] for version in sorted(found, key=number, reverse=True)}


def _follow(name: str, settings: Settings) -> Notices:
    folder, known = _folder(name, settings), catalog.definitions(settings)
    try:
        return notices.follow(folder, known[name].load().deprecated) if name in known else notices.read_notices(folder)
    except InvalidDefinition:  # says nothing now, and what it said stays
        return notices.read_notices(folder)


def _folder(name: str, settings: Settings) -> storage.Folder:
    return storage.folder(settings.data_dir, settings.storage_options) / name


def _exact(reference: str, settings: Settings) -> tuple[Reference, tuple[str, ...]]:
    """A version that is prepared, and all that are."""
    wanted = Reference.parse(reference)
    there = known_versions(wanted.name, settings).there
    if not wanted.is_exact:
        raise InvalidRequest(f"{wanted}: names no single version. Write {wanted.name}:{there[-1]}. {listed(there)}")
    wanted.choose(there)
    return wanted, there
