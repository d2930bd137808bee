"""Buckets: prepared into, read from, killed in the middle, over real HTTP to a store on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pa_dataset
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from conftest import clicks

from ailab_dataproc import storage
from ailab_dataproc.cache import Cache
from ailab_dataproc.cli import cli
from ailab_dataproc.columns import column
from ailab_dataproc.dataset import Dataset, Source
from ailab_dataproc.errors import DamagedData, InvalidData, VersionConflict
from ailab_dataproc.loading import load
from ailab_dataproc.manifest import list_names, open_prepared
from ailab_dataproc.preparation.pipeline import Options, prepare_dataset
from ailab_dataproc.preparation.tasks import Layout
from ailab_dataproc.preparing import prepare
from ailab_dataproc.splitting import by_hash
from ailab_dataproc.verify import verify_version

FILES = {f"{letter}.csv": clicks(30, start=i * 100) for i, letter in enumerate("abcd")}
SMALL = Layout(shard_bytes=2_000, chunk_rows=10, row_group_rows=20)
VERSION = "test/clicks/1.0.0/"


def digests(contents):
    """The checksum of each file of a version but the manifest, which says when and by what."""
    return {
        name: hashlib.sha256(data).hexdigest() for name, data in sorted(contents.items()) if name != "manifest.json"
    }


def in_bucket(gcs, prefix=VERSION):
    """The files of a version in the bucket."""
    found = gcs.objects("lab")
    return {name.removeprefix(prefix): data for name, data in found.items() if name.startswith(prefix)}


def on_disk(folder):
    """The files of a version on a disk."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.fixture
def small(gcs):
    """Prepare with a layout of tiny shards, in a bucket or elsewhere."""

    def made(dataset, data_dir, **options):
        given = {"runner": "inline", "storage_options": gcs.options} | options
        return prepare_dataset(dataset, storage.folder(data_dir, gcs.options), Options(layout=SMALL, **given))

    return made


@pytest.fixture
def many():
    """Define a dataset of so many shards."""

    def made(count):
        return Dataset(
            name="test/many",
            version="1.0.0",
            schema=pa.schema([column("x", pa.int64(), "number")]),
            splits={"train": str(count)},
            sources=lambda split, text: [Source(f"{i:05d}", split, identity=str(i)) for i in range(int(text))],
            read=lambda source: [pa.table({"x": [int(source.url)]})],
        )

    return made


@pytest.mark.parametrize(
    ("runner", "workers"),
    [("inline", None), ("threads", 4), pytest.param("processes", 2, marks=pytest.mark.slow)],
    ids=["inline", "threads", "processes"],
)
def test_a_bucket_holds_the_bytes_that_a_disk_would(gcs, bucket, define, small, tmp_path, runner, workers):
    dataset = define(FILES)
    small(dataset, str(tmp_path / "disk"))
    report = small(dataset, bucket, runner=runner, workers=workers)
    assert report.location == f"{bucket}/test/clicks/1.0.0"
    assert digests(in_bucket(gcs)) == digests(on_disk(tmp_path / "disk" / VERSION))
    assert all(name.startswith(VERSION) for name in gcs.objects("lab")), "nothing else is left"


@pytest.mark.parametrize("order", ["source", "shuffled"])
def test_an_arrangement_comes_out_in_a_bucket_as_on_a_disk(gcs, bucket, define, small, tmp_path, order):
    splits = by_hash("user", {"train": 0.75, "test": 0.25}, sources=str(tmp_path / "sources" / "*.csv"))
    dataset = define(FILES, splits=splits, key="user", order=order)
    small(dataset, str(tmp_path / "disk"))
    small(dataset, bucket, runner="threads", workers=2)
    assert digests(in_bucket(gcs)) == digests(on_disk(tmp_path / "disk" / VERSION))
    assert all(name.startswith(VERSION) for name in gcs.objects("lab")), "nothing else is left"


def test_a_key_that_is_there_twice_in_a_bucket_leaves_nothing_there(gcs, bucket, define, small):
    with pytest.raises(InvalidData, match=r"the key user=5 is in row 6 of a\.csv and in row 1 of e\.csv"):
        small(define(FILES | {"e.csv": clicks(1, start=5)}, key="user", order="shuffled"), bucket)
    assert not gcs.objects("lab")


