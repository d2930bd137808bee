"""verify: what is missing, damaged, swapped or foreign is named; --deep decodes every row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import clicks
from test_prepare import small, version

from ailab_dataproc import storage
from ailab_dataproc.errors import DamagedData
from ailab_dataproc.loading import load
from ailab_dataproc.manifest import open_prepared
from ailab_dataproc.storage import checksum
from ailab_dataproc.verify import verify_version

FILES = {f"{letter}.csv": clicks(60, start=i * 100) for i, letter in enumerate("ab")}


@pytest.fixture
def prepared(define, data_dir):
    small(define(FILES), data_dir)
    return open_prepared(storage.folder(data_dir), "test/clicks")


def faults(prepared, check="bytes"):
    return {fault.path: fault.what for fault in verify_version(prepared, check=check)}


def trust(prepared, data_dir, **changed):
    """Write the manifest again with other contents, as somebody who means harm could."""
    file = version(data_dir) / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))
    return open_prepared(storage.folder(data_dir), "test/clicks")


@pytest.mark.parametrize("check", ["sizes", "bytes", "values"])
def test_a_whole_version_has_no_fault(prepared, check):
    assert faults(prepared, check) == {}


def test_swapped_shards_are_found_by_their_bytes(prepared, data_dir):
    first, second = sorted((version(data_dir) / "parquet").iterdir())[:2]
    names = {f"parquet/{one.name}" for one in (first, second)}
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)
    assert faults(prepared).keys() == names


@pytest.mark.parametrize("name", ["stranger.txt", "parquet/stranger.parquet", "other/stranger.parquet"])
def test_a_foreign_file_is_found_wherever_it_lies(prepared, data_dir, name):
    path = version(data_dir) / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("x")
    assert faults(prepared, "sizes") == {name: "is foreign: the index doesn't know it"}


@pytest.mark.parametrize("name", ["sources.parquet", "dataset_info.json", "features.json", "statistics.json"])
def test_the_files_beside_the_shards_are_compared(prepared, data_dir, name):
    path = version(data_dir) / name
    path.write_bytes(path.read_bytes() + b" ")
    assert faults(prepared) == {name: "is not the file that the manifest was written with"}
    path.unlink()
    assert faults(prepared, "sizes") == {name: "is missing"}


@pytest.mark.parametrize("kind", ["parquet", "tfrecord"])
def test_values_that_the_index_does_not_tell_are_found_although_all_checksums_agree(prepared, data_dir, kind, tmp_path):
    """Another preparation's shards, with the index mended: only decoding tells."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    shards = sorted((version(data_dir) / kind).iterdir())
    shards[0].write_bytes(shards[1].read_bytes())
    index = version(data_dir) / "index.parquet"
    rows = pq.read_table(index).to_pylist()
    for row in rows:
        if row["path"] == f"{kind}/{shards[0].name}":
            row["bytes"] = shards[0].stat().st_size
            row["checksum"] = checksum(prepared.folder, row["path"])
            row["rows"] += kind == "tfrecord"
    pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(index)), index)
    mended = trust(prepared, data_dir, index_checksum=checksum(prepared.folder, "index.parquet"))
    assert faults(mended) == {}
    told = {"parquet": "column 'user' has another min", "tfrecord": "records, the index says"}[kind]
    found = faults(mended, "values")
    assert found.keys() == {f"{kind}/{shards[0].name}"}
    assert told in next(iter(found.values()))


@pytest.mark.parametrize("path", ["../../../etc/passwd", "/etc/passwd", "parquet/../../x", "parquet/", "x"])
def test_an_index_that_leads_out_of_its_folder_is_refused(prepared, data_dir, path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    index = version(data_dir) / "index.parquet"
    rows = pq.read_table(index).to_pylist()
    rows[0]["path"] = path
    pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(index)), index)
    evil = trust(prepared, data_dir, index_checksum=checksum(prepared.folder, "index.parquet"))
    with pytest.raises(DamagedData, match=r"names the file .*don't trust its source"):
        load("test/clicks", data_dir=data_dir, backend="arrow")
    assert path in faults(evil)


def test_a_manifest_that_names_a_file_out_of_its_folder_reads_none(prepared, data_dir):
    evil = trust(prepared, data_dir, files={"../../../../etc/passwd": "sha256:0"})
    assert faults(evil)["../../../../etc/passwd"] == "is missing"
    assert Path("/etc/passwd").exists()
