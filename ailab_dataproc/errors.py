"""One tree of errors. A message says where, what was found, what was wanted, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AilabError(Exception):
    """The root: everything that this package raises on purpose."""


class SettingsError(AilabError, ValueError):
    """A settings file or an environment variable that can't be understood."""


class UnknownName(AilabError, LookupError):
    """A dataset, version, split, column or backend that doesn't exist."""


class InvalidDefinition(AilabError, ValueError):
    """A `Dataset` or `column` that can't be right, whatever its sources hold."""


class InvalidRequest(AilabError, ValueError):
    """Arguments of a call that don't go together, or don't fit the dataset."""


class InvalidData(AilabError, ValueError):
    """A source whose rows don't fit the declared schema."""


class CheckFailed(InvalidData):
    """A check of a definition that more rows fail than it tolerates."""


class SourceFailed(AilabError, RuntimeError):
    """An author's `read` function raised; the original traceback is the cause's text."""


class NotPrepared(AilabError, LookupError):
    """A dataset, or a version of it, that has no finished manifest in the data directory."""


class VersionConflict(AilabError, ValueError):
    """A version that was prepared before from something else."""


class DamagedData(AilabError, OSError):
    """A prepared file that is missing, truncated, changed or foreign."""


class StorageFailed(AilabError, OSError):
    """A place that can't be read or written."""


class ClusterFailed(AilabError, RuntimeError):
    """A cluster or a runner that can't be reached, doesn't fit, or ended before its work was done."""


class JobFailed(AilabError, RuntimeError):
    """A job without a result: it failed, was cancelled, or got lost."""


class TrackingFailed(AilabError, RuntimeError):
    """A tracking server or a registry that can't be reached, refuses, or doesn't know what was asked for."""


class MissingLibrary(AilabError, ImportError):
    """An optional library that isn't installed; the message has the pip line."""


class BackendRefused(AilabError, ValueError):
    """A backend that can't return what was asked, with its reason."""


def unknown(kind: str, found: str, known: Iterable[str], where: str = "", hint: str = "") -> UnknownName:
    """Build the error for a name that doesn't exist, with the nearest names that do.

    Args:
        kind: what the name stands for, such as ``"dataset"``.
        found: the name that was given.
        known: the names that exist.
        where: the thing that was searched, if that helps.
        hint: what to do when no name is near.
    """
    names = sorted(known)
    near = difflib.get_close_matches(found, names, n=3, cutoff=0.5)
    if not near:  # "clicks" for "products/product_a/clicks"
        near = [name for name in names if found and name.rsplit("/", 1)[-1] == found.rsplit("/", 1)[-1]][:3]
    if near:
        advice = f"Did you mean {' or '.join(repr(name) for name in near)}?"
    elif names:
        shown = ", ".join(names[:8]) + (f", … ({len(names)} in all)" if len(names) > 8 else "")
        advice = f"There is: {shown}."
    else:
        advice = "There is none."
    place = f"{where}: " if where else ""
    return UnknownName(" ".join(part for part in (f"{place}no {kind} {found!r}.", advice, hint) if part))


def require(module: str, extra: str) -> None:
    """Raise `MissingLibrary` with the pip line when an optional library isn't installed."""
    import importlib.util

    if importlib.util.find_spec(module) is None:
        raise MissingLibrary(
            f"{module} is not installed. Install it with: pip install 'ailab_dataproc[{extra}]'", name=module
        )
