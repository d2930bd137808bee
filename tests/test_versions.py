"""Versions: which one a reference means, what is said of those that should no longer be used, and who is told."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner
from conftest import CLICKS, clicks

import ailab_dataproc as adp
from ailab_dataproc import notices, storage
from ailab_dataproc.cli import cli
from ailab_dataproc.deprecating import deprecate, deprecated, undo
from ailab_dataproc.describing import describe, list_datasets
from ailab_dataproc.errors import DamagedData, InvalidDefinition, InvalidRequest, UnknownName
from ailab_dataproc.jobs.data import perform
from ailab_dataproc.jobs.record import DATASET, Work
from ailab_dataproc.manifest import open_prepared
from ailab_dataproc.references import Reference
from ailab_dataproc.settings import Settings

NAME = "test/clicks"
REASON = "prices in the wrong currency"


@pytest.fixture(autouse=True)
def nobody_warned(monkeypatch):
    """Each test is a process of its own, as far as warnings go."""
    monkeypatch.setattr(notices, "_warned", set())


@pytest.fixture
def versions(make):
    """Prepare versions; each has as many rows as its place."""

    def made(*names, **given):
        for rows, version in enumerate(names, 1):
            make({f"{version}.csv": clicks(rows)}, version=version, **given)

    return made


@pytest.fixture
def settings(data_dir):
    return Settings(data_dir=data_dir)


def taken(reference, data_dir, **given):
    """The version that a load takes."""
    adp.load(reference, data_dir=data_dir, backend="arrow", **given)
    return adp.last_report().dataset.partition(":")[2]


def told(*words):
    return CliRunner().invoke(cli, words, env={"COLUMNS": "200"})


# --- references


@pytest.mark.parametrize(
    ("reference", "version"),
    [
        (NAME, "2.0.0"),
        (f"{NAME}:*", "2.0.0"),
        (f"{NAME}:*.*.*", "2.0.0"),
        (f"{NAME}:1.*", "1.10.0"),
        (f"{NAME}:1.*.*", "1.10.0"),
        (f"{NAME}:1.9.*", "1.9.2"),
        (f"{NAME}:1.*.2", "1.9.2"),
        (f"{NAME}:1.9.0", "1.9.0"),
    ],
)
def test_a_reference_means_the_newest_version_that_it_matches(versions, data_dir, reference, version):
    versions("1.9.0", "1.10.0", "1.9.2", "2.0.0")
    assert taken(reference, data_dir) == version


def test_versions_are_ordered_as_numbers_not_as_text():
    assert Reference("x").choose(["1.9.0", "1.10.0", "1.0.99"]) == "1.10.0"


def test_a_pattern_may_be_given_as_version(versions, data_dir):
    versions("1.0.0", "2.0.0")
    assert taken(NAME, data_dir, version="1.*") == "1.0.0"
    (batch,) = adp.batches(NAME, version="1.*", batch_size=8, columns=["user"], data_dir=data_dir)
    assert batch["user"].tolist() == [0]
    assert adp.even_splits(NAME, 1, version="2.*", data_dir=data_dir) == ["train[0:2]"]
    assert adp.plan(f"{NAME}:1.*", data_dir=data_dir).dataset == f"{NAME}:1.0.0"


def test_two_versions_at_once_are_refused(versions, data_dir):
    versions("1.0.0", "2.0.0")
    with pytest.raises(InvalidRequest, match=r"version='2.0.0', but the name says '1.0.0'. Leave out one"):
        adp.load(f"{NAME}:1.0.0", version="2.0.0", data_dir=data_dir)
    assert taken(f"{NAME}:1.0.0", data_dir, version="1.0.0") == "1.0.0"


@pytest.mark.parametrize(
    ("version", "advice"),
    [
        ("1.2", "Write 1.2.0 for that one, 1.2.* for the newest of them."),
        ("1", "Write 1.0.0 for that one, 1.* for the newest of them."),
        ("1.x", "Write 1.*."),
        ("v1.0.0", "Write 1.0.0."),
        ("==1.0.0", "Write 1.0.0."),
        ("latest", "For the newest version leave it out."),
        (">1", "For the newest version leave it out."),
        ("", "For the newest version leave it out."),
        ("1.0.0.*", "For the newest version leave it out."),
        ("1.**", "For the newest version leave it out."),
        ("9" * 1000, "For the newest version leave it out."),
    ],
)
def test_what_is_no_pattern_is_told_how_patterns_look_and_what_is_there(versions, data_dir, version, advice):
    versions("1.0.0", "1.10.0")
    with pytest.raises(InvalidRequest) as caught:
        adp.load(f"{NAME}:{version}", data_dir=data_dir)
    message = str(caught.value)
    assert message.startswith(f"{NAME}: version '{version[:20]}")
    assert "nor a pattern such as 1.2.* or 1.*" in message
    assert advice in message
    assert message.endswith("There is: 1.10.0, 1.0.0.")


def test_a_pattern_that_nothing_matches_is_told_what_is_there(versions, data_dir):
    versions("1.0.0", "1.10.0")
    with pytest.raises(UnknownName, match=r"^test/clicks: no version matches '2\.\*'. There is: 1.10.0, 1.0.0.$"):
        adp.load(f"{NAME}:2.*", data_dir=data_dir)


def test_a_pattern_cannot_be_prepared(data_dir):
    done = told("prepare", "products/ad_log/impressions:1.*", "--data-dir", data_dir)
    assert done.exit_code == 2
    assert "prepare makes the one of the definition. Leave out :1.*." in done.stderr


@pytest.mark.parametrize("words", [["describe"], ["head"], ["stats"], ["verify"], ["plan"]], ids=str)
def test_every_command_that_looks_takes_a_pattern(versions, data_dir, words):
    versions("1.0.0", "1.1.0", "2.0.0")
    done = told(*words, f"{NAME}:1.*", "--data-dir", data_dir, "--json")
    assert done.exit_code == 0, done.stderr
    assert "1.1.0" in done.stdout


def test_lineage_names_the_version_that_a_pattern_meant(versions, data_dir):
    versions("1.0.0", "1.1.0", "2.0.0")
    report = adp.map_partitions(
        same, f"{NAME}:1.*", name="test/copy", version="1.0.0", data_dir=data_dir, formats=["parquet"], format="arrow"
    )
    origin = open_prepared(storage.folder(data_dir), report.dataset).manifest.lineage.derived_from[0]
    assert (origin.name, origin.version) == (NAME, "1.1.0")


def same(table):
    return table


def test_all_attempts_of_a_job_take_the_version_of_the_first(versions, make, data_dir, tmp_path, monkeypatch):
    versions("1.0.0", "1.1.0")
    monkeypatch.setenv("AILAB_DATA_DIR", data_dir)
    monkeypatch.setenv("AILAB_JOB_FOLDER", str(tmp_path / "job"))
    work = Work(function=pa.Table.num_rows.__get__, reference=f"{NAME}:1.*", load={"backend": "arrow"})
    assert perform(work) == 2
    make({"more.csv": clicks(7)}, version="1.2.0")
    assert perform(work) == 2
    assert (tmp_path / "job" / DATASET).read_text() == f"{NAME}:1.1.0"


def test_a_job_on_a_cluster_notes_in_its_folder_which_version_it_took(versions, start, data_dir, monkeypatch):
    versions("1.0.0", "1.1.0", "2.0.0")
    monkeypatch.setenv("AILAB_DATA_DIR", data_dir)
    start()
    job = adp.submit("builtins:len", f"{NAME}:1.*", backend="arrow")
    assert job.result(timeout=120) == 2
    assert Path(job.url, DATASET).read_text() == f"{NAME}:1.1.0"


# --- deprecation


def test_who_loads_a_deprecated_version_is_told_why_once(versions, data_dir, settings, caplog):
    versions("1.0.0", "1.1.0")
    deprecate(f"{NAME}:1.0.0", REASON, settings, use="1.1.0")
    with caplog.at_level(logging.WARNING, "ailab_dataproc"):
        for _ in range(3):
            adp.load(f"{NAME}:1.0.0", data_dir=data_dir, backend="arrow")
        adp.load(f"{NAME}:1.1.0", data_dir=data_dir, backend="arrow")
    assert caplog.messages == [f"{NAME}:1.0.0 is deprecated: {REASON}. Use {NAME}:1.1.0."]


def test_at_the_command_line_the_warning_is_one_line_on_stderr(versions, data_dir, tmp_path):
    import subprocess
    import sys

    versions("1.0.0")
    told("deprecate", f"{NAME}:1.0.0", "--reason", REASON, "--data-dir", data_dir)
    command = [sys.executable, "-m", "ailab_dataproc", "head", NAME, "--json", "--data-dir", data_dir]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stderr == f"{NAME}:1.0.0 is deprecated: {REASON}.\n"
    assert len(json.loads(done.stdout)["rows"]) == 1


def test_the_bare_name_and_patterns_pass_over_deprecated_versions(versions, data_dir, settings):
    versions("1.0.0", "1.1.0", "1.2.0", "2.0.0")
    deprecate(f"{NAME}:2.0.0", REASON, settings)
    deprecate(f"{NAME}:1.2.0", REASON, settings)
    assert taken(NAME, data_dir) == taken(f"{NAME}:1.*", data_dir) == "1.1.0"
    assert taken(f"{NAME}:2.*", data_dir) == "2.0.0"


def test_where_all_are_deprecated_the_newest_is_taken_with_the_warning(versions, data_dir, settings, caplog):
    versions("1.0.0", "1.1.0")
    for version in ("1.0.0", "1.1.0"):
        deprecate(f"{NAME}:{version}", REASON, settings)
    assert taken(NAME, data_dir) == "1.1.0"
    assert caplog.messages == [f"{NAME}:1.1.0 is deprecated: {REASON}."]


def test_a_deprecation_can_be_taken_back(versions, data_dir, settings):
    versions("1.0.0", "1.1.0")
    deprecate(f"{NAME}:1.1.0", REASON, settings)
    assert undo(f"{NAME}:1.1.0", settings) == {}
    assert taken(NAME, data_dir) == "1.1.0"
    with pytest.raises(InvalidRequest, match=r"isn't deprecated. There is nothing to undo"):
        undo(f"{NAME}:1.1.0", settings)


def test_a_definition_says_it_as_soon_as_any_version_is_prepared(versions, make, data_dir, settings):
    versions("1.0.0", "1.1.0")
    make({"new.csv": clicks(5)}, version="1.2.0", deprecated={"1.1.0": REASON})
    assert [str(one) for one in deprecated(NAME, settings).values()] == [REASON]
    make({"new.csv": clicks(5)}, version="1.2.0", deprecated={"1.0.0": "too old"})
    assert list(deprecated(NAME, settings)) == ["1.0.0"]


def test_to_deprecate_is_no_change_of_a_version(make):
    make({"a.csv": clicks(5)})
    assert make({"a.csv": clicks(5)}, deprecated={"1.0.0": REASON}).reused


def test_the_command_goes_before_the_definition_and_does_not_undo_it(make, data_dir, settings):
    make({"a.csv": clicks(5)}, deprecated={"1.0.0": "says the definition"})
    deprecate(f"{NAME}:1.0.0", "says the command", settings)
    assert str(deprecated(NAME, settings)["1.0.0"]) == "says the command"
    assert str(undo(f"{NAME}:1.0.0", settings)["1.0.0"]) == "says the definition"
    with pytest.raises(InvalidRequest, match="Take it out of deprecated= there"):
        undo(f"{NAME}:1.0.0", settings)


def test_preparing_a_deprecated_version_says_so(make, caplog):
    make({"a.csv": clicks(5)}, deprecated={"1.0.0": REASON})
    assert caplog.messages == [f"{NAME}:1.0.0 is deprecated: {REASON}."]


def test_what_is_made_from_a_deprecated_version_is_told_of_it(versions, data_dir, settings, caplog):
    versions("1.0.0")
    deprecate(f"{NAME}:1.0.0", REASON, settings)
    adp.map_partitions(same, NAME, name="test/copy", version="1.0.0", data_dir=data_dir, format="arrow")
    assert f"{NAME}:1.0.0 is deprecated: {REASON}." in caplog.messages
    assert describe("test/copy", settings)["made_from_deprecated"] == {f"{NAME}:1.0.0": REASON}
    assert f"made from {NAME}:1.0.0, which is deprecated: {REASON}" in told(
        "describe", "test/copy", "--data-dir", data_dir
    ).output.replace("\n", " ")


def test_describe_and_list_tell_it(versions, data_dir, settings):
    versions("1.0.0", "1.1.0")
    deprecate(f"{NAME}:1.1.0", REASON, settings, use="1.0.0")
    found = describe(NAME, settings)
    assert found["version"] == "1.0.0"
    assert found["deprecated"]["1.1.0"]["reason"] == REASON
    assert f"deprecated  1.1.0: {REASON} (use 1.0.0)" in told("describe", NAME, "--data-dir", data_dir).stdout
    row = next(one for one in list_datasets(settings) if one["name"] == NAME)
    assert (row["version"], row["deprecated"]) == ("1.0.0", {"1.1.0": f"{REASON} (use 1.0.0)"})
    deprecate(f"{NAME}:1.0.0", "old", settings)
    assert f"! {NAME}:1.1.0 is deprecated: {REASON}" in told("list", "--data-dir", data_dir).stdout


def test_lines_to_load_a_version_name_it_where_the_bare_name_means_another(versions, data_dir, settings):
    versions("1.0.0", "1.1.0")
    assert f'adp.load("{NAME}:1.0.0", ' in describe(f"{NAME}:1.0.0", settings)["load"]["pandas"]
    assert f'adp.load("{NAME}", ' in describe(f"{NAME}:1.1.0", settings)["load"]["pandas"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([f"{NAME}:1.*", "--reason", "x"], "names no single version. Write test/clicks:1.1.0"),
        ([NAME, "--reason", "x"], "names no single version"),
        ([f"{NAME}:1.5.0", "--reason", "x"], "no version '1.5.0'"),
        ([f"{NAME}:1.0.0", "--reason", " "], "no reason. Say why"),
        ([f"{NAME}:1.0.0", "--reason", "x", "--use", "1.0.0"], "is the version itself"),
        ([f"{NAME}:1.0.0", "--reason", "x", "--use", "7.0.0"], "no version '7.0.0'"),
        ([f"{NAME}:1.0.0", "--use", "1.1.0"], "--use goes with --reason"),
        ([f"{NAME}:1.0.0"], "say why with --reason"),
        (["test/klicks:1.0.0", "--reason", "x"], "Did you mean 'test/clicks'?"),
    ],
    ids=str,
)
def test_a_wrong_deprecation_is_refused_in_one_sentence(versions, data_dir, words, message):
    versions("1.0.0", "1.1.0")
    done = told("deprecate", *words, "--data-dir", data_dir)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert not Path(data_dir, NAME, notices.NOTICES).exists()


def test_a_reason_is_one_line_without_what_a_terminal_obeys(versions, settings):
    versions("1.0.0")
    found = deprecate(f"{NAME}:1.0.0", "wrong\n  prices \x1b[31m" + "x" * 1000, settings)
    assert found["1.0.0"].reason.startswith("wrong prices [31mxxx")
    assert len(found["1.0.0"].reason) == 500


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"1.0": "x"}, "version '1.0' isn't major.minor.patch"),
        ({"1.0.0": ""}, r"deprecated\['1.0.0'\] is '', wanted a reason"),
        (["1.0.0"], "deprecated is a list, wanted a dict"),
    ],
    ids=str,
)
def test_a_wrong_deprecation_in_a_definition_is_refused(define, given, message):
    with pytest.raises(InvalidDefinition, match=message):
        define(deprecated=given)


def test_two_who_deprecate_at_once_both_are_heard(versions, settings):
    names = [f"1.{i}.0" for i in range(6)]
    versions(*names)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda one: deprecate(f"{NAME}:{one}", REASON, settings), names))
    assert set(deprecated(NAME, settings)) == set(names)


def test_a_damaged_file_of_notices_is_named(versions, data_dir):
    versions("1.0.0")
    Path(data_dir, NAME, notices.NOTICES).write_text("{")
    with pytest.raises(DamagedData, match=r"notices.json: can't be read .* Restore or remove the file"):
        adp.load(NAME, data_dir=data_dir)


def test_in_a_bucket_a_load_asks_nothing_more_where_nothing_is_deprecated(define, bucket, gcs):
    place = storage.folder(bucket, gcs.options)
    adp.prepare(define(), data_dir=bucket, runner="inline", formats=("parquet",))
    requests = gcs.count()
    open_prepared(place, NAME)
    assert dict(requests) == {"list": 1, "read": 2}
    deprecate(f"{NAME}:1.0.0", REASON, Settings(data_dir=bucket, storage_options=gcs.options))
    requests = gcs.count()
    assert str(open_prepared(place, NAME).notice) == REASON
    assert dict(requests) == {"list": 1, "read": 3}


def test_plain_tfds_still_reads_a_dataset_of_which_a_version_is_deprecated(define, data_dir, settings):
    tfds = pytest.importorskip("tensorflow_datasets")
    schema = pa.schema([CLICKS.field("user")])
    adp.prepare(define({"a.csv": "user\n7\n"}, schema=schema), data_dir=data_dir, runner="inline")
    deprecate(f"{NAME}:1.0.0", REASON, settings)
    assert tfds.builder("clicks:1.*.*", data_dir=f"{data_dir}/test").info.splits["train"].num_examples == 1
