"""The tensor backends pass the shared tests, and are what TensorFlow's and PyTorch's own users expect."""

from __future__ import annotations

import pytest

from ailab_dataproc.testing import BackendTests


class TestTf(BackendTests):
    backend = "tf"
    options = {"nulls": "mask"}  # noqa: RUF012 - a ClassVar in BackendTests

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def library(cls):
        pytest.importorskip("tensorflow")

    def dtypes(self, frame):
        return {name: str(spec) for name, spec in frame.element_spec.items()}


class TestTorch(BackendTests):
    backend = "torch"
    options = {"nulls": "mask"}  # noqa: RUF012 - a ClassVar in BackendTests

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def library(cls):
        pytest.importorskip("torch")

    def dtypes(self, frame):
        return frame.dtypes
