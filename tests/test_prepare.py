"""Prepare: the same bytes on any runner and any day, nothing half-made, a version never changes."""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from conftest import CLICKS, clicks

from ailab_dataproc import storage
from ailab_dataproc.columns import column
from ailab_dataproc.dataset import Dataset
from ailab_dataproc.errors import VersionConflict
from ailab_dataproc.loading import load
from ailab_dataproc.preparation.pipeline import Options, prepare_dataset
from ailab_dataproc.preparation.tasks import Layout
from ailab_dataproc.preparing import prepare

FILES = {f"{letter}.csv": clicks(30, start=i * 100) for i, letter in enumerate("abcd")}
SMALL = Layout(shard_bytes=2_000, chunk_rows=10, row_group_rows=20)


def digests(folder):
    """The checksum of every file of a version but the manifest, which says when and by what."""
    files = [path for path in sorted(Path(folder).rglob("*")) if path.is_file() and path.name != "manifest.json"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def version(data_dir, name="test/clicks"):
    return Path(data_dir) / name / "1.0.0"


def small(dataset, data_dir, **options):
    """Prepare with a layout of tiny shards."""
    return prepare_dataset(dataset, storage.folder(data_dir), Options(layout=SMALL, **{"runner": "inline"} | options))


@pytest.fixture
def reference(define, tmp_path):
    """The digests of the version that one thread makes."""
    small(define(FILES), str(tmp_path / "reference"))
    return digests(version(tmp_path / "reference"))


@pytest.mark.parametrize(("runner", "workers"), [("inline", None), ("threads", 1), ("threads", 2), ("threads", 4)])
def test_every_runner_writes_the_same_bytes(define, data_dir, reference, runner, workers):
    small(define(FILES), data_dir, runner=runner, workers=workers)
    assert digests(version(data_dir)) == reference
    assert any(name.startswith("tfrecord/") for name in reference)


def test_another_day_writes_the_same_bytes(define, data_dir, reference, monkeypatch):
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 40 * 86_400)
    small(define(FILES), data_dir)
    assert digests(version(data_dir)) == reference


@pytest.mark.slow
def test_processes_write_the_same_bytes(define, data_dir, reference):
    small(define(FILES), data_dir, runner="processes", workers=2)
    assert digests(version(data_dir)) == reference


def definition(folder, body="", read="yield from csv.open_csv(source.open())", note="", who="who"):
    """Write a catalog's definition file."""
    path = Path(folder) / "definitions" / "test"
    path.mkdir(parents=True, exist_ok=True)
    (path / "told.py").write_text(
        f'''"""Told in a file. {note}"""
import pyarrow as pa, pyarrow.csv as csv
from ailab_dataproc import Dataset, column
{body}
SCHEMA = pa.schema([column("user", pa.int64(), {who!r}), column("price", pa.float64(), "bid"),
                    column("word", pa.string(), "what")])

def read(source):
    {read}

dataset = Dataset(name="test/told", version="1.0.0", schema=SCHEMA, splits={{"train": "{folder}/sources/*.csv"}},
                  description=__doc__, read=read)
'''
    )
    sources = Path(folder) / "sources"
    sources.mkdir(exist_ok=True)
    (sources / "a.csv").write_text("user,price,word\n1,0.5,x\n2,1.5,y\n")
    return str(path.parent)


@pytest.mark.slow
def test_a_definition_from_a_file_works_in_processes(tmp_path, data_dir, monkeypatch):
    monkeypatch.setenv("AILAB_DATASETS", definition(tmp_path, "def double(x):\n    return x\n"))
    prepare("test/told", data_dir=data_dir, runner="processes", workers=2, formats=("parquet",))
    assert load("test/told", data_dir=data_dir, backend="arrow")["user"].to_pylist() == [1, 2]


def test_sources_in_another_order_give_the_same_bytes(define, data_dir, tmp_path, reference):
    places = [str(tmp_path / "sources" / name) for name in reversed(FILES)]
    small(define(FILES, splits={"train": places}), data_dir)
    assert digests(version(data_dir)) == reference


