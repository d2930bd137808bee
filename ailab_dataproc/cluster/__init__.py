"""Dask clusters: connecting to one, or starting one."""

from ailab_dataproc.cluster.configs import Cluster, find_cluster
from ailab_dataproc.cluster.connecting import check_versions, connect, open_client

__all__ = ["Cluster", "check_versions", "connect", "find_cluster", "open_client"]
