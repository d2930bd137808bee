"""Tests for other repositories too: of a dataset (`DatasetTests`), and of a backend (`BackendTests`)."""

from ailab_dataproc.edge_cases import edge_cases
from ailab_dataproc.testing.backends import BackendTests, prepare_edge_cases, repeated
from ailab_dataproc.testing.datasets import DatasetTests
from ailab_dataproc.testing.tables import assert_same, prepare_tables

__all__ = [
    "BackendTests",
    "DatasetTests",
    "assert_same",
    "edge_cases",
    "prepare_edge_cases",
    "prepare_tables",
    "repeated",
]
