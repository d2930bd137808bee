"""A project travels as a zip: what is taken, what stays here, what is refused, and that it comes back as it was."""

from __future__ import annotations

import functools
import io
import math
import os
import stat
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import pytest

from ailab_dataproc.errors import DamagedData, InvalidRequest
from ailab_dataproc.jobs import code, files
from ailab_dataproc.jobs.code import (
    checked,
    datasets_there,
    name_within,
    pack,
    project_of,
    project_of_function,
    settings_for,
    unpack,
)
from ailab_dataproc.jobs.entry import entry_of
from ailab_dataproc.settings import Settings


def git(folder: Path, *words: str) -> None:
    about = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_CONFIG_COUNT": "1"}
    about |= {"GIT_CONFIG_KEY_0": "protocol.file.allow", "GIT_CONFIG_VALUE_0": "always"}
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, env={**os.environ, **about})


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        put(folder, name, text)


def put(folder: Path, name: str, text: str = "x = 1\n") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def project(tmp_path):
    """A folder that is no repository, with a script."""
    folder = (tmp_path / "project").resolve()
    put(folder, "train.py", "print('hi')\n")
    return folder


@pytest.fixture
def repository(project):
    git(project, "init", "-q")
    return project


def taken(folder: Path, **given) -> set[str]:
    return set(pack(folder, **given).names)


# What is taken.


def test_of_a_repository_the_tracked_and_the_new_files_travel_and_the_ignored_do_not(repository):
    put(repository, ".gitignore", "data/\n*.log\n")
    put(repository, "tracked.py")
    git(repository, "add", ".")
    put(repository, "new.py")
    put(repository, "data/big.bin")
    put(repository, "a.log")
    assert taken(repository) == {".gitignore", "train.py", "tracked.py", "new.py"}


def test_a_tracked_file_that_was_deleted_is_not_missed(repository):
    put(repository, "old.py")
    git(repository, "add", ".")
    (repository / "old.py").unlink()
    assert taken(repository) == {"train.py"}


def test_files_of_a_submodule_travel(repository, tmp_path):
    library = tmp_path / "library"
    put(library, "inner/tool.py")
    git(library, "init", "-q")
    git(library, "add", ".")
    git(library, "commit", "-qm", "tool")
    git(repository, "submodule", "add", "-q", str(library), "third/library")
    assert "third/library/inner/tool.py" in taken(repository)


def test_of_a_folder_of_a_repository_only_what_lies_below_travels(repository):
    put(repository, "sub/job.py")
    assert taken(repository / "sub") == {"job.py"}


def test_a_script_that_git_ignores_travels_all_the_same(repository):
    put(repository, ".gitignore", "scratch*\n")
    put(repository, "scratch.py")
    assert "scratch.py" in taken(repository, always=["scratch.py"])


def test_without_a_repository_hidden_files_environments_and_builds_stay(project):
    put(project, "env/pyvenv.cfg")
    put(project, "env/lib/big.py")
    for name in (".cache/a", ".idea/b", "__pycache__/c.pyc", "node_modules/d.js", "build/e", "pkg/f.py"):
        put(project, name)
    assert taken(project) == {"train.py", "pkg/f.py"}


def test_an_environment_that_git_does_not_ignore_stays(repository):
    put(repository, "env/pyvenv.cfg")
    put(repository, "env/lib/big.py")
    assert taken(repository) == {"train.py"}


@pytest.mark.parametrize("in_git", [False, True])
def test_the_data_directory_within_the_project_stays(project, in_git):
    if in_git:
        git(project, "init", "-q")
    put(project, "data/products/shard.parquet")
    assert taken(project, without=[str(project / "data"), "gs://lab/data"]) == {"train.py"}


def test_names_with_blanks_quotes_and_other_alphabets_travel(repository):
    put(repository, "日本 'a\"b.py")
    put(repository, "a\nb.py")
    assert {"日本 'a\"b.py", "a\nb.py"} < taken(repository)


