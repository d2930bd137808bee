"""Fixtures that many tests share: an empty data directory, a small dataset, and an environment of their own."""

from __future__ import annotations

import contextlib
import os
import sys

import hypothesis
import pyarrow as pa
import pytest
import yaml
from gcs import Gcs  # first: it sets what gcsfs reads when it is imported
from lab import lab

from ailab_dataproc.columns import column
from ailab_dataproc.dataset import Dataset
from ailab_dataproc.preparing import prepare

# How long an example takes says more of what else runs on the machine than of the code.
hypothesis.settings.register_profile("lab", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("lab")

CLICKS = pa.schema(
    [
        column("user", pa.int64(), "who clicked"),
        column("price", pa.float32(), "winning bid", unit="JPY"),
        column("word", pa.string(), "searched for", nullable=True),
    ]
)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch, tmp_path_factory):
    """No setting of the person who runs the tests is seen, nor the width of their terminal."""
    for name in list(os.environ):
        if name.startswith(("AILAB_", "MLFLOW_")) or name in ("COLUMNS", "LINES"):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    if "mlflow" in sys.modules:  # its server, where a test has one in this process, sets the registry for all others
        sys.modules["mlflow"].set_registry_uri("")


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Start a cluster that jobs go to: `start(2, "--no-nanny")` with the options of each worker; it ends with the test.

    Without options a worker has two threads and no nanny, and says nothing of jobs.
    """
    with contextlib.ExitStack() as stack:

        def started(workers=1, *options, **given):
            options = options or ("--no-nanny", "--nthreads", "2")
            made = stack.enter_context(lab(tmp_path / "lab", workers, options, **given))
            monkeypatch.setenv("AILAB_CLUSTER", made.address)
            monkeypatch.setenv("AILAB_JOBS_DIR", str(tmp_path / "jobs"))
            return made

        yield started


@pytest.fixture
def data_dir(tmp_path):
    """A data directory that doesn't exist yet."""
    return str(tmp_path / "data")


@pytest.fixture
def gcs():
    """A Google Cloud Storage on loopback."""
    server = Gcs()
    yield server
    server.stop()


@pytest.fixture
def bucket(gcs, tmp_path, monkeypatch):
    """The URL of an empty bucket that the settings name as the data directory, with a cache in tmp_path/cache."""
    url = gcs.bucket("lab")
    settings = {"data_dir": url, "cache_dir": str(tmp_path / "cache"), "storage_options": gcs.options}
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings))
    monkeypatch.setenv("AILAB_SETTINGS", str(tmp_path / "settings.yaml"))
    return url


@pytest.fixture
def define(tmp_path):
    """Make a dataset: `define(files={"a.csv": text}, schema=…, …)` writes its sources too."""

    def make(files=None, *, schema=CLICKS, name="test/clicks", version="1.0.0", splits=None, **given):
        folder = tmp_path / "sources"
        folder.mkdir(exist_ok=True)
        for file, content in ({"a.csv": clicks(20)} if files is None else files).items():
            (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())
        found = splits or {"train": [str(folder / file) for file in (files or ["a.csv"])]}
        return Dataset(name=name, version=version, schema=schema, splits=found, **given)

    return make


@pytest.fixture
def make(define, data_dir):
    """Define a dataset and prepare it, Parquet only and in one thread."""

    def made(files=None, **given):
        options = {key: given.pop(key) for key in ("runner", "workers", "formats", "sources") if key in given}
        return prepare(
            define(files, **given), data_dir=data_dir, **{"runner": "inline", "formats": ("parquet",)} | options
        )

    return made


def clicks(rows: int, start: int = 0) -> str:
    """A CSV text of so many clicks."""
    lines = [f"{start + i},{(start + i) / 4},{'' if i % 5 == 3 else f'wörd {i}'}" for i in range(rows)]
    return "\n".join(["user,price,word", *lines]) + "\n"
