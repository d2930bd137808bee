"""What a cluster's address or name stands for: a YAML file of configs/clusters or of the user's own folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ailab_dataproc import configuration
from ailab_dataproc.cluster.security import FILES, check_address
from ailab_dataproc.errors import SettingsError, unknown

# The keys of configs/clusters/*.yaml: of a scheduler that runs already, and of one that is started.
_OF_ADDRESS = ("address", "security", "insecure")
_OF_KIND = ("cluster", "options", "fit_to_machine", "scale", "adapt", "security", "insecure")
_KEYS: dict[str, type | tuple[type, ...]] = {
    "address": str,
    "security": dict,
    "insecure": bool,
    "cluster": str,
    "options": dict,
    "fit_to_machine": bool,
    "scale": int,
    "adapt": dict,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Where a cluster is (`address`), or how one is started (`kind`)."""

    name: str  # of the configuration, or the address
    address: str | None = None
    security: Mapping[str, str] = field(default_factory=dict)  # the files of TLS: ca, cert, key
    insecure: bool = False  # whether tcp:// to other machines is allowed
    kind: str | None = None  # "module:Class", such as "distributed:LocalCluster", or a method of it that makes one
    options: Mapping[str, Any] = field(default_factory=dict)  # of the class, passed on unread
    fit_to_machine: bool = False  # a process a core and free memory shared out, where the options don't say
    scale: int | None = None  # workers to ask for, of kinds that start with none
    adapt: Mapping[str, Any] = field(default_factory=dict)  # of the cluster's `adapt`: minimum, maximum


def find_cluster(cluster: str) -> Cluster:
    """What an address, a name or a path stands for; nothing is connected or started.

    Raises:
        UnknownName: there is no such configuration.
        SettingsError: the configuration can't be understood.
        InvalidRequest: the address isn't encrypted, and not on this machine.
    """
    if "://" in cluster:
        check_address(cluster, cluster)
        return Cluster(name=cluster, address=cluster)
    file = configuration.find("clusters", cluster)
    if file is None:
        names = configuration.names("clusters")
        raise unknown("cluster", cluster, names, hint="An address is written tls://host:8786.")
    values = configuration.read(file, _KEYS)
    if ("address" in values) == ("cluster" in values):
        raise SettingsError(
            f"{file}: found {' and '.join(values) or 'nothing'}, wanted either address: tls://host:port "
            "or cluster: module:Class. Keep one of the two."
        )
    allowed = _OF_ADDRESS if "address" in values else _OF_KIND
    for key in values:
        if key not in allowed:
            raise SettingsError(f"{file}: {key}: belongs to no cluster with `{allowed[0]}:`. Leave it out.")
    if "scale" in values and "adapt" in values:
        raise SettingsError(f"{file}: found scale and adapt, wanted one of them. Keep the one that you mean.")
    found = Cluster(
        name=file.stem,
        kind=values.pop("cluster", None),
        security=_files(file, values.pop("security", {})),
        **values,
    )
    if found.address:
        check_address(found.address, str(file), insecure=found.insecure)
    return found


def _files(config: Path, security: Mapping[Any, Any]) -> dict[str, str]:
    found = {}
    for key, value in security.items():
        if key not in FILES:
            raise SettingsError(str(unknown("key", str(key), FILES, where=f"{config}: security")))
        path = Path(str(value)).expanduser()
        if not path.is_file():
            raise SettingsError(f"{config}: security: {key}: {path} does not exist. Ask who runs the cluster for it.")
        found[key] = str(path)
    return found
