"""retire: old versions go when they may, at once or not at all, on a disk and in a bucket; what is needed stays."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import clicks

import ailab_dataproc as adp
from ailab_dataproc import storage
from ailab_dataproc.cli import cli
from ailab_dataproc.deprecating import deprecate
from ailab_dataproc.errors import DamagedData, InvalidRequest, UnknownName, VersionConflict
from ailab_dataproc.leftovers import clean
from ailab_dataproc.manifest import list_versions
from ailab_dataproc.retention import Rule, retire
from ailab_dataproc.settings import Settings
from ailab_dataproc.storage.lock import locked

NAME = "test/clicks"
VERSIONS = ("1.9.0", "1.10.0", "2.0.0", "2.1.0")
DAY = 86_400


@pytest.fixture(params=["disk", "bucket"])
def settings(request, tmp_path, define):
    """The settings of a data directory with four versions."""
    if request.param == "bucket":
        found = Settings(
            data_dir=request.getfixturevalue("bucket"), storage_options=request.getfixturevalue("gcs").options
        )
    else:
        found = Settings(data_dir=str(tmp_path / "data"))
    for version in VERSIONS:
        adp.prepare(define(version=version), data_dir=found.data_dir, runner="inline", formats=("parquet",))
    return found


def place(settings):
    return storage.folder(settings.data_dir, settings.storage_options)


def there(settings):
    return list_versions(place(settings), NAME)


def retired(settings, reference=NAME, **rule):
    """Remove, and tell what went and what stayed."""
    found = list(retire(reference, Rule(**rule), settings, dry_run=False))
    return {one.dataset.partition(":")[2]: one.kept for one in found}


def told(settings, *words):
    return CliRunner().invoke(cli, ["retire", *words, "--data-dir", settings.data_dir])


def test_the_newest_so_many_are_kept(settings):
    assert retired(settings, keep=2) == {"1.9.0": "", "1.10.0": ""}
    assert there(settings) == ["2.0.0", "2.1.0"]
    assert adp.load(NAME, data_dir=settings.data_dir, backend="arrow").num_rows == 20
    names = place(settings).sizes()
    assert not [name for name in names if "1.9.0" in name or "1.10.0" in name], "nothing of them is left"


def test_only_told_by_default_and_removed_with_yes(settings):
    done = told(settings, NAME, "--keep", "3")
    assert done.exit_code == 0, done.output
    assert "test/clicks:1.9.0 (" in done.stdout
    assert "would be removed" in done.stdout
    assert "in 1 version: give --yes to remove" in done.stdout
    assert there(settings) == list(VERSIONS)
    assert "removed\n" in told(settings, NAME, "--keep", "3", "--yes").stdout
    assert there(settings) == list(VERSIONS[1:])


def test_the_json_says_what_goes_with_its_bytes(settings):
    (found,) = json.loads(told(settings, NAME, "--keep", "3", "--json").stdout)
    folder = place(settings) / NAME / "1.9.0"
    assert (found["dataset"], found["path"], found["kept"]) == (f"{NAME}:1.9.0", folder.url, "")
    assert found["bytes"] == sum(folder.sizes().values())


def test_who_asks_for_a_retired_version_is_told(settings):
    deprecate(f"{NAME}:1.9.0", "wrong prices", settings)
    retired(settings, deprecated_only=True)
    with pytest.raises(UnknownName, match=r"1.9.0: was retired on 20\d\d-\d\d-\d\d, wrong prices. There is: 2.1.0,"):
        adp.load(f"{NAME}:1.9.0", data_dir=settings.data_dir)


def test_a_retired_version_can_be_prepared_again(settings, define):
    retired(settings, keep=1)
    adp.prepare(define(version="1.9.0"), data_dir=settings.data_dir, runner="inline", formats=("parquet",))
    assert adp.load(f"{NAME}:1.9.0", data_dir=settings.data_dir, backend="arrow").num_rows == 20


def test_a_retired_version_cannot_come_back_as_something_else(settings, define):
    retired(settings, keep=1)
    other = define({"b.csv": clicks(3)}, version="1.9.0")
    with pytest.raises(VersionConflict, match=r"1.9.0 was retired on .* Versions never change: bump the version"):
        adp.prepare(other, data_dir=settings.data_dir, runner="inline", formats=("parquet",))
    assert there(settings) == ["2.1.0"]


def test_neither_the_newest_goes_nor_the_one_that_the_bare_name_means(settings):
    for version in ("2.1.0", "2.0.0"):
        deprecate(f"{NAME}:{version}", "wrong prices", settings)
    assert retired(settings, older_than=0) == {
        "1.9.0": "",
        "1.10.0": f"load({NAME!r}) takes it",
        "2.0.0": "",
        "2.1.0": "it is the newest",
    }
    assert there(settings) == ["1.10.0", "2.1.0"]


def test_only_deprecated_ones_go_where_asked(settings):
    deprecate(f"{NAME}:1.10.0", "wrong prices", settings)
    assert retired(settings, deprecated_only=True) == {"1.10.0": ""}


def test_some_versions_can_be_named(settings):
    assert retired(settings, f"{NAME}:1.9.*") == {"1.9.0": ""}
    assert retired(settings, f"{NAME}:2.*", keep=1) == {"2.0.0": ""}
    assert there(settings) == ["1.10.0", "2.1.0"]


def test_what_another_version_was_made_from_stays(settings):
    given = {"data_dir": settings.data_dir, "format": "arrow", "formats": ["parquet"]}
    adp.map_partitions(same, f"{NAME}:1.9.0", name="test/copy", version="1.0.0", **given)
    assert retired(settings, keep=2) == {"1.9.0": "test/copy:1.0.0 was made from it", "1.10.0": ""}


def same(table):
    return table


def test_what_is_being_prepared_stays(settings):
    with locked(place(settings) / NAME, "1.9.0", f"{NAME}:1.9.0"):
        found = retired(settings, keep=2)
    assert f"being prepared by pid {os.getpid()}" in found["1.9.0"]
    assert there(settings) == ["1.9.0", "2.0.0", "2.1.0"]


def test_killed_half_way_nothing_is_seen_and_clean_removes_the_rest(settings, monkeypatch):
    kind = type(place(settings))
    remove = kind.remove
    monkeypatch.setattr(kind, "remove", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        retired(settings, keep=3)
    monkeypatch.setattr(kind, "remove", remove)
    assert there(settings) == list(VERSIONS[1:])
    assert [one.kept for one in clean(place(settings))] == [""]
    assert not [name for name in place(settings).sizes() if "1.9.0" in name]


def test_a_damaged_manifest_stops_it_since_nobody_knows_what_was_made_from_what(settings):
    (place(settings) / "test/copy/1.0.0").write("manifest.json", b"{}")
    with pytest.raises(DamagedData, match=r"test/copy/1.0.0/manifest.json: "):
        retired(settings, keep=1)
    assert there(settings) == list(VERSIONS)


def test_only_what_is_old_enough_goes(tmp_path, make, data_dir):
    for version in VERSIONS:
        make(version=version)
    for file in Path(data_dir, NAME, "1.10.0").rglob("*"):
        if file.is_file():
            os.utime(file, (file.stat().st_atime, file.stat().st_mtime - 100 * DAY))
    found = list(retire(NAME, Rule(older_than=90 * DAY), Settings(data_dir=data_dir)))
    assert [one.dataset for one in found] == [f"{NAME}:1.10.0"]
    assert found[0].age == pytest.approx(100 * DAY, abs=1000)
    assert not list(retire(NAME, Rule(older_than=90 * DAY, keep=3), Settings(data_dir=data_dir)))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([NAME], "nothing says which versions may go. Give --keep, --older-than or --deprecated-only, or"),
        ([NAME, "--keep", "0"], "0 is not in the range x>=1"),
        ([NAME, "--older-than", "3 months"], "is no time such as"),
        (["test/klicks", "--keep", "1"], "Did you mean 'test/clicks'?"),
        ([f"{NAME}:1.x"], "Write 1.*. There is: 1.0.0."),
    ],
    ids=str,
)
def test_what_says_nothing_or_something_else_is_refused(make, data_dir, words, message):
    make()
    done = CliRunner().invoke(cli, ["retire", *words, "--data-dir", data_dir])
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr


def test_to_keep_none_is_refused(settings):
    with pytest.raises(InvalidRequest, match="keep=0, wanted a number from 1 on"):
        retired(settings, keep=0)


def test_where_nothing_may_go_that_is_told(make, data_dir):
    make()
    assert CliRunner().invoke(cli, ["retire", NAME, "--keep", "5", "--data-dir", data_dir]).stdout == (
        f"{NAME}: no version may go\n"
    )