@pytest.mark.parametrize("rows", [1, 7, 10, 1000])
def test_the_batch_sizes_of_a_reader_do_not_matter(define, data_dir, tmp_path, rows):
    table = pa.table(
        [
            list(range(100)),
            [None if 20 < i < 40 else "x" * (i % 7) for i in range(100)],
            [[i] * (i % 3) for i in range(100)],
        ],
        schema=pa.schema(
            [
                column("x", pa.int64()),
                column("y", pa.string(), nullable=True),
                column("z", pa.list_(pa.float32()), nullable=True),
            ]
        ),
    )

    def read(source):
        yield from table.to_batches(max_chunksize=int(source.open().read()))

    found = []
    for size, place in ((100, "whole"), (rows, "cut")):
        dataset = define({"size.txt": str(size)}, schema=table.schema, read=read)
        small(dataset, str(tmp_path / place))
        found.append({k: v for k, v in digests(version(tmp_path / place)).items() if k != "sources.parquet"})
    for one in found:
        one.pop("metadata.json", None)  # holds the fingerprint, which differs: so do the sources
    assert found[0] == found[1]
    assert sum(name.startswith("parquet/") for name in found[0]) > 1


def test_preparing_again_touches_no_file(make, data_dir):
    first = make(FILES)
    before = {path: path.stat().st_mtime_ns for path in version(data_dir).rglob("*")}
    again = make(FILES)
    assert (first.reused, again.reused) == (False, True)
    assert again.rows == {"train": 120}
    assert {path: path.stat().st_mtime_ns for path in version(data_dir).rglob("*")} == before


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"files": {"a.csv": clicks(21)}}, "sources"),
        ({"schema": CLICKS.set(1, column("price", pa.float64(), "winning bid"))}, "schema"),
        ({"schema": CLICKS.set(0, column("user", pa.int64(), "who clicked", pii=True))}, "schema"),
        ({"formats": ("parquet", "tfrecord")}, "layout"),
        ({"read": lambda source: pyarrow.csv.open_csv(source.open())}, "code"),
    ],
    ids=["sources", "type", "pii", "formats", "read"],
)
def test_a_version_from_something_else_is_a_conflict_that_names_what_differs(make, data_dir, change, part):
    make({"a.csv": clicks(20)})
    before = digests(version(data_dir))
    with pytest.raises(VersionConflict, match=f"test/clicks:1.0.0.*its {part} differs.*bump the version"):
        make(change.pop("files", {"a.csv": clicks(20)}), **change)
    assert digests(version(data_dir)) == before


@pytest.mark.parametrize(
    "change",
    [
        {"description": "other"},
        {"owner": "someone"},
        {"license": "MIT"},
        {"release_notes": {"1.0.0": "first"}},
        {"schema": CLICKS.set(0, column("user", pa.int64(), "another meaning", unit="people"))},
    ],
    ids=lambda change: next(iter(change)),
)
def test_documentation_is_not_part_of_a_version(make, change):
    make()
    assert make(**change).reused