def test_preparing_in_a_bucket_again_writes_nothing(gcs, bucket, define, small):
    small(define(FILES), bucket)
    requests = gcs.count()
    assert small(define(FILES), bucket).reused
    assert not {"upload", "copy", "delete"} & set(requests)


def test_another_definition_of_a_version_in_a_bucket_is_a_conflict(gcs, bucket, define, small):
    small(define(FILES), bucket)
    before = gcs.objects("lab")
    with pytest.raises(VersionConflict, match="its sources differs"):
        small(define({"a.csv": clicks(3)}), bucket)
    assert gcs.objects("lab") == before


@pytest.mark.parametrize("cached", ["1 GB", "0"])
@pytest.mark.parametrize("backend", ["arrow", "numpy", "pandas", "dask"])
def test_every_backend_loads_from_a_bucket(bucket, define, small, tmp_path, monkeypatch, backend, cached):
    monkeypatch.setenv("AILAB_CACHE_BYTES", cached)
    small(define(FILES), bucket)
    small(define(FILES), str(tmp_path / "disk"))
    given = {"split": "train[10%:]", "columns": ["price", "user"], "backend": backend}
    found, wanted = load("test/clicks", **given), load("test/clicks", data_dir=str(tmp_path / "disk"), **given)
    if backend == "dask":
        found, wanted = found.compute(), wanted.compute()
    if backend == "numpy":
        assert {name: one.tolist() for name, one in found.items()} == {k: v.tolist() for k, v in wanted.items()}
    else:
        assert found.equals(wanted)
    assert bool(list((tmp_path / "cache").rglob("*"))) is (cached != "0")


def test_other_tools_read_the_shards_in_a_bucket(gcs, bucket, define, small):
    import dask.dataframe as dd

    small(define(FILES), bucket)
    parquet = f"{bucket}/{VERSION}parquet"
    users = sorted(i * 100 + j for i in range(4) for j in range(30))
    fs = storage.filesystem(bucket, gcs.options)
    assert sorted(pa_dataset.dataset(parquet[5:], filesystem=fs).to_table()["user"].to_pylist()) == users
    shards = [f"gs://{path}" for path in fs.ls(parquet)]
    assert sorted(pd.concat(pd.read_parquet(one, storage_options=gcs.options) for one in shards)["user"]) == users
    assert sorted(dd.read_parquet(shards, storage_options=gcs.options)["user"].compute()) == users


def test_plain_tfds_reads_what_was_prepared_in_a_bucket(gcs, bucket, define, small, tmp_path):
    import tensorflow_datasets as tfds

    small(define(FILES), bucket)
    for name, content in in_bucket(gcs, "").items():  # TFDS itself can't be told the address of another store
        (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / name).write_bytes(content)
    builder = tfds.builder_from_directory(str(tmp_path / "copy" / VERSION))
    assert builder.info.splits["train"].num_examples == 120
    assert len(builder.info.splits["train[:10%]"].file_instructions) >= 1


def test_sources_in_a_bucket_are_globbed_and_known_by_their_generation(gcs, bucket, define, data_dir):
    raw = storage.folder(gcs.bucket("raw"), gcs.options)
    for name, text in FILES.items():
        raw.write(f"day/{name}", text.encode())
    raw.write("day/other.txt", b"no source")
    dataset = define({}, splits={"train": "gs://raw/day/*.csv"})
    requests = gcs.count()
    report = prepare(dataset, data_dir=data_dir, runner="threads", formats=("parquet",))
    assert report.rows == {"train": 120}
    assert requests["list"] <= 2 + len(FILES), "the glob is one listing, opening a file asks once more"
    recorded = pq.read_table(f"{data_dir}/{VERSION}sources.parquet").to_pylist()
    assert [row["url"] for row in recorded] == [f"gs://raw/day/{name}" for name in FILES]
    assert all(row["identity"].startswith("generation:") for row in recorded)
    assert prepare(dataset, data_dir=data_dir, runner="inline", formats=("parquet",)).reused
    raw.write("day/b.csv", clicks(30, start=100).encode())  # the same bytes, another generation
    with pytest.raises(VersionConflict, match="its sources differs"):
        prepare(dataset, data_dir=data_dir, runner="inline", formats=("parquet",))


