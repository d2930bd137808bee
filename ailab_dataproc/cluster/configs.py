"""What a cluster's address or name stands for: a YAML file of configs/clusters or of the user's own folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ailab_dataproc import configuration
from ailab_dataproc.errors import SettingsError, unknown

# The keys of configs/clusters/*.yaml, and of their `security:`.
_KEYS: dict[str, type | tuple[type, ...]] = {"address": str, "security": dict, "cluster": str, "options": dict}
TLS = {"ca": "tls_ca_file", "cert": "tls_client_cert", "key": "tls_client_key"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Where a cluster is (`address`), or how one is started (`kind`)."""

    name: str  # of the configuration, or the address
    address: str | None = None
    security: Mapping[str, str] = field(default_factory=dict)  # the files of TLS: ca, cert, key
    kind: str | None = None  # "module:Class", such as "distributed:LocalCluster"
    options: Mapping[str, Any] = field(default_factory=dict)  # of the class, passed on unread


def find_cluster(cluster: str) -> Cluster:
    """What an address, a name or a path stands for; nothing is connected or started."""
    if "://" in cluster:
        return Cluster(name=cluster, address=cluster)
    file = configuration.find("clusters", cluster)
    if file is None:
        names = configuration.names("clusters")
        raise unknown("cluster", cluster, names, hint="An address is written tcp://host:port.")
    values = configuration.read(file, _KEYS)
    if ("address" in values) == ("cluster" in values):
        raise SettingsError(
            f"{file}: found {' and '.join(values) or 'nothing'}, wanted either address: tcp://host:port "
            "or cluster: module:Class. Keep one of the two."
        )
    return Cluster(
        name=file.stem,
        address=values.get("address"),
        security=_files(file, values.get("security", {})),
        kind=values.get("cluster"),
        options=values.get("options", {}),
    )


def _files(config: Path, security: Mapping[Any, Any]) -> dict[str, str]:
    found = {}
    for key, value in security.items():
        if key not in TLS:
            raise SettingsError(str(unknown("key", str(key), TLS, where=f"{config}: security")))
        path = Path(str(value)).expanduser()
        if not path.is_file():
            raise SettingsError(f"{config}: security: {key}: {path} does not exist. Ask who runs the cluster for it.")
        found[key] = str(path)
    return found
