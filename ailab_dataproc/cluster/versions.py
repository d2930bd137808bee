"""Which differences of versions between here and a cluster are refused, and which are one line."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import ailab_dataproc
from ailab_dataproc.errors import ClusterFailed

PACKAGES = ("dask", "distributed", "cloudpickle", "msgpack", "numpy", "pandas", "pyarrow", "ailab_dataproc")
# How many leading numbers of a version must be alike. Bytecode is of one minor version of Python; Dask promises nothing
# between releases; the formats of the others change with the first number. Arrow's doesn't change.
_ALIKE = {"python": 2, "dask": 2, "distributed": 2, "cloudpickle": 1, "msgpack": 1, "numpy": 1, "pandas": 1}
_ALIKE |= {"ailab_dataproc": 2}
_OF_SCHEDULER = ("python", "dask", "distributed", "cloudpickle", "msgpack", "ailab_dataproc")  # it holds no data
_ADVICE = (
    "Install the same on both sides: the minor version of python, dask, distributed and ailab_dataproc, the major one "
    "of cloudpickle, msgpack, numpy and pandas."
)
_NAMED = 3  # workers, in a message
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """What a scheduler and its workers say of themselves: a version of each package, None where it isn't installed."""

    scheduler: Mapping[str, str | None]
    workers: Mapping[str, Mapping[str, str | None]]  # by address
    silent: tuple[str, ...] = ()  # addresses of workers that didn't answer


@dataclass(frozen=True, slots=True)
class _Difference:
    package: str
    there: str | None
    here: str
    who: list[str] = field(default_factory=list)

    @property
    def matters(self) -> bool:
        """Whether it is refused."""
        count = _ALIKE.get(self.package, 0)
        return self.there is not None and self.there.split(".")[:count] != self.here.split(".")[:count]

    def __str__(self) -> str:
        more = f" and {len(self.who) - _NAMED} more" if len(self.who) > _NAMED else ""
        who = ", ".join(self.who[:_NAMED]) + more
        found = f"{self.package} {self.there}" if self.there else f"no {self.package}"
        return f"{who}: {found}, here {self.here}"


def here() -> dict[str, str | None]:
    """The versions of this process."""
    from distributed.versions import get_versions

    return plain(get_versions(packages=PACKAGES)["packages"]) | {"ailab_dataproc": ailab_dataproc.__version__}


def plain(packages: Mapping[str, Any]) -> dict[str, str | None]:
    """Of what Dask tells, the packages that are compared; python as 3.11.7 rather than 3.11.7.final.0."""
    python = ".".join(str(packages["python"]).split(".")[:3])
    return {"python": python} | {name: packages.get(name) for name in PACKAGES}


def check(address: str, told: Told, mine: Mapping[str, str | None]) -> None:
    """Refuse differences that matter; tell the others in one line of the log.

    Args:
        address: of the scheduler.
        told: by the cluster.
        mine: of this process.

    Raises:
        ClusterFailed: who has which version, and what is here.
    """
    found = list(_differences(told, mine))
    matter = [one for one in found if one.matters]
    if matter:
        raise ClusterFailed(f"{address}: other versions than here. {'; '.join(map(str, matter))}. {_ADVICE}")
    if found:
        _log.warning("%s: versions differ a little. %s.", address, "; ".join(map(str, found)))
    if told.silent:
        named = ", ".join(told.silent[:_NAMED])
        _log.warning("%s: %d workers didn't tell their versions (%s).", address, len(told.silent), named)


def _differences(told: Told, mine: Mapping[str, str | None]) -> Iterator[_Difference]:
    """Each with all that have it; what isn't installed here isn't compared."""
    found: dict[tuple[str, str | None], _Difference] = {}
    scheduler = {name: told.scheduler.get(name) for name in _OF_SCHEDULER}
    everyone = {"the scheduler": scheduler, **{f"worker {address}": one for address, one in told.workers.items()}}
    for who, versions in everyone.items():
        for package, there in versions.items():
            own = mine.get(package)
            if own and there != own:
                found.setdefault((package, there), _Difference(package, there, own)).who.append(who)
    yield from found.values()
