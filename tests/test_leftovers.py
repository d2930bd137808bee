"""clean: what killed preparations left goes; what is finished or in use stays."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import clicks

from ailab_dataproc import storage
from ailab_dataproc.cli import cli
from ailab_dataproc.errors import AilabError
from ailab_dataproc.leftovers import clean
from ailab_dataproc.loading import load
from ailab_dataproc.preparing import prepare
from ailab_dataproc.storage.lock import locked

STAGE = ".incomplete-1.0.1-0123456789abcdef"


@pytest.fixture(params=["disk", "bucket"])
def place(request, tmp_path, define):
    """A data directory with a finished version and the folder of an unfinished one."""
    if request.param == "bucket":
        url, options = request.getfixturevalue("bucket"), request.getfixturevalue("gcs").options
    else:
        url, options = str(tmp_path / "data"), None
    prepare(define(), data_dir=url, runner="inline", formats=("parquet",))
    folder = storage.folder(url, options)
    (folder / "test/clicks" / STAGE).write("parquet/train-00000-00000.parquet", b"x" * 1000)
    return folder


def told(folder, *arguments):
    """What the command says."""
    done = CliRunner().invoke(cli, ["clean", "--data-dir", folder.url, *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_stage_goes_and_a_finished_version_stays(place):
    stage = f"{place.url}/test/clicks/{STAGE}"
    before = place.sizes()
    assert told(place, "--older-than", "0", "--dry-run") == f"{stage} (1.0 kB): would be removed\n"
    assert place.sizes() == before
    assert told(place, "--older-than", "0") == f"{stage} (1.0 kB): removed\n"
    assert place.sizes() == {name: size for name, size in before.items() if STAGE not in name}
    assert told(place) == f"{place.url}: nothing is left over\n"
    assert load("test/clicks", data_dir=place.url, backend="arrow").num_rows == 20


def test_what_is_young_stays(place):
    assert re.search(r"\(1.0 kB\): kept, it changed \d+ s ago", told(place))
    assert any(STAGE in name for name in place.sizes())


def test_what_is_in_use_stays(place):
    with locked(place / "test/clicks", "1.0.1", "test/clicks:1.0.1"):
        found = list(clean(place))
    assert [one.path for one in found] == [f"{place.url}/test/clicks/{STAGE}"]
    assert f"being prepared by pid {os.getpid()}" in found[0].kept
    assert any(STAGE in name for name in place.sizes())


def test_the_json_says_what_goes_and_what_stays(place):
    found = json.loads(told(place, "--older-than", "2d", "--json"))
    assert [(one["bytes"], "ago" in one["kept"]) for one in found] == [(1000, True)]


def test_a_half_published_version_of_a_bucket_goes_with_its_stage(gcs, bucket):
    place = storage.folder(bucket, gcs.options)
    (place / "test/new" / STAGE).write("receipts/train-00000.arrow", b"x")
    (place / "test/new/1.0.1").write("parquet/train-00000-of-00001.parquet", b"y")
    (place / "test/new/1.0.0").write("manifest.json", b"{}")
    assert [one.bytes for one in clean(place)] == [2]
    assert place.names() == ["test"]
    assert list(place.sizes()) == ["test/new/1.0.0/manifest.json"]


def test_locks_temporary_files_and_empty_folders_go(tmp_path):
    (tmp_path / "a/b/c").mkdir(parents=True)
    (tmp_path / "a/.lock-1.0.0").write_text("{}")
    (tmp_path / "a/x.tmp-123").write_text("half")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/note.txt").write_text("somebody's")
    found = {Path(one.path).name for one in clean(storage.folder(tmp_path))}
    assert found == {"c", "b", "a", ".lock-1.0.0", "x.tmp-123"}
    assert sorted(os.listdir(tmp_path)) == ["kept"]


def test_a_failed_preparation_leaves_no_folder(define, data_dir):
    with pytest.raises(AilabError):
        prepare(define({"a.csv": clicks(3) + "x,y,z\n"}), data_dir=data_dir, runner="inline")
    assert not Path(data_dir).exists()


@pytest.mark.parametrize("age", ["soon", "1w", "-1", ""])
def test_an_age_that_is_none_is_refused(tmp_path, age):
    done = CliRunner().invoke(cli, ["clean", "--data-dir", str(tmp_path), "--older-than", age])
    assert done.exit_code == 2
    assert "is no time such as" in done.output
