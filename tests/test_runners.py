"""Runners: a real Dask cluster over TCP and Beam's portable runner write the same bytes; what is wrong is told."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from conftest import clicks

import ailab_dataproc
from ailab_dataproc import configuration, storage
from ailab_dataproc.cluster import connect, find_cluster
from ailab_dataproc.errors import AilabError, ClusterFailed, InvalidRequest, SettingsError, StorageFailed, UnknownName
from ailab_dataproc.preparation import runners
from ailab_dataproc.preparation.engines import beam_options, dask, dask_workers, versions
from ailab_dataproc.preparation.options import Options
from ailab_dataproc.preparing import prepare

ROOT = Path(ailab_dataproc.__file__).parents[1]
BEAM = sorted((ROOT / "configs" / "beam").glob("*.yaml"))
CLUSTERS = sorted((ROOT / "configs" / "clusters").glob("*.yaml"))

TOLD = '''"""Clicks, told in a file of the author's."""
import os, signal, time
import pyarrow as pa, pyarrow.csv as csv
from ailab_dataproc import Dataset, column

def helped(batch):
    return batch

def read(source):
    if source.name in WAITING:
        with open(FOLDER + "/started-" + source.name, "a") as log:
            log.write(f"{os.getpid()}\\n")
        while os.path.exists(FOLDER + "/wait"):
            time.sleep(0.05)
    if source.name == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    for batch in csv.open_csv(source.open()):
        yield helped(batch)

schema = pa.schema([column("user", pa.int64(), "who"), column("price", pa.float64(), "bid"),
                    column("word", pa.string(), "what", nullable=True)])
dataset = Dataset(name="test/told", version="1.0.0", schema=schema, splits={"train": FOLDER + "/sources/*.csv"},
                  description=__doc__, read=read)
'''


@pytest.fixture
def define_told(tmp_path, monkeypatch):
    """Write a definition that no worker can import, and eight sources, each of them a task."""

    def make(waiting=(), deadly=None):
        text = TOLD.replace("FOLDER", repr(str(tmp_path))).replace("WAITING", repr(tuple(waiting)))
        place = tmp_path / "definitions" / "test" / "told.py"
        place.parent.mkdir(parents=True)
        place.write_text(text.replace("DEADLY", repr(deadly)))
        (tmp_path / "sources").mkdir()
        for number, letter in enumerate("abcdefgh"):
            (tmp_path / "sources" / f"{letter}.csv").write_text(clicks(50, start=number * 1000))
        monkeypatch.setenv("AILAB_DATASETS", str(tmp_path / "definitions"))
        return "test/told"

    return make


def made(data_dir, name="test/told", **options):
    """Prepare with a task for each source, and return the digests of all files but the manifest."""
    from test_prepare import digests, small, version

    from ailab_dataproc import catalog
    from ailab_dataproc.settings import load_settings

    small(catalog.find(name, load_settings()), str(data_dir), **options)
    return digests(version(data_dir, name))
