"""Old versions that may go: which, what they take, and why others stay. Never the one that `load` takes by name."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ailab_dataproc import notices, storage
from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.loading import known_versions
from ailab_dataproc.manifest import MANIFEST, Versions, read_all, read_manifest
from ailab_dataproc.references import Reference, split
from ailab_dataproc.settings import Settings
from ailab_dataproc.storage import Folder
from ailab_dataproc.storage.lock import Held, locked


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What has to hold of a version that goes: all that is said."""

    keep: int | None = None  # it isn't among so many newest ones
    older_than: float | None = None  # seconds since its newest file was written
    deprecated_only: bool = False

    def check(self) -> None:
        """Raise `InvalidRequest` for a rule that lets nothing stay."""
        if self.keep is not None and self.keep < 1:
            raise InvalidRequest(f"retire: keep={self.keep}, wanted a number from 1 on; the newest always stays.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """A version that goes, or stays for a reason."""

    dataset: str  # name:version
    path: str
    bytes: int = 0
    age: float = 0.0  # seconds since its newest file was written
    kept: str = ""  # why it stays; empty: it goes


def retire(reference: str, rule: Rule, settings: Settings, *, dry_run: bool = True) -> Iterator[Retired]:
    """Remove versions of a dataset that a rule lets go.

    A version stays that `load` takes by the bare name, that is the newest, that another prepared version was made
    from, or that is being prepared. Whether somebody is reading one can't be seen.

    Args:
        reference: ``name``, or ``name:1.2.0`` or ``name:1.*`` for some of its versions.
        rule: which of them may go.
        settings: where it lies.
        dry_run: whether only to tell.

    Yields:
        Each version that the rule lets go, the oldest first: removed, or kept for a reason.

    Raises:
        InvalidRequest: nothing says which versions may go.
        NotPrepared, UnknownName: nothing is prepared under this name.
        DamagedData: a manifest in the data directory can't be read, so that nobody knows what was made from what.
    """
    rule.check()
    name, _ = split(reference)
    versions = known_versions(name, settings)
    wanted = Reference.parse(reference, there=versions.there)
    if not wanted.version and rule == Rule():
        raise InvalidRequest(
            f"{name}: nothing says which versions may go. Give --keep, --older-than or --deprecated-only, or name "
            f"some, such as {name}:{versions.there[0]}."
        )
    data_dir = storage.folder(settings.data_dir, settings.storage_options)
    chosen = [version for version in _chosen(versions, rule) if wanted.matches(version)]
    ages = {version: _age(data_dir / name / version) for version in chosen}
    old = [version for version, age in ages.items() if age >= (rule.older_than or 0)]
    used = _used(data_dir, name) if old else {}
    for version in old:
        folder = data_dir / name / version
        size = sum(folder.sizes().values())
        found = Retired(dataset=f"{name}:{version}", path=folder.url, bytes=size, age=ages[version])
        kept = _needed(name, version, versions) or _made(used.get(version, []))
        yield replace(found, kept=kept) if kept else _removed(found, data_dir / name, version, dry_run=dry_run)


def _chosen(versions: Versions, rule: Rule) -> list[str]:
    """What may go but for its age."""
    old = versions.there[: max(len(versions.there) - rule.keep, 0)] if rule.keep is not None else versions.there
    deprecated = versions.notices.deprecated
    return [one for one in old if one in deprecated or not rule.deprecated_only]


def _age(folder: Folder) -> float:
    return max(time.time() - (folder.modified() or 0), 0.0)


def _needed(name: str, version: str, versions: Versions) -> str:
    """Why nobody may remove a version, whatever the rule."""
    if version == versions.there[-1]:
        return "it is the newest"
    taken = Reference(name).choose(versions.there, versions.notices.deprecated)
    return f"load({name!r}) takes it" if version == taken else ""


def _used(data_dir: Folder, name: str) -> dict[str, list[str]]:
    """By version of a dataset, the prepared versions that were made from it."""
    found: dict[str, list[str]] = {}
    for other in read_all(data_dir):
        for origin in other.lineage.derived_from if other.lineage else []:
            if origin.name == name:
                found.setdefault(origin.version, []).append(f"{other.name}:{other.version}")
    return found


def _made(used: list[str]) -> str:
    more = f" and {len(used) - 2} more" if len(used) > 2 else ""
    return f"{', '.join(used[:2])}{more} {'was' if len(used) == 1 else 'were'} made from it" if used else ""


def _removed(found: Retired, folder: Folder, version: str, *, dry_run: bool) -> Retired:
    """Remove a version unless it is being prepared; seen from outside it is whole or isn't there."""
    try:
        with locked(folder, version, found.dataset, wait=False):
            if not dry_run:
                notices.retire(folder, version, read_manifest(folder / version).fingerprint)
                hidden = folder / f".incomplete-{version}-{uuid.uuid4().hex}"  # what `clean` knows
                (folder / version).withdraw(hidden, MANIFEST)
            return found
    except Held as error:
        return replace(found, kept=str(error))
