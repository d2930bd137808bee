"""Settings come from one file and the environment, and say what they don't understand."""

from __future__ import annotations

from pathlib import Path

import pytest

from ailab_dataproc.errors import SettingsError
from ailab_dataproc.settings import Settings, load_settings

EXAMPLE = Path(__file__).parents[1] / "configs" / "settings.yaml"


def written(tmp_path, text):
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    return file


def test_the_example_holds_the_defaults():
    assert load_settings(EXAMPLE) == Settings(storage_options={})


def test_the_environment_has_the_last_word(tmp_path, monkeypatch):
    file = written(tmp_path, "data_dir: /from/file\nauto: [dask]\n")
    monkeypatch.setenv("AILAB_DATA_DIR", "/from/environment")
    assert load_settings(file) == Settings(data_dir="/from/environment", auto=("dask",))


def test_folders_in_the_environment_are_separated_like_a_path(monkeypatch):
    monkeypatch.setenv("AILAB_DATASETS", "/a:/b")
    assert load_settings().datasets == ("/a", "/b")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("data_dirs: /x", "Did you mean 'data_dir'"),
        ("- a list", "wanted keys and values"),
        ("data_dir: [1]", "wrong type"),
        ("data_dir: {", "can't be read as YAML"),
    ],
)
def test_what_is_wrong_in_the_file_is_told_in_a_sentence(tmp_path, text, told):
    with pytest.raises(SettingsError, match=told):
        load_settings(written(tmp_path, text))


def test_a_settings_file_that_was_named_must_exist(tmp_path, monkeypatch):
    monkeypatch.setenv("AILAB_SETTINGS", str(tmp_path / "nothing.yaml"))
    with pytest.raises(SettingsError, match="does not exist"):
        load_settings()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("20 GB", 20 * 10**9), ("500MiB", 500 << 20), ("1.5 kb", 1500), ("0", 0), ("1_000", 1000), ("2 TB", 2 * 10**12)],
)
def test_the_size_of_the_cache_may_have_a_unit(tmp_path, monkeypatch, text, wanted):
    assert load_settings(written(tmp_path, f"cache_bytes: {text}\n")).cache_bytes == wanted
    monkeypatch.setenv("AILAB_CACHE_BYTES", text)
    assert load_settings(EXAMPLE).cache_bytes == wanted


@pytest.mark.parametrize("text", ["much", "20 GX", "-1", "GB"])
def test_a_size_that_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv("AILAB_CACHE_BYTES", text)
    with pytest.raises(SettingsError, match=r"cache_bytes: found .*, wanted bytes such as 20 GB"):
        load_settings(EXAMPLE)


def test_storage_options_are_not_shown():
    assert "s3cr3t" not in repr(Settings(storage_options={"token": "s3cr3t"}))
