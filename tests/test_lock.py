"""Two preparations of one version: one works, the other waits and finds it done. A killed holder holds nothing."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time

import pyarrow as pa
import pytest
from conftest import CLICKS

from ailab_dataproc import storage
from ailab_dataproc.errors import AilabError, StorageFailed
from ailab_dataproc.preparing import prepare
from ailab_dataproc.storage import lock as locking
from ailab_dataproc.storage.lock import Held, locked

ROWS = {"user": [1, 2], "price": pa.array([0.5, 1.5], pa.float32()), "word": ["x", "y"]}


@pytest.fixture(params=["disk", "bucket"])
def place(request, tmp_path):
    """A data directory, on a disk and in a bucket."""
    return request.getfixturevalue("bucket") if request.param == "bucket" else str(tmp_path / "data")


@pytest.fixture
def quick(monkeypatch):
    """Leases that beat and die within a test."""
    monkeypatch.setattr(locking, "RENEW", 0.1)
    monkeypatch.setattr(locking, "STALE", 3.0)
    monkeypatch.setattr(locking, "_LOOK", 0.05)
    monkeypatch.setattr(locking, "_SETTLE", 0.2)


@pytest.fixture
def folder(request, place):
    """The same as a Folder."""
    return storage.folder(place, request.getfixturevalue("gcs").options if place.startswith("gs://") else None)


def test_one_at_a_time_and_in_between_nothing_is_left(folder, quick):
    inside, most = [], []

    def work():
        with locked(folder / "test/clicks", "1.0.0", "test/clicks:1.0.0"):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.02)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert most == [1] * 6
    assert not folder.sizes()


def test_folders_that_were_made_for_a_lock_go_with_it(tmp_path):
    with locked(storage.folder(tmp_path / "data/test/clicks"), "1.0.0", "x"):
        assert (tmp_path / "data/test/clicks").is_dir()
    assert not (tmp_path / "data").exists()
    (tmp_path / "mine").mkdir()
    with locked(storage.folder(tmp_path / "mine"), "1.0.0", "x"):
        pass
    assert (tmp_path / "mine").is_dir(), "what was there before stays"


def test_who_waits_is_told_once_who_holds_it(folder, quick, caplog):
    caplog.set_level(logging.WARNING)
    held = threading.Event()

    def hold():
        with locked(folder, "1.0.0", "x"):
            held.set()
            time.sleep(1)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    with pytest.raises(Held, match=f"being prepared by pid {os.getpid()} on host"):
        locked(folder, "1.0.0", "x", wait=False).__enter__()
    with locked(folder, "1.0.0", "products/x:1.0.0"):
        pass
    holder.join()
    told = [record.message for record in caplog.records if "being prepared" in record.message]
    assert len(told) == 1
    assert told[0].startswith(f"products/x:1.0.0 is being prepared by pid {os.getpid()} on host ")


HOLD = """
import sys, time
from ailab_dataproc import storage
from ailab_dataproc.storage.lock import locked
url, endpoint = sys.argv[1:]
with locked(storage.folder(url, {"token": "anon", "endpoint_url": endpoint}), "1.0.0", "x"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_killed_process_of_this_machine_holds_nothing(request, folder, place):
    endpoint = folder.options.get("endpoint_url", "")
    holder = subprocess.Popen([sys.executable, "-c", HOLD, place, endpoint], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(Held):
        locked(folder, "1.0.0", "x", wait=False).__enter__()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    started = time.monotonic()
    with locked(folder, "1.0.0", "x"):
        assert time.monotonic() - started < 20
    assert not folder.sizes()


def lease(folder, **changes):
    """A lease of a process on another machine."""
    told = {"pid": 12, "host": "far", "machine": "another", "token": "t", "beat": 0} | changes
    folder.write(".lock-1.0.0", json.dumps(told).encode())


def test_a_lease_that_another_machine_does_not_renew_is_taken_over(gcs, bucket, quick, caplog):
    folder = storage.folder(bucket, gcs.options)
    lease(folder)
    started = time.monotonic()
    with locked(folder, "1.0.0", "x") as lock:
        assert time.monotonic() - started > locking.STALE
        lock.check("x")
    assert "x is being prepared by pid 12 on host far; waiting …" in caplog.text


def test_a_lease_that_is_renewed_is_not_taken_over(gcs, bucket, quick):
    folder = storage.folder(bucket, gcs.options)
    done = threading.Event()

    def renew():
        beat = 0
        while not done.wait(0.1):
            lease(folder, beat=beat)
            beat += 1

    holder = threading.Thread(target=renew)
    holder.start()
    time.sleep(0.2)
    threading.Timer(2 * locking.STALE, done.set).start()
    started = time.monotonic()
    with locked(folder, "1.0.0", "x"):
        assert time.monotonic() - started > 2 * locking.STALE
    holder.join()


def test_who_stood_still_and_lost_its_lease_does_not_publish(gcs, bucket, quick):
    folder = storage.folder(bucket, gcs.options)
    with locked(folder, "1.0.0", "x") as lock:
        lease(folder, **{"token": "another's"})
        assert lock.lost.wait(5)
        with pytest.raises(StorageFailed, match="another one took over"):
            lock.check("test/clicks:1.0.0")
    assert folder.exists(".lock-1.0.0"), "the other one's lease stays"


def test_two_threads_that_prepare_at_once_read_the_sources_once(define, place, quick, tmp_path):
    log = tmp_path / "log"

    def read(source):
        with log.open("a") as file:
            file.write("read\n")
        time.sleep(0.7)
        yield pa.table(ROWS, schema=CLICKS)

    dataset, reports = define(read=read), []

    def work():
        reports.append(prepare(dataset, data_dir=place, runner="inline", formats=("parquet",)))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert log.read_text() == "read\n"
    assert sorted(report.reused for report in reports) == [False, True]
    assert reports[0].rows == reports[1].rows == {"train": 2}


def test_when_the_first_fails_the_one_that_waited_goes_on(define, place, quick, tmp_path):
    failed = tmp_path / "failed"

    def read(source):
        time.sleep(0.5)
        if not failed.exists():
            failed.touch()
            raise RuntimeError("the first one's trouble")
        yield pa.table(ROWS, schema=CLICKS)

    dataset, reports, errors = define(read=read), [], []

    def work():
        try:
            reports.append(prepare(dataset, data_dir=place, runner="inline", formats=("parquet",)))
        except AilabError as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert len(errors) == 1
    assert [report.reused for report in reports] == [False]


DEFINITION = """
import time
import pyarrow as pa
from ailab_dataproc import Dataset, Source, column

def read(source):
    time.sleep(1.5)
    yield pa.table({"x": [1]})

schema = pa.schema([column("x", pa.int64(), "one")])
dataset = Dataset(name="test/slow", version="1.0.0", schema=schema, splits={"train": "one"}, read=read,
                  sources=lambda split, text: [Source("one", split, identity="1")])
"""


def test_two_processes_that_prepare_at_once_make_one_version(place, tmp_path, monkeypatch):
    definition = tmp_path / "definitions" / "test" / "slow.py"
    definition.parent.mkdir(parents=True)
    definition.write_text(DEFINITION)
    monkeypatch.setenv("AILAB_DATASETS", str(definition.parents[1]))
    code = (
        f"from ailab_dataproc import prepare\nprint(prepare('test/slow', data_dir={place!r}, runner='inline').reused)"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [one.communicate(timeout=120) for one in both]
    assert sorted(out.strip() for out, _ in told) == ["False", "True"], told
    waited = next(err for out, err in told if out.strip() == "True")
    assert "test/slow:1.0.0 is being prepared by pid " in waited
