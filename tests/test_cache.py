"""The cache of shards: whole, checked, bounded, and safe for many readers at once."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from click.testing import CliRunner

from ailab_dataproc import cache as caching
from ailab_dataproc import storage
from ailab_dataproc.cache import Cache
from ailab_dataproc.cli import cli
from ailab_dataproc.errors import DamagedData


def content(number, size=100_000):
    """Bytes that differ from file to file."""
    return bytes([number]) * size


def digest(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.fixture
def folder(gcs, bucket):
    """A folder in a bucket with ten files of 100,000 bytes."""
    place = storage.folder(bucket, gcs.options) / "shards"
    for number in range(10):
        place.write(str(number), content(number))
    return place


def fetch(cache, folder, number):
    """One file by way of a cache."""
    data = content(number)
    return cache.open(folder, str(number), len(data), digest(data))


def files(cache):
    return [path for path in cache.folder.glob("??/*") if path.is_file()]


def test_a_shard_is_fetched_once(gcs, folder, tmp_path):
    cache = Cache(tmp_path / "cache", 10**9)
    requests = gcs.count()
    for _ in range(3):
        assert fetch(cache, folder, 1).read() == content(1)
    assert dict(requests) == {"read": 1}
    assert [path.name for path in files(cache)] == [digest(content(1)).removeprefix("sha256:")]


def test_many_readers_at_once_fetch_once(gcs, folder, tmp_path):
    cache = Cache(tmp_path / "cache", 10**9)
    requests = gcs.count()
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda number: fetch(cache, folder, number % 4).read(), range(64)))
    assert found == [content(number % 4) for number in range(64)]
    assert dict(requests) == {"read": 4}


def work(cache, folder, seed):
    """A process that reads all files in its own order, in a cache that holds three of them."""
    for number in sorted(range(10), key=lambda one: (one * 7 + seed * 3) % 10):
        found = fetch(cache, folder, number)
        assert found is None or found.read() == content(number)
    return True


def test_processes_that_evict_each_others_files_read_right_bytes(folder, tmp_path):
    cache = Cache(tmp_path / "cache", 350_000)
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert all(pool.starmap(work, [(cache, folder, seed) for seed in range(3)]))
    assert sum(path.stat().st_size for path in files(cache)) <= 350_000


def test_the_least_recently_used_go_first(folder, tmp_path):
    cache = Cache(tmp_path / "cache", 350_000)
    for second, number in enumerate([1, 2, 3]):
        fetch(cache, folder, number)
        name = digest(content(number)).removeprefix("sha256:")
        os.utime(cache.folder / name[:2] / name, (second, second))
    fetch(cache, folder, 1)
    held = fetch(cache, folder, 2)
    os.utime(cache.folder / digest(content(2))[7:9] / digest(content(2))[7:], (1, 1))
    fetch(cache, folder, 4)
    assert {path.name for path in files(cache)} == {digest(content(number))[7:] for number in (1, 3, 4)}
    assert held.read() == content(2), "a reader that has it open keeps it"


def test_a_shard_that_the_cache_could_never_hold_is_not_cached(gcs, folder, tmp_path, monkeypatch):
    assert fetch(Cache(tmp_path / "cache", 99_999), folder, 1) is None
    monkeypatch.setenv("AILAB_CACHE_BYTES", "99 KB")
    requests = gcs.count()
    assert caching.shard(folder, "1", 100_000, digest(content(1))) is None
    assert not requests


def test_never_more_than_half_of_the_free_disk_is_taken(folder, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=300_000))
    cache = Cache(tmp_path / "cache", 10**9)
    assert fetch(cache, folder, 1) is not None
    assert fetch(cache, folder, 2) is not None  # 300,000 free and 100,000 its own: half is 200,000
    assert len(files(cache)) == 2
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100_000))
    assert fetch(cache, folder, 3) is not None
    assert len(files(cache)) == 1


def test_other_bytes_than_the_index_says_are_refused_and_not_kept(folder, tmp_path):
    cache = Cache(tmp_path / "cache", 10**9)
    with pytest.raises(DamagedData, match="gs://lab/shards/1: the shard has other bytes than were written"):
        cache.open(folder, "1", 100_000, digest(content(2)))
    with pytest.raises(FileNotFoundError):
        cache.open(folder, "11", 100_000, digest(content(11)))
    assert not files(cache)


def test_a_cached_file_that_was_cut_is_fetched_again(folder, tmp_path):
    cache = Cache(tmp_path / "cache", 10**9)
    fetch(cache, folder, 1)
    os.truncate(files(cache)[0], 10)
    assert fetch(cache, folder, 1).read() == content(1)


def test_without_room_on_the_disk_shards_are_read_from_the_bucket(folder, tmp_path, caplog):
    disk = tmp_path / "tiny"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("mounting a file system needs root")
    try:
        assert fetch(Cache(disk / "cache", 10**9), folder, 1) is None
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_cache_that_can_not_be_written_is_told_and_left_aside(folder, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    assert fetch(Cache(tmp_path / "file" / "cache", 10**9), folder, 1) is None
    assert "reading from the bucket" in caplog.text


def test_clean_empties_the_cache_when_asked(folder, tmp_path):
    cache = Cache.here()
    fetch(cache, folder, 1)
    told = CliRunner().invoke(cli, ["clean", "--cache", "--dry-run"])
    assert f"{cache.folder} (100.0 kB): would be removed" in told.output
    assert len(files(cache)) == 1
    assert "removed" in CliRunner().invoke(cli, ["clean", "--cache"]).output
    assert not files(cache)