@pytest.mark.parametrize(
    "change",
    [
        {"body": "# a comment"},
        {"note": "Another description."},
        {"who": "another meaning"},
        {"read": '"""What it does."""\n    yield from csv.open_csv(source.open())'},
    ],
    ids=["comment", "description", "meaning", "docstring"],
)
def test_a_comment_in_a_definition_changes_nothing(tmp_path, data_dir, monkeypatch, change):
    from ailab_dataproc import definition as running

    monkeypatch.setenv("AILAB_DATASETS", definition(tmp_path))
    monkeypatch.setattr(running, "_PREFIX", f"ailab_dataproc_definition_{tmp_path.name}_")
    assert not prepare("test/told", data_dir=data_dir, runner="inline", formats=("parquet",)).reused
    definition(tmp_path, **change)
    code = (
        "from ailab_dataproc import prepare\n"
        f"print(prepare('test/told', data_dir={data_dir!r}, runner='inline', formats=('parquet',)).reused)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "True", done.stderr


def test_a_killed_preparation_shows_nothing_and_is_finished_by_the_next(tmp_path, data_dir, monkeypatch):
    slow = "import os, time\n    while source.name == 'b.csv' and os.path.exists(WAIT): time.sleep(0.1)\n    "
    slow = slow.replace("WAIT", f"'{tmp_path}/wait'")
    place = definition(tmp_path, read=slow + "yield from csv.open_csv(source.open())")
    for name in "bc":
        (tmp_path / "sources" / f"{name}.csv").write_text(f"user,price,word\n{ord(name)},0.25,z\n")
    monkeypatch.setenv("AILAB_DATASETS", place)
    (tmp_path / "sources" / "a.csv").write_text("user,price,word\n" + "1,0.5,x\n" * 70_000)  # more than a chunk
    (tmp_path / "wait").touch()
    code = f"from ailab_dataproc import prepare\nprepare('test/told', data_dir={data_dir!r}, runner='inline')"
    worker = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(Path(data_dir).rglob("*.tmp-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert list(Path(data_dir).rglob("*.tmp-*"))
    assert not list(Path(data_dir).rglob("manifest.json"))
    assert not version(data_dir, "test/told").exists()
    (tmp_path / "wait").unlink()
    prepare("test/told", data_dir=data_dir, runner="inline")
    prepare("test/told", data_dir=str(tmp_path / "other"), runner="threads")
    assert digests(version(data_dir, "test/told")) == digests(version(tmp_path / "other", "test/told"))
    assert os.listdir(Path(data_dir) / "test/told") == ["1.0.0"]


PARTS = """
import os, signal
import pyarrow as pa
from ailab_dataproc import Dataset, Source, column

def sources(split, text):
    return [Source(f"part-{i}", split, identity=str(i)) for i in range(3)]

def read(source):
    with open(LOG, "a") as log:
        log.write(source.url + " ")
    if source.url == "part-2" and os.path.exists(DEADLY):
        os.kill(os.getpid(), signal.SIGKILL)
    yield pa.table({"x": [int(source.url[-1])]})

schema = pa.schema([column("x", pa.int64(), "number of the part")])
splits = {"train": "parts"}
dataset = Dataset(name="test/parts", version="1.0.0", schema=schema, splits=splits, sources=sources, read=read)
"""


def test_a_restart_reads_only_what_is_not_whole_yet(tmp_path, data_dir, monkeypatch):
    log, deadly = tmp_path / "log", tmp_path / "deadly"
    place = tmp_path / "definitions" / "test" / "parts.py"
    place.parent.mkdir(parents=True)
    place.write_text(PARTS.replace("LOG", repr(str(log))).replace("DEADLY", repr(str(deadly))))
    monkeypatch.setenv("AILAB_DATASETS", str(place.parents[1]))
    deadly.touch()
    code = f"from ailab_dataproc import prepare\nprepare('test/parts', data_dir={data_dir!r}, runner='inline')"
    killed = subprocess.run([sys.executable, "-c", code], check=False, stderr=subprocess.DEVNULL)
    assert killed.returncode == -signal.SIGKILL
    assert sorted(log.read_text().split()) == ["part-0", "part-1", "part-2"]
    deadly.unlink()
    assert prepare("test/parts", data_dir=data_dir, runner="inline").rows == {"train": 3}
    assert log.read_text().split()[3:] == ["part-2"]


def test_what_another_cut_of_the_sources_left_is_not_taken(define, data_dir, tmp_path, monkeypatch):
    """As another version of this package could cut them: its receipts bear the same labels."""
    from ailab_dataproc.preparation import pipeline

    dataset = define({"a.csv": clicks(1000)})
    small(dataset, str(tmp_path / "reference"))
    monkeypatch.setattr(pipeline, "publish", lambda *_: pytest.fail("killed before it published"))
    monkeypatch.setattr(pipeline, "divide_all", lambda dataset, sources, layout: sources)
    with pytest.raises(pytest.fail.Exception):
        small(dataset, data_dir)
    assert list(Path(data_dir).rglob("receipts/*"))
    monkeypatch.undo()
    small(dataset, data_dir)
    assert digests(version(data_dir)) == digests(version(tmp_path / "reference"))


def test_many_small_sources_share_a_shard(make, data_dir):
    report = make({f"{i:03d}.csv": clicks(2, start=i * 2) for i in range(50)})
    assert report.shards == 1
    assert load("test/clicks", data_dir=data_dir, backend="arrow")["user"].to_pylist() == list(range(100))


def test_shards_are_cut_at_their_bytes(define, data_dir):
    report = small(define({"a.csv": clicks(1000)}), data_dir)
    shards = json.loads((version(data_dir) / "manifest.json").read_text())["splits"]["train"]
    assert report.shards == len(shards) > 5
    assert sum(shards) == 1000
    assert max(shards) - min(shards[:-1]) <= 20
    assert load("test/clicks", data_dir=data_dir, backend="arrow")["user"].to_pylist() == list(range(1000))


ROWS = [{"user": i, "price": i / 4, "word": None if i % 5 == 3 else f"wörd {i}"} for i in range(20)]


def lines(rows):
    return "\n".join(json.dumps(row) for row in rows)


def parquet(rows):
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)  # price is float64 here, in quarters: nothing is lost
    return sink.getvalue()


@pytest.mark.parametrize(
    "files",
    [
        {"a.csv": clicks(20)},
        {"a.csv.gz": gzip.compress(clicks(20).encode())},
        {"a.tsv": clicks(20).replace(",", "\t")},
        {"a.jsonl": lines(ROWS)},
        {"a.ndjson.gz": gzip.compress(lines(ROWS).encode())},
        {"a.parquet": parquet(ROWS)},
    ],
    ids=lambda files: next(iter(files)),
)
def test_files_of_every_format_give_the_same_rows(make, data_dir, files):
    make(files)
    assert load("test/clicks", data_dir=data_dir, backend="arrow").to_pylist() == ROWS


@pytest.mark.parametrize(
    "read",
    [
        lambda source: iter(ROWS),
        lambda source: [ROWS[:7], ROWS[7:]],
        lambda source: [ROWS[0], pa.Table.from_pylist(ROWS[1:9]), *ROWS[9:]],
        lambda source: [pd.DataFrame(ROWS)],
        lambda source: pd.DataFrame(ROWS)[["word", "user", "price"]],
        lambda source: [pd.DataFrame(ROWS).convert_dtypes(dtype_backend="pyarrow")],
        lambda source: pa.Table.from_pylist(ROWS),
        lambda source: pa.Table.from_pylist(ROWS).to_batches(max_chunksize=3),
        lambda source: pa.table({**pa.Table.from_pylist(ROWS).to_pydict(), "user": pa.array(range(20), pa.int8())}),
    ],
    ids=["dicts", "lists", "mixed", "pandas", "a frame", "arrow frames", "table", "batches", "narrow"],
)
def test_whatever_read_yields_gives_the_same_rows(make, data_dir, read):
    make(read=read)
    found = load("test/clicks", data_dir=data_dir, backend="arrow")
    assert found.to_pylist() == ROWS
    assert found.schema.equals(CLICKS)


def test_sources_given_to_prepare_take_the_place_of_the_definition(define, data_dir, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text(clicks(3))
    report = prepare(define(), data_dir=data_dir, sources={"train": str(other)}, formats=("parquet",), runner="inline")
    assert report.rows == {"train": 3}


def test_no_local_path_stands_in_what_is_written(define, data_dir, tmp_path):
    small(define(FILES), data_dir)
    for path in version(data_dir).rglob("*"):
        assert path.is_dir() or str(tmp_path).encode() not in path.read_bytes(), path


def test_a_definition_without_files_needs_an_identity(data_dir):
    from ailab_dataproc.dataset import Source
    from ailab_dataproc.errors import AilabError

    dataset = Dataset(
        name="test/made",
        version="1.0.0",
        schema=CLICKS,
        splits={"train": "numbers"},
        sources=lambda split, text: [Source("made://" + text, split)],
        read=lambda source: ROWS,
    )
    with pytest.raises(AilabError, match="identity"):
        prepare(dataset, data_dir=data_dir, runner="inline")
    assert not Path(data_dir).exists()


def test_dictionaries_that_differ_from_batch_to_batch_keep_their_values(make, data_dir):
    kind = pa.dictionary(pa.int8(), pa.string())
    words = [[f"{letter}{i}" for i in range(100)] for letter in "abc"]
    read = lambda source: [pa.table({"x": pa.array(some).dictionary_encode().cast(kind)}) for some in words]  # noqa: E731
    make(schema=pa.schema([column("x", pa.dictionary(pa.int32(), pa.string()))]), read=read)
    found = load("test/clicks", data_dir=data_dir, backend="arrow")["x"]
    assert found.to_pylist() == [word for some in words for word in some]


def test_two_preparations_at_once_make_one_version(define, data_dir, tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    dataset = define(FILES)
    with ThreadPoolExecutor(2) as pool:
        tries = [pool.submit(small, dataset, data_dir) for _ in range(2)]
    assert any(one.exception() is None for one in tries)
    small(dataset, str(tmp_path / "alone"))
    assert digests(version(data_dir)) == digests(version(tmp_path / "alone"))


def _repeated(source, times):
    for number in range(times):
        yield {"user": number, "price": 1.0, "word": None}


def test_a_read_may_be_a_partial_whose_arguments_count_as_code(make):
    assert make(read=functools.partial(_repeated, times=3)).rows == {"train": 3}
    assert make(read=functools.partial(_repeated, times=3)).reused
    with pytest.raises(VersionConflict):
        make(read=functools.partial(_repeated, times=4))