def test_a_repository_of_the_whole_home_directory_is_not_the_project(project, monkeypatch):
    monkeypatch.setenv("HOME", str(project.parent))
    git(project.parent, "init", "-q")
    put(project.parent, ".gitignore", "*\n")
    assert project_of(project / "train.py") == project
    assert taken(project) == {"train.py"}


# What stays, and is named.


@pytest.mark.parametrize(
    "name",
    [".env", ".env.local", "prod.env", "server.pem", "tls/site.key", ".ssh/config", "id_rsa", "id_ed25519_work",
     ".netrc", "gcp-credentials.json", "CREDENTIALS.JSON", "service-account-x.json", "a.p12", ".aws/config"],
)  # fmt: skip
def test_what_looks_like_a_secret_stays_and_is_named(repository, name):
    put(repository, name, "hunter2")
    packed = pack(repository)
    assert packed.skipped == {name: "looks like a secret"}
    assert b"hunter2" not in packed.content


@pytest.mark.parametrize(
    "name", [".env.example", "id_rsa.pub", "keys.py", "credentials/__init__.py", "environment.yml"]
)
def test_what_only_sounds_like_a_secret_travels(repository, name):
    put(repository, name)
    assert name in taken(repository)


def test_a_link_to_a_secret_elsewhere_stays(repository, tmp_path):
    put(tmp_path, "home/.netrc", "hunter2")
    (repository / "login").symlink_to(tmp_path / "home/.netrc")
    assert pack(repository).skipped == {"login": "a link to what looks like a secret"}


def test_links_to_folders_elsewhere_and_to_nowhere_stay_and_are_named(project, tmp_path):
    (project / "data").symlink_to(tmp_path)
    (project / "gone").symlink_to("nothing")
    skipped = pack(project).skipped
    assert skipped == {
        "data": f"a link to a folder outside the project, {tmp_path}",
        "gone": "a link that leads nowhere",
    }


def test_what_stays_is_told(project, caplog):
    for name in ("a.pem", "b.pem", "c.pem", "d.pem"):
        put(project, name)
    pack(project)
    assert "does not travel with the job: 'a.pem' (looks like a secret), 'b.pem' (looks" in caplog.text
    assert "and 1 more" in caplog.text


def test_a_pipe_stays(project):
    os.mkfifo(project / "pipe")
    assert pack(project).skipped == {"pipe": "no file"}