def test_a_data_directory_may_be_any_file_system_that_fsspec_knows(define, small, tmp_path):
    place = f"memory://{tmp_path.name}"
    small(define(FILES), place)
    small(define(FILES), str(tmp_path / "disk"))
    folder = storage.folder(place) / VERSION.rstrip("/")
    names = folder.sizes()
    assert digests(folder.read_many(names)) == digests(on_disk(tmp_path / "disk" / VERSION))
    assert list_names(storage.folder(place)) == ["test/clicks"]
    assert load("test/clicks", data_dir=place, backend="arrow").num_rows == 120


# --- requests


def test_no_work_takes_a_listing_or_a_question_for_each_shard(gcs, bucket, many, small, monkeypatch):
    count = 150
    place = storage.folder(bucket, gcs.options)
    started, requests = time.monotonic(), gcs.count()
    small(many(count), bucket, formats=("parquet",), runner="threads", workers=8)
    looks = time.monotonic() - started  # failures are looked for once a second, in two requests
    assert requests["list"] + requests["info"] <= 30 + 3 * looks
    assert requests["copy"] <= count + 5
    assert requests["read"] <= count + 10
    requests = gcs.count()
    load("test/many", backend="arrow")
    assert (requests["list"], requests["info"]) == (1, 0)
    assert requests["read"] <= count + 5
    requests = gcs.count()
    load("test/many", backend="arrow")
    assert sum(requests.values()) <= 5, "all shards are in the cache"
    monkeypatch.setenv("AILAB_CACHE_BYTES", "0")
    requests = gcs.count()
    load("test/many", backend="arrow")
    assert (requests["list"], requests["info"]) == (1, 0)
    prepared = open_prepared(place, "test/many")
    requests = gcs.count()
    assert not list(verify_version(prepared))
    assert (requests["list"], requests["info"]) == (1, 0)
    requests = gcs.count()
    assert not list(verify_version(prepared, check="sizes"))
    assert sum(requests.values()) <= 4
    requests = gcs.count()
    assert list_names(place) == ["test/many"]
    assert sum(requests.values()) <= 4


def test_thousands_of_objects_are_listed_in_pages(gcs, bucket):
    folder = storage.folder(bucket, gcs.options) / "many"
    names = [f"{i % 7}/{i:05d}" for i in range(2500)]
    storage.filesystem(bucket, gcs.options).pipe({folder.path(name): name.encode() for name in names})
    requests = gcs.count()
    assert list(folder.sizes()) == sorted(names)
    assert dict(requests) == {"list": 3}
    requests = gcs.count()
    assert folder.read_many([*names[:200], "missing"]) == {name: name.encode() for name in names[:200]}
    assert dict(requests) == {"read": 201}


def test_a_large_object_keeps_its_bytes_on_its_way(gcs, bucket, tmp_path):
    folder = storage.folder(bucket, gcs.options)
    block = os.urandom(1_000_003)
    with folder.create("large") as file:
        hashing = storage.HashingFile(file)
        for _ in range(40):
            hashing.write(block)
    assert folder.sizes() == {"large": hashing.count}
    assert storage.checksum(folder, "large") == hashing.checksum
    assert storage.checksum(folder, "large", hashing.count) == hashing.checksum
    cached = Cache(tmp_path / "cache", 10**9).open(folder, "large", hashing.count, hashing.checksum)
    assert cached.read() == block * 40


def test_what_another_process_writes_is_seen_at_once(gcs, bucket):
    mine, other = (storage.folder(bucket, {**gcs.options, "project": name}) for name in ("mine", "other"))
    assert (mine.names(), mine.sizes()) == ([], {})
    other.write("a/b", b"1")
    assert (mine.names(), mine.sizes(), mine.exists("a/b")) == (["a"], {"a/b": 1}, True)
    other.remove_files(["a/b"])
    assert (mine.names(), mine.sizes(), mine.exists("a/b")) == ([], {}, False)


@pytest.fixture
def wide(gcs, bucket):
    """A dataset of 4 shards with 16 columns of random numbers and a sorted one, each of 5 row groups; 25 MB."""
    rows = 50_000
    names = [f"c{i:02d}" for i in range(16)]
    schema = pa.schema([column("at", pa.int64()), *(column(name, pa.float64()) for name in names)])

    def read(source):
        random = np.random.Generator(np.random.PCG64(int(source.url)))
        yield pa.table([np.arange(rows) + rows * int(source.url), *random.random((16, rows))], schema=schema)

    dataset = Dataset(
        name="test/wide",
        version="1.0.0",
        schema=schema,
        splits={"train": "4"},
        sources=lambda split, text: [Source(str(i), split, identity=str(i)) for i in range(int(text))],
        read=read,
    )
    options = Options(layout=Layout(row_group_rows=12_500), runner="inline", storage_options=gcs.options,
                      formats=("parquet",))  # fmt: skip
    prepare_dataset(dataset, storage.folder(bucket, gcs.options), options)
    shards = [name for name in gcs.objects("lab") if name.endswith("of-00004.parquet")]
    return sum(len(gcs.objects("lab")[name]) for name in shards)


