"""What goes wrong with places: one sentence that says where, what the store said, and what to do. Exit code 2."""

from __future__ import annotations

import errno
import os
import re
import socket
import subprocess
import time

import pytest
import yaml
from click.testing import CliRunner
from conftest import clicks

from ailab_dataproc import storage
from ailab_dataproc.cli import cli
from ailab_dataproc.errors import AilabError, StorageFailed
from ailab_dataproc.preparing import prepare

SAID = "ann@lab.example does not have storage.objects access"
SETTINGS = "settings.yaml"


@pytest.fixture
def refused():
    """Call something that fails with one sentence; returns the sentence."""

    def call(action):
        with pytest.raises(AilabError) as caught:
            action()
        message = str(caught.value)
        assert "\n" not in message
        assert len(message) < 500
        return message

    return call


@pytest.fixture
def told(tmp_path, monkeypatch, capfd):
    """Run a command that fails; returns the one line on stderr."""
    monkeypatch.setenv("AILAB_SETTINGS", str(tmp_path / SETTINGS))

    def run(*arguments, **settings):
        if settings:
            (tmp_path / SETTINGS).write_text(yaml.safe_dump(settings))
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == 2, done.output
        assert done.stdout == ""
        noise = capfd.readouterr().err
        assert "Traceback" not in done.stderr + noise
        lines = done.stderr.strip().splitlines()
        assert len(lines) == 1, lines
        return lines[0].removeprefix("error: ")

    return run


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("kind", ["upload", "list", "read", "copy"])
def test_a_bucket_that_denies_access_is_told_with_what_it_said(gcs, bucket, define, refused, status, kind):
    gcs.deny = {kind: (status, SAID)}
    message = refused(lambda: prepare(define(), runner="inline"))
    assert re.match(rf"no access to gs://lab\S*: {SAID}\. (Ask|Log in .*, or ask) its owner for permission to", message)
    assert "test/clicks/1.0.0/manifest.json" not in gcs.objects("lab")


@pytest.mark.parametrize("runner", ["inline", "threads", pytest.param("processes", marks=pytest.mark.slow)])
def test_a_bucket_that_denies_workers_is_told(gcs, bucket, define, refused, runner):
    def deny(kind, path):
        if gcs.requests["upload"] > 2:  # the lease and the stage's first file
            gcs.deny = {"upload": (403, SAID)}

    gcs.hook = deny
    message = refused(lambda: prepare(define(), runner=runner))
    assert re.match(rf"no access to gs://lab\S*: {SAID}\. Ask its owner for permission to write it\.$", message)


def test_a_bucket_that_denies_loading_is_told_at_the_command_line(gcs, bucket, define, told):
    prepare(define(), runner="inline", formats=("parquet",))
    gcs.deny = {"read": (403, SAID)}
    for command in (["head", "test/clicks"], ["verify", "test/clicks"], ["describe", "test/clicks"]):
        message = told(*command)
        assert message.startswith("no access to gs://lab/test/clicks"), message
        assert SAID in message


def test_sources_that_may_not_be_read_are_told(gcs, bucket, define, refused, tmp_path):
    gcs.deny = {"list": (403, SAID), "info": (403, SAID)}
    dataset = define({}, splits={"train": "gs://lab/raw/*.csv"})
    assert refused(lambda: prepare(dataset, data_dir=str(tmp_path / "x"), runner="inline")).startswith("no access to")


def test_a_bucket_that_does_not_exist_is_told(gcs, bucket, define, refused, tmp_path):
    message = refused(lambda: prepare(define(), data_dir="gs://lba/data", runner="inline"))
    assert message.startswith("gs://lba/data/test/clicks/.lock-1.0.0: can't write it, since there is no bucket 'lba'.")


def test_a_key_file_that_does_not_exist_is_told(told):
    message = told("verify", "test/clicks", data_dir="gs://lab", storage_options={"token": "/nowhere/key.json"})
    assert message.startswith("no credentials: the file /nowhere/key.json does not exist.")


def test_a_key_that_is_no_key_is_told_without_its_content(told):
    options = {"token": {"type": "service_account", "private_key": "s3cr3t", "client_email": "ann@lab.example"}}
    message = told("verify", "test/clicks", data_dir="gs://lab", storage_options=options)
    assert "storage_options" in message or "no credentials" in message
    assert "s3cr3t" not in message


def test_no_credentials_at_all_are_told(told, monkeypatch):
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    options = {"token": "google_default", "endpoint_url": "http://127.0.0.1:1"}
    message = told("verify", "test/clicks", data_dir="gs://lab", storage_options=options)
    assert message.startswith("no credentials for gs://lab")
    assert "gcloud auth application-default login" in message


def test_a_scheme_that_nobody_knows_is_told(told):
    message = told("verify", "test/clicks", data_dir="ggs://lab")
    assert message.startswith("ggs://lab/test/clicks: there is no file system for ggs://")


def test_a_library_that_is_not_there_is_told_with_its_pip_line(told):
    assert "pip install 'ailab_dataproc[azure]'" in told("verify", "test/clicks", data_dir="az://lab/data")


@pytest.mark.slow
def test_a_store_that_does_not_answer_is_told_within_a_minute(told):
    started = time.monotonic()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    options = {"token": "anon", "endpoint_url": endpoint}
    message = told("verify", "test/clicks", data_dir="gs://lab", storage_options=options)
    assert message.startswith("gs://lab/test/clicks: the store doesn't answer")
    assert time.monotonic() - started < 60


@pytest.fixture
def tiny(tmp_path):
    """A disk of one megabyte."""
    disk = tmp_path / "tiny"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=False)
    if done.returncode:
        pytest.skip("mounting a file system needs root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("runner", ["inline", "threads"])
def test_a_full_disk_is_told_and_shows_nothing_half_made(define, refused, tiny, runner):
    files = {f"{i}.csv": clicks(200_000) for i in range(2)}
    message = refused(lambda: prepare(define(files), data_dir=str(tiny / "data"), runner=runner))
    assert re.match(rf"{tiny}/data/test/clicks/\S+: can't write it, the disk {tiny} is full \(.* free\)\.", message)
    assert "Make room" in message
    assert not list(tiny.rglob("manifest.json"))
    assert not list(tiny.rglob("*.tmp-*"))


def test_a_folder_that_may_not_be_written_is_told(refused, tmp_path):
    folder = storage.folder(tmp_path / "x")
    error = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    told = r"no access to /.*: Permission denied. Ask for permission to write it."
    with pytest.raises(StorageFailed, match=told), storage.explained(folder.url, "write"):
        raise error


@pytest.mark.parametrize("below", ["", "/data"])
def test_a_file_in_the_way_is_told(define, refused, tmp_path, below):
    (tmp_path / "file").write_text("in the way")
    message = refused(lambda: prepare(define(), data_dir=f"{tmp_path}/file{below}", runner="inline"))
    assert message.startswith(f"{tmp_path}/file{below}")
    assert (tmp_path / "file").read_text() == "in the way"


def test_an_error_of_the_callers_own_block_stays_what_it_is(gcs, bucket):
    folder = storage.folder(bucket, gcs.options)
    with pytest.raises(ZeroDivisionError), folder.create("x") as file:
        file.write(b"0" * (20_000_000 // 0 if file.write(b"0" * 20_000_000) else 0))
    assert gcs.objects("lab") == {}, "and nothing of the file is visible"
