"""Killed at any moment: no row lost or doubled, nothing visible before the end, the same bytes in the end."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_prepare import digests

from ailab_dataproc.loading import load

KILLS = 7  # for each of three arrangements
ROWS = 24_000
DEFINITION = """
import os, time
import pyarrow as pa
from ailab_dataproc import Dataset, Source, by_hash, column

def sources(split, text):
    return [Source(f"part-{i:02d}", split, identity=str(i)) for i in range(12)]

def read(source):
    number = int(source.url[-2:])
    for block in range(4):
        time.sleep(float(os.environ["PAUSE"]))
        first = number * 2000 + block * 500
        numbers = pa.array(range(first, first + 500))
        yield pa.table({"x": numbers, "word": numbers.cast(pa.string())})

schema = pa.schema([column("x", pa.int64(), "number of the row"), column("word", pa.string(), "the same as text")])
"""
ARRANGEMENTS = {
    "source": 'splits={"train": "parts"}',
    "shuffled": 'splits={"train": "parts"}, order="shuffled", key="x"',
    "by hash": 'splits=by_hash("x", {"train": 0.75, "test": 0.25}, sources="parts"), key="x"',
}
# Imports once, then forks a driver for each line that it reads: 20 drivers need no minute of imports.
DRIVERS = """
import os, sys
import apache_beam, tensorflow_datasets
from ailab_dataproc import storage
from ailab_dataproc.catalog import find
from ailab_dataproc.preparation.pipeline import Options, prepare_dataset
from ailab_dataproc.preparation.tasks import Layout
from ailab_dataproc.settings import load_settings
dataset = find("test/parts", load_settings())
layout = Layout(shard_bytes=20_000, chunk_rows=500, row_group_rows=2000)
print("ready", flush=True)
for line in sys.stdin:
    runner, folder = line.split()
    pid = os.fork()
    if not pid:
        prepare_dataset(dataset, storage.folder(folder), Options(runner=runner, workers=2, layout=layout))
        os._exit(0)
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


@pytest.fixture
def drivers(tmp_path):
    """A process that forks drivers for a data directory."""
    started = []

    def start(arrangement, pause=0.02):
        place = tmp_path / "definitions" / "test" / "parts.py"
        place.parent.mkdir(parents=True)
        given = f'name="test/parts", version="1.0.0", schema=schema, sources=sources, read=read, {arrangement}'
        place.write_text(f"{DEFINITION}dataset = Dataset({given})")
        environment = os.environ | {"AILAB_DATASETS": str(tmp_path / "definitions"), "PAUSE": str(pause)}
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVERS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=open(tmp_path / "stderr", "w"),  # noqa: SIM115 - as long as the process
            text=True,
            env=environment,
        )
        started.append(process)
        assert process.stdout.readline() == "ready\n", (tmp_path / "stderr").read_text()
        return process

    yield start
    for process in started:
        process.stdin.close()
        process.wait()


def begin(process, data_dir, runner="threads"):
    """Start a driver; returns its number."""
    process.stdin.write(f"{runner} {data_dir}\n")
    process.stdin.flush()
    return int(process.stdout.readline())


def drive(process, data_dir, seconds=None):
    """Start a driver, kill it after so many seconds; returns its exit status."""
    pid = begin(process, data_dir)
    if seconds is not None:
        time.sleep(seconds)
        with contextlib.suppress(ProcessLookupError):  # it was quicker
            os.kill(pid, signal.SIGKILL)
    return int(process.stdout.readline())


def workers(driver):
    """The numbers of a driver's worker processes."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == driver and b"LokyProcess" in (place / "cmdline").read_bytes():
                found.append(int(place.name))
    return sorted(found)


@pytest.mark.slow
@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_killed_at_random_moments_it_comes_to_the_same_end(drivers, tmp_path, arrangement):
    process = drivers(ARRANGEMENTS[arrangement])
    assert drive(process, tmp_path / "reference") == 0, (tmp_path / "stderr").read_text()
    started = time.monotonic()
    drive(process, tmp_path / "again")
    whole = time.monotonic() - started
    reference = digests(tmp_path / "reference/test/parts/1.0.0")
    rng = random.Random(0)
    kills = finished = 0
    while kills < KILLS:
        data_dir = tmp_path / f"data-{finished}"
        version = data_dir / "test/parts/1.0.0"
        status = drive(process, data_dir, rng.uniform(0, whole))
        kills += 1
        visible = version.exists()
        assert visible == (version / "manifest.json").exists()
        if status == 0 or visible:
            assert digests(version) == reference
            finished += 1
        else:
            found = [path.relative_to(data_dir).parts for path in data_dir.rglob("manifest.json")]
            assert all(any(part.startswith(".incomplete-") for part in parts) for parts in found)
    assert drive(process, data_dir) == 0
    assert digests(version) == reference
    found = load("test/parts", data_dir=str(data_dir), backend="arrow")["x"].to_pylist()
    assert sorted(found) == list(range(ROWS))
    assert not list(Path(data_dir).rglob(".incomplete-*"))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes by /proc")
def test_killed_worker_processes_cost_time_only(drivers, tmp_path):
    process = drivers(ARRANGEMENTS["shuffled"], pause=0.1)
    assert drive(process, tmp_path / "reference") == 0, (tmp_path / "stderr").read_text()
    reference = digests(tmp_path / "reference/test/parts/1.0.0")
    rng = random.Random(0)
    kills = run = 0
    while kills < KILLS:
        data_dir = tmp_path / f"data-{run}"
        driver = begin(process, data_dir, "processes")
        for _ in range(2):  # else no round of processes would live long enough
            time.sleep(rng.uniform(1.5, 4))
            for worker in workers(driver)[:1]:
                os.kill(worker, signal.SIGKILL)
                kills += 1
        assert int(process.stdout.readline()) == 0, (tmp_path / "stderr").read_text()
        assert digests(data_dir / "test/parts/1.0.0") == reference
        run += 1