@pytest.mark.parametrize("cached", ["1 GB", "0"])
def test_only_the_wanted_columns_come_from_a_bucket(gcs, wide, tmp_path, monkeypatch, cached):
    monkeypatch.setenv("AILAB_CACHE_BYTES", cached)
    requests = gcs.count()
    found = load("test/wide", columns=["c03", "c04", "c11"], backend="arrow")
    assert found.num_rows == 200_000
    tails, index = 4 * (64 << 10), 100_000
    assert gcs.sent < wide * 3 / 16 + tails + index
    assert requests["read"] <= 5 + 4 * (1 + 2 * 5), "of a shard the tail, and two places in each row group"
    assert not list((tmp_path / "cache").rglob("*")), "parts of shards aren't kept"
    gcs.count()
    assert load("test/wide", columns=["c03", "c04", "c11"], backend="arrow").equals(found)
    assert gcs.sent > wide / 8


def test_only_the_row_groups_that_a_filter_needs_come_from_a_bucket(gcs, wide):
    gcs.count()
    asked = [("at", ">=", 60_000), ("at", "<", 60_010)]
    found = load("test/wide", columns=["c03", "c04"], filters=asked, backend="arrow")
    assert found.num_rows == 10
    assert gcs.sent < wide / 4 / 16 / 4 * 3 + (64 << 10) + 100_000, "a row group of three columns"
    gcs.count()
    mixed = load("test/wide", columns=["c03", "c04"], filters=(pc.field("at") + 0) >= 199_990, backend="arrow")
    assert mixed.num_rows == 10
    assert gcs.sent < wide / 16 + wide / 4 / 16 / 4 * 2 + 4 * (64 << 10) + 100_000, "all of the filter's column"


def test_only_the_row_groups_of_a_slice_come_from_a_bucket(gcs, wide):
    gcs.count()
    assert load("test/wide", split="train[70000:70010]", backend="arrow").num_rows == 10
    assert gcs.sent < wide / 4 / 4 + (64 << 10) + 100_000


def test_a_shard_that_is_wanted_for_the_most_part_is_kept_whole(gcs, wide, tmp_path):
    names = [f"c{i:02d}" for i in range(12)]
    found = load("test/wide", columns=names, backend="arrow")
    gcs.count()
    assert load("test/wide", columns=names, backend="arrow").equals(found)
    assert load("test/wide", columns=["c03"], backend="arrow")["c03"].equals(found["c03"])
    assert gcs.sent < 200_000, "the manifest and the index"


@pytest.mark.parametrize(
    ("cut", "told"), [(None, "the shard is missing"), (9, "can't be read"), (10**6, "can't be read")]
)
def test_a_bad_shard_of_which_only_a_part_is_wanted_is_named(gcs, bucket, wide, cut, told):
    folder = storage.folder(bucket, gcs.options)
    name = f"{VERSION.replace('clicks', 'wide')}parquet/train-00002-of-00004.parquet"
    if cut is None:
        folder.remove_files([name])
    else:
        folder.write(name, folder.read(name)[:-cut])
    with pytest.raises(DamagedData, match=f"{name}: .*{told}"):
        load("test/wide", columns=["c03"], backend="arrow")


def test_shards_of_a_bucket_are_waited_for_side_by_side(gcs, wide, monkeypatch):
    waiting, most = 0, 0
    lock = threading.Lock()

    def slow(kind, path):
        nonlocal waiting, most
        if "/parquet/" in path:
            with lock:
                waiting += 1
                most = max(most, waiting)
            time.sleep(0.1)
            with lock:
                waiting -= 1

    gcs.hook = slow
    load("test/wide", columns=["c03", "c11"], backend="arrow")
    assert most >= 8, "four shards, and in each two places of several row groups"


# --- publication


