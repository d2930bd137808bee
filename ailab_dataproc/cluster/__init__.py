"""Dask clusters: connecting to one, or starting one."""

from ailab_dataproc.cluster.configs import Cluster, find_cluster
from ailab_dataproc.cluster.connecting import connect

__all__ = ["Cluster", "connect", "find_cluster"]