def test_a_name_that_is_not_utf_8_stays_and_is_named(project):
    name = os.fsdecode(b"caf\xe9.py")
    (project / name).write_text("")
    assert pack(project).skipped == {name: "its name is not UTF-8"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_stays_and_is_named(project):
    put(project, "closed.py").chmod(0)
    assert pack(project).skipped == {"closed.py": "can't be read (Permission denied)"}


# What comes back.


def test_files_come_back_as_they_were(project, tmp_path):
    put(project, "pkg/__init__.py", "")
    put(project, "run.sh").chmod(0o755)
    (project / "latest").symlink_to("pkg")
    (project / "absolute.py").symlink_to(project / "train.py")
    unpack(pack(project).content, tmp_path / "there")
    there = tmp_path / "there"
    assert (there / "train.py").read_text() == "print('hi')\n"
    assert (there / "pkg/__init__.py").read_bytes() == b""
    assert os.access(there / "run.sh", os.X_OK)
    assert not os.access(there / "train.py", os.X_OK)
    assert os.readlink(there / "latest") == "pkg"
    assert os.readlink(there / "absolute.py") == "train.py"


def test_a_link_to_a_file_elsewhere_comes_as_that_file(project, tmp_path):
    put(tmp_path, "shared/tool.py", "y = 2\n")
    (project / "tool.py").symlink_to(tmp_path / "shared/tool.py")
    unpack(pack(project).content, tmp_path / "there")
    assert not (tmp_path / "there/tool.py").is_symlink()
    assert (tmp_path / "there/tool.py").read_text() == "y = 2\n"


def test_the_same_files_make_the_same_bytes(project):
    put(project, "b.py")
    first = pack(project).content
    for path in project.iterdir():
        os.utime(path, (0, 0))
    assert pack(project).content == first


def test_an_empty_project_is_an_empty_zip(tmp_path):
    packed = pack(checked(tmp_path))
    unpack(packed.content, tmp_path / "there")
    assert (packed.names, packed.bytes, list((tmp_path / "there").iterdir())) == ((), 0, [])


def zipped(**entries: tuple[int, str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, (mode, text) in entries.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            archive.writestr(entry, text)
    return file.getvalue()


@pytest.mark.parametrize("name", ["../out.py", "/out.py", "a/../../out.py", "a//b.py", "./a.py", "a/"])
def test_a_zip_with_a_path_out_of_the_folder_is_refused(tmp_path, name):
    with pytest.raises(DamagedData, match="no name of a file within it"):
        unpack(zipped(**{name: (stat.S_IFREG | 0o644, "x")}), tmp_path / "there")
    assert not (tmp_path / "out.py").exists()


@pytest.mark.parametrize("target", ["/etc", "..", "here/../../.."])
def test_a_zip_with_a_link_out_of_the_folder_is_refused(tmp_path, target):
    link = stat.S_IFLNK | 0o777
    with pytest.raises(DamagedData, match="a link out of it"):
        unpack(zipped(here=(link, "."), out=(link, target)), tmp_path / "there")


def test_a_zip_that_is_cut_off_is_refused(project, tmp_path):
    with pytest.raises(DamagedData, match="no whole zip"):
        unpack(pack(project).content[:-30], tmp_path / "there")


# What is refused.


def test_a_git_hook_that_submits_packs_its_own_project(repository, tmp_path, monkeypatch):
    put(tmp_path, "other/a.py")
    git(tmp_path / "other", "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "other/.git/index"))
    assert taken(repository) == {"train.py"}


def test_a_project_over_the_limit_names_the_largest_files(project):
    put(project, "data/big.csv", "x" * 5000)
    put(project, "data/small.csv", "x" * 1000)
    with pytest.raises(
        InvalidRequest, match=r"6\.0 kB, the limit is 2\.0 kB; the largest are data/big.csv \(5\.0 kB\)"
    ):
        pack(project, 2000)


def test_a_project_of_too_many_files_names_the_folder_that_has_them(project, monkeypatch):
    monkeypatch.setattr(files, "MOST", 10)
    for number in range(12):
        put(project, f"images/{number}.png")
    with pytest.raises(InvalidRequest, match="more than 10 files, 12 of them in images"):
        pack(project)


def test_the_home_directory_is_no_project(project, monkeypatch):
    monkeypatch.setenv("HOME", str(project))
    with pytest.raises(InvalidRequest, match="would be the whole home directory"):
        project_of(project / "train.py")


def test_the_disk_is_no_project():
    with pytest.raises(InvalidRequest, match="would be the whole disk"):
        checked("/")


def test_a_folder_that_does_not_exist_is_no_project(tmp_path):
    with pytest.raises(InvalidRequest, match="is no folder"):
        checked(tmp_path / "nowhere")


def test_a_script_outside_the_project_is_refused(project, tmp_path):
    with pytest.raises(InvalidRequest, match="outside the project"):
        name_within(project, tmp_path / "other.py")


def test_a_repository_that_git_refuses_is_told_in_its_words(repository):
    (repository / ".git/HEAD").write_text("nonsense")
    with pytest.raises(InvalidRequest, match=r"git can't list the files of the project .*fatal"):
        pack(repository)


# Which folder is the project.


def test_the_project_of_a_script_is_its_repository(repository):
    assert project_of(put(repository, "deep/in/job.py")) == repository


def test_the_project_of_a_package_outside_git_is_the_folder_above_it(project):
    put(project, "pkg/sub/__init__.py")
    put(project, "pkg/__init__.py")
    assert project_of(put(project, "pkg/sub/job.py")) == project


def test_the_name_of_a_script_is_relative_to_the_project_also_by_way_of_a_link(project, tmp_path):
    (tmp_path / "short").symlink_to(project)
    assert name_within(project, tmp_path / "short/train.py") == "train.py"


def test_the_project_of_a_function_is_that_of_its_module():
    root = project_of(__file__)
    assert project_of_function(functools.partial(put)) == root
    assert project_of_function(pytest.fixture) is None  # installed
    assert project_of_function(math.sqrt) is None
    assert project_of_function(print) is None


def test_the_project_of_a_notebook_is_the_current_folder(project, monkeypatch):
    monkeypatch.setitem(sys.modules, "a_notebook", types.ModuleType("a_notebook"))
    monkeypatch.chdir(project)
    cell = types.FunctionType((lambda: 1).__code__, {"__name__": "a_notebook"})
    cell.__module__ = "a_notebook"
    assert project_of_function(cell) == project


def test_a_notebook_in_the_home_directory_has_no_project(project, monkeypatch):
    monkeypatch.setitem(sys.modules, "a_notebook", types.ModuleType("a_notebook"))
    monkeypatch.setenv("HOME", str(project))
    monkeypatch.chdir(project)
    cell = types.FunctionType((lambda: 1).__code__, {"__name__": "a_notebook"})
    cell.__module__ = "a_notebook"
    assert project_of_function(cell) is None


# A project that is this package's own repository.


@pytest.mark.parametrize("place", ["ailab_dataproc", "src/ailab_dataproc"])
def test_this_package_stays_and_what_lies_beside_it_travels(repository, place, caplog):
    put(repository, f"{place}/__init__.py")
    put(repository, f"{place}/jobs/code.py")
    put(repository, f"{place}_datasets/__init__.py")
    assert taken(repository) == {"train.py", f"{place}_datasets/__init__.py"}
    assert f"'{place}' (jobs run the one that is installed on their workers" in caplog.text


def test_a_script_within_this_package_travels_alone(repository):
    put(repository, "ailab_dataproc/__init__.py")
    put(repository, "ailab_dataproc/cli.py")
    assert taken(repository, always=["ailab_dataproc/cli.py"]) == {"train.py", "ailab_dataproc/cli.py"}


def test_what_only_has_the_name_of_this_package_travels(project):
    put(project, "mylab/ailab_dataproc/__init__.py")
    put(project, "ailab_dataproc/notes.md")
    assert taken(project) == {"train.py", "mylab/ailab_dataproc/__init__.py", "ailab_dataproc/notes.md"}


def test_functions_of_this_package_are_installed_wherever_it_lies():
    assert project_of_function(pack) is None
    named = entry_of("ailab_dataproc:load", None)
    assert (named.function, named.project, named.file) == ("ailab_dataproc:load", None, None)


# Settings that point into it.


def test_definitions_within_the_project_are_found_where_it_is_unpacked(project, monkeypatch, tmp_path):
    put(project, "defs/products/shop/orders.py")
    monkeypatch.chdir(project)
    settings = Settings(datasets=("defs", "/srv/defs"), data_dir="data", storage_options={"token": "hunter2"})
    told = settings_for(settings, pack(project))
    assert told["datasets"] == ["defs", "/srv/defs"]
    assert told["data_dir"] == str(project / "data")
    assert "hunter2" not in str(told)
    assert datasets_there(told["datasets"], tmp_path / "there") == [str(tmp_path / "there/defs"), "/srv/defs"]


def test_definitions_that_do_not_travel_keep_their_place(project, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    settings = Settings(datasets=(str(tmp_path / "elsewhere"),), data_dir="gs://lab/data")
    told = settings_for(settings, pack(project))
    assert (told["datasets"], told["data_dir"]) == ([str(tmp_path / "elsewhere")], "gs://lab/data")


def test_the_default_limit_is_what_submit_says():
    assert code.LIMIT == 50_000_000