def test_a_twin_that_was_first_is_kept(gcs, bucket, tmp_path):
    for place in (storage.folder(bucket, gcs.options), storage.folder(tmp_path / "disk")):
        for stage, content in (("one", b"1"), ("two", b"2")):
            (place / stage).write("x", content)
            (place / stage).write("proof", b"")
        files = {"sub/x": "x", "proof": "proof"}
        assert (place / "one").become(place / "final", files, "proof") is True
        assert (place / "two").become(place / "final", files, "proof") is False
        assert place.sizes() == {"final/proof": 0, "final/sub/x": 1}
        assert (place / "final").read("sub/x") == b"1"


def test_what_a_killed_publication_of_something_else_left_is_gone(gcs, bucket, define, small):
    storage.folder(bucket, gcs.options).write(f"{VERSION}parquet/train-00007-of-00008.parquet", b"another's")
    report = small(define(FILES), bucket)
    assert len([name for name in in_bucket(gcs) if name.startswith("parquet/")]) == report.shards
    assert not list(verify_version(open_prepared(storage.folder(bucket, gcs.options), "test/clicks")))


# --- killed

PARTS = """
import os, signal
import pyarrow as pa
from ailab_dataproc import Dataset, Source, column

def sources(split, text):
    return [Source(f"part-{i}", split, identity=str(i)) for i in range(6)]

def read(source):
    if source.url == "part-4" and os.path.exists(DEADLY):
        os.kill(os.getpid(), signal.SIGKILL)
    yield pa.table({"x": [int(source.url[-1])] * 1000})

schema = pa.schema([column("x", pa.int64(), "number of the part")])
splits = {"train": "parts"}
dataset = Dataset(name="test/parts", version="1.0.0", schema=schema, splits=splits, sources=sources, read=read)
"""
PREPARE = "from ailab_dataproc import prepare\nprint(prepare('test/parts', runner='inline').reused)"


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """The definition of test/parts, whose reading kills the process while the returned file exists."""
    place = tmp_path / "definitions" / "test" / "parts.py"
    place.parent.mkdir(parents=True)
    place.write_text(PARTS.replace("DEADLY", repr(str(tmp_path / "deadly"))))
    monkeypatch.setenv("AILAB_DATASETS", str(place.parents[1]))
    return tmp_path / "deadly"


def finished(gcs, tmp_path):
    """Whether test/parts is in the bucket as a disk would have it, and nothing else is."""
    prepare("test/parts", data_dir=str(tmp_path / "disk"), runner="inline")
    wanted = digests(on_disk(tmp_path / "disk/test/parts/1.0.0"))
    assert digests(in_bucket(gcs, "test/parts/1.0.0/")) == wanted
    assert all(name.startswith("test/parts/1.0.0/") for name in gcs.objects("lab"))
    assert load("test/parts", backend="arrow").num_rows == 6000


def test_killed_while_it_writes_it_goes_on_from_the_last_whole_shard(gcs, bucket, parts, tmp_path):
    parts.touch()
    killed = subprocess.run([sys.executable, "-c", PREPARE], check=False, stderr=subprocess.DEVNULL)
    assert killed.returncode == -signal.SIGKILL
    left = gcs.objects("lab")
    assert sum("/receipts/" in name for name in left) == 4
    assert list_names(storage.folder(bucket, gcs.options)) == []
    parts.unlink()
    requests = gcs.count()
    assert prepare("test/parts", runner="inline").rows == {"train": 6000}
    shards = [path for path in gcs.paths if path.startswith("POST /upload") and "/parquet/" in path]
    assert {re.search(r"train-\d+", path)[0] for path in shards} == {"train-00004", "train-00005"}
    assert requests["copy"] > 6
    finished(gcs, tmp_path)


@pytest.mark.parametrize(("kind", "number"), [("copy", 1), ("copy", 9), ("upload", "manifest.json"), ("delete", 2)])
def test_killed_while_it_publishes_it_finishes_with_the_same_bytes(gcs, bucket, parts, tmp_path, kind, number):
    seen = []
    driver = subprocess.Popen([sys.executable, "-c", PREPARE], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def kill(found, path):
        final = found == kind and (kind != "upload" or "copy" in seen)
        seen.append(found)
        if final and (kind == "upload" or seen.count(kind) == number):
            driver.kill()
            driver.wait()

    gcs.hook = kill
    assert driver.wait(60) == -signal.SIGKILL
    gcs.hook = None
    manifests = [name for name in in_bucket(gcs, "test/parts/1.0.0/") if name == "manifest.json"]
    place = storage.folder(bucket, gcs.options)
    assert list_names(place) == (["test/parts"] if manifests else [])
    assert bool(manifests) is (kind in {"upload", "delete"})  # the request that was on its way arrives
    report = prepare("test/parts", runner="threads")
    assert report.reused is bool(manifests)
    if manifests:
        assert CliRunner().invoke(cli, ["clean", "--older-than", "0"]).exit_code == 0
    finished(gcs, tmp_path)


AT_RENAME = """
import os, signal
replace, seen = os.replace, []
def deadly(old, new):
    if ".tmp-" not in old:
        seen.append(old)
    if len(seen) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(old, new)
os.replace = deadly
"""


def test_killed_while_it_renames_on_a_disk_it_finishes_with_the_same_bytes(parts, tmp_path, monkeypatch):
    monkeypatch.setenv("AILAB_DATA_DIR", str(tmp_path / "data"))
    killed = subprocess.run([sys.executable, "-c", AT_RENAME + PREPARE], check=False, stderr=subprocess.DEVNULL)
    assert killed.returncode == -signal.SIGKILL
    assert not list((tmp_path / "data").rglob("manifest.json.*"))
    assert os.listdir(tmp_path / "data/test/parts/") != ["1.0.0"]
    assert list_names(storage.folder(tmp_path / "data")) == []
    assert not prepare("test/parts", runner="threads").reused
    prepare("test/parts", data_dir=str(tmp_path / "other"), runner="inline")
    first, second = (digests(on_disk(tmp_path / place / "test/parts/1.0.0")) for place in ("data", "other"))
    assert first == second
    assert os.listdir(tmp_path / "data/test/parts") == ["1.0.0"]


# --- the command line


def test_the_commands_work_on_a_bucket(gcs, bucket, define, small):
    small(define(FILES), bucket)

    def told(*arguments):
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == 0, done.output + done.stderr
        return done.stdout

    assert "test/clicks" in [one["name"] for one in json.loads(told("list", "--json"))]
    assert json.loads(told("describe", "test/clicks", "--json"))["splits"]
    assert json.loads(told("head", "test/clicks", "-n", "2", "--json"))["rows"][0]["user"] == 0
    assert "as written" in told("verify", "test/clicks")


def test_damage_in_a_bucket_is_found(gcs, bucket, define, small, monkeypatch):
    small(define(FILES), bucket)
    place = storage.folder(bucket, gcs.options) / VERSION.rstrip("/")
    shards = sorted(name for name in in_bucket(gcs) if name.startswith("parquet/"))
    first, second, third = *shards[:2], shards[-1]
    content = bytearray(place.read(first))
    content[40] ^= 1
    place.write(first, bytes(content))
    place.write(second, place.read(second)[:-1])
    place.remove_files([third])
    prepared = open_prepared(storage.folder(bucket, gcs.options), "test/clicks")
    assert [fault.path for fault in verify_version(prepared)] == [first, second, third]
    with pytest.raises(DamagedData, match="other bytes than were written"):
        load("test/clicks", split="train[:1]", backend="arrow")
    for size in ("1 GB", "0"):
        monkeypatch.setenv("AILAB_CACHE_BYTES", size)
        with pytest.raises(DamagedData, match="missing"):
            load("test/clicks", backend="arrow", split="train[-1:]")


def test_no_secret_leaves_the_settings(gcs, bucket, define, small, tmp_path, caplog):
    hidden = "s3cr3t-v4lue"
    options = {**gcs.options, "session_kwargs": {"headers": {"X-Key": hidden}}}
    dataset = define(FILES)
    place = storage.folder(bucket, options)
    prepare_dataset(dataset, place, Options(layout=SMALL, runner="inline", storage_options=options))
    assert not [name for name, content in gcs.objects("lab").items() if hidden.encode() in content]
    prepared = open_prepared(place, "test/clicks")
    gcs.deny = {"read": (403, "nobody may")}
    with pytest.raises(OSError, match="no access") as caught:
        prepared.index()
    assert hidden not in f"{caught.value!r} {prepared!r} {place!r} {caplog.text}"


@pytest.mark.slow
def test_processes_of_a_dask_cluster_load_from_a_bucket(bucket, define, small):
    from distributed import Client, LocalCluster

    small(define(FILES), bucket)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        found = load("test/clicks", backend="dask").compute()
    assert sorted(found["user"]) == sorted(i * 100 + j for i in range(4) for j in range(30))
