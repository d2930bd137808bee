"""Packages of datasets: several side by side, broken ones, clashes of names, and the repository that is written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from ailab_dataproc import catalog, last_report, load, prepare
from ailab_dataproc.cli import cli
from ailab_dataproc.definition import run_file
from ailab_dataproc.errors import InvalidDefinition, InvalidRequest, StorageFailed, UnknownName
from ailab_dataproc.manifest import open_prepared
from ailab_dataproc.packaging.repository import new_package
from ailab_dataproc.settings import Settings, load_settings
from ailab_dataproc.storage import folder as storage_folder

BUILT_IN = set(catalog.definitions(Settings()))


def definition(name, csv, note=""):
    """The text of a definition's module."""
    return f'''"""Numbers."""
import pyarrow as pa
from ailab_dataproc import Dataset, column
{note}
dataset = Dataset(name="{name}", version="1.0.0", owner="lab", description=__doc__, splits={{"train": "{csv}"}},
                  schema=pa.schema([column("x", pa.int64(), "a number")]), release_notes={{"1.0.0": "First."}})
'''


@pytest.fixture
def csv(tmp_path):
    """A source."""
    path = tmp_path / "x.csv"
    path.write_text("x\n1\n2\n")
    return path


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Unpack a package as pip does: `install("lab_a", {"lab_a/products/x.py": text})`, with an entry point."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def installed(name, files, entry=None):
        for path, text in {f"{name}/__init__.py": "", **files}.items():
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_text(text)
        info = site / f"{name}-2.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.1\n")
        (info / "entry_points.txt").write_text(f"[{catalog.ENTRY_POINTS}]\n{name} = {entry or name}\n")
        return site / name

    return installed


def run(*arguments):
    """The command line."""
    return CliRunner().invoke(cli, [str(one) for one in arguments])


def own(found):
    """The names that are not built in."""
    return sorted(set(found) - BUILT_IN)


def test_packages_stand_side_by_side(install, csv):
    install("lab_a", {"lab_a/products/a.py": definition("products/a", csv)})
    install("lab_b", {"lab_b/products/b.py": definition("products/b", csv)})
    found = catalog.definitions(Settings())
    assert own(found) == ["products/a", "products/b"]
    assert [found[name].package for name in own(found)] == ["lab_a 2.1", "lab_b 2.1"]


def test_looking_runs_no_module(install, csv):
    fails = "raise SystemExit('was run')"
    install("lab_a", {"lab_a/__init__.py": fails, "lab_a/products/a.py": fails})
    install("lab_b", {"lab_b/__init__.py": fails, "lab_b/sets/products/b.py": fails}, entry="lab_b.sets")
    found = catalog.look(Settings())
    assert own(found.definitions) == ["products/a", "products/b"]
    assert not found.problems


def test_a_package_in_a_namespace_is_found(install, csv, tmp_path):
    install("lab_a", {"nslab/ads/products/a.py": definition("products/a", csv)}, entry="nslab.ads")
    install("lab_b", {"nslab/speech/products/b.py": definition("products/b", csv)}, entry="nslab.speech")
    assert not (tmp_path / "site" / "nslab" / "__init__.py").exists()
    found = catalog.definitions(Settings())
    assert {name: found[name].origin for name in own(found)} == {"products/a": "lab_a", "products/b": "lab_b"}


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("gone_datasets", "there is no such package"),
        ("json.decoder", "it is a module, wanted a package with a folder"),
        ("lab_bad.missing", "RuntimeError: no licence"),
        ("lab_end.missing", "SystemExit: 3"),
        ("../up", "that is no package's name"),
    ],
)
def test_an_entry_point_that_fails_is_told_and_the_others_work(install, csv, entry, reason):
    install("lab_a", {"lab_a/products/a.py": definition("products/a", csv)})
    fails = {"lab_bad/__init__.py": "raise RuntimeError('no licence')", "lab_end/__init__.py": "raise SystemExit(3)"}
    install("lab_bad", fails, entry=entry)
    told = f"entry point 'lab_bad' of lab_bad: {entry!r} can't be imported ({reason}). Install lab_bad again"
    assert told in run("list").output
    rows = json.loads(run("list", "--json").stdout)
    assert [row["name"] for row in rows if row["name"] not in BUILT_IN] == ["products/a", None]
    assert rows[-1]["where"] == "entry point 'lab_bad' of lab_bad"
    assert told in rows[-1]["problem"]
    assert catalog.find("products/a", Settings()).version == "1.0.0"


def test_a_file_with_a_bad_name_is_told_and_the_others_work(tmp_path, csv, monkeypatch):
    folder = tmp_path / "definitions"
    (folder / "products").mkdir(parents=True)
    (folder / "products" / "a.py").write_text(definition("products/a", csv))
    (folder / "products" / "My-Data.py").write_text("")
    monkeypatch.setenv("AILAB_DATASETS", str(folder))
    done = run("list", "--json")
    assert done.exit_code == 0
    rows = json.loads(done.stdout)
    assert [row["name"] for row in rows if row["name"] not in BUILT_IN] == ["products/a", None]
    assert "My-Data.py: 'products/My-Data' can't be a dataset's name" in rows[-1]["problem"]
    assert "begin the name with _" in rows[-1]["problem"]


@pytest.mark.parametrize(
    "text", ["import sys\nsys.exit('bye')", "1 +", "import no_such_module", "dataset = 1", "\udcff"]
)
def test_a_definition_that_fails_is_told_and_the_others_work(install, csv, text):
    place = install("lab_a", {"lab_a/a.py": definition("a", csv)})
    (place / "b.py").write_bytes(text.encode(errors="surrogateescape"))
    rows = {row["name"]: row for row in json.loads(run("list", "--json").stdout)}
    assert str(place / "b.py") in rows["b"]["problem"]
    assert rows["a"]["problem"] is None


def test_a_name_of_two_packages_is_an_error_that_names_both(install, csv, data_dir):
    clash = {"products/a.py": definition("products/a", csv)}
    first = install("lab_a", {f"lab_a/{path}": text for path, text in clash.items()})
    second = install("lab_b", {f"lab_b/{path}": text for path, text in clash.items()})
    with pytest.raises(InvalidDefinition) as error:
        prepare("products/a", data_dir=data_dir)
    for place, name in ((first, "lab_a"), (second, "lab_b")):
        assert f"{name} ({place}/products/a.py)" in str(error.value)
    assert run("describe", "products/a").exit_code == 2


def test_a_clash_leaves_the_other_names(install, csv, data_dir):
    install("lab_a", {"lab_a/a.py": definition("a", csv), "lab_a/b.py": definition("b", csv)})
    install("lab_b", {"lab_b/a.py": definition("a", csv), "lab_b/c.py": definition("c", csv)})
    rows = {row["name"]: row for row in json.loads(run("list", "--json").stdout)}
    assert "is defined by lab_a (" in rows["a"]["problem"]
    assert rows["b"]["problem"] is rows["c"]["problem"] is None
    assert prepare("b", data_dir=data_dir, runner="inline", formats=("parquet",)).rows == {"train": 2}


def test_one_file_that_is_reached_on_two_ways_is_no_clash(install, csv, tmp_path):
    package = install("lab_a", {"lab_a/a.py": definition("a", csv)})
    (tmp_path / "link").symlink_to(package)
    found = catalog.definitions(Settings(datasets=(str(package), str(tmp_path / "link"))))
    assert not found["a"].rivals
    assert found["a"].origin == "lab_a"


def test_modules_and_folders_that_begin_with_an_underscore_or_a_dot_define_nothing(install, csv):
    hidden = ("_cleaning.py", "_lib/a.py", ".ipynb_checkpoints/a.py", "products/__init__.py")
    install("lab_a", {f"lab_a/{path}": "" for path in hidden} | {"lab_a/a.py": definition("a", csv)})
    assert own(catalog.definitions(Settings())) == ["a"]
    assert not catalog.look(Settings()).problems


def test_a_name_that_is_not_found_may_be_what_could_not_be_seen(install):
    install("lab_bad", {}, entry="gone_datasets")
    with pytest.raises(UnknownName, match=r"no dataset 'products/a'.*Not seen: entry point 'lab_bad'"):
        catalog.find("products/a", Settings())
    with pytest.raises(UnknownName, match="Not seen: entry point 'lab_bad'"):
        load("products/a", data_dir="nowhere")


def test_it_is_told_which_package_a_dataset_comes_from(install, csv, data_dir):
    install("lab_a", {"lab_a/products/a.py": definition("products/a", csv)})
    for _ in range(2):  # the second time it is there already
        report = prepare("products/a", data_dir=data_dir, runner="inline", formats=("parquet",))
        assert report.package == "lab_a 2.1"
        assert "(defined in lab_a 2.1)" in str(report)
    assert open_prepared(storage_folder(data_dir), "products/a").manifest.provenance["package"] == "lab_a 2.1"
    load("products/a", data_dir=data_dir, backend="arrow")
    assert last_report().package == "lab_a 2.1"
    told = json.loads(run("describe", "products/a", "--data-dir", data_dir, "--json").stdout)
    assert told["defined"]["package"] == told["prepared"][0]["package"] == "lab_a 2.1"
    assert "package      lab_a 2.1" in run("describe", "products/a", "--data-dir", data_dir).output


def test_a_package_that_is_installed_meanwhile_is_seen(install, csv):
    assert not own(catalog.definitions(Settings()))
    install("lab_a", {"lab_a/a.py": definition("a", csv)})
    assert own(catalog.definitions(Settings())) == ["a"]


def test_a_definition_that_changed_is_run_again_in_the_same_process(tmp_path, data_dir, csv, monkeypatch):
    folder = tmp_path / "definitions"
    folder.mkdir()
    monkeypatch.setenv("AILAB_DATASETS", str(folder))
    text = definition("a", csv, 'def read(source):\n    yield {"x": 1}\n').replace("splits=", "read=read, splits=")
    found = []
    for version, value in (("1.0.0", "1"), ("1.0.1", "2")):
        changed = text.replace('version="1.0.0"', f'version="{version}"').replace('{"x": 1}', f'{{"x": {value}}}')
        (folder / "a.py").write_text(changed)
        prepare("a", data_dir=data_dir, runner="threads", formats=("parquet",))
        found += load(f"a:{version}", data_dir=data_dir, backend="arrow")["x"].to_pylist()
    assert found == [1, 2]


def test_a_definition_that_another_thread_is_running_is_waited_for(tmp_path):
    path = tmp_path / "slow.py"
    path.write_text("import time\ntime.sleep(0.2)\ndone = True\n")
    with ThreadPoolExecutor(4) as pool:
        assert all(getattr(module, "done", False) for module in pool.map(run_file, [path] * 4))


def test_definitions_whose_paths_read_alike_are_two(install, csv):
    install("lab_a", {"lab_a/a/b_c.py": definition("a/b_c", csv), "lab_a/a_b/c.py": definition("a_b/c", csv)})
    assert [catalog.find(name, Settings()).name for name in ("a/b_c", "a_b/c")] == ["a/b_c", "a_b/c"]


def test_a_repository_is_whole(tmp_path):
    made = new_package("mylab_datasets", tmp_path / "repository")
    assert made.datasets == (
        "image_classification/mylab/shapes",
        "products/mylab/clicks",
        "text_generation/mylab/notes",
    )
    assert set(made.files) == {str(p.relative_to(made.folder)) for p in made.folder.rglob("*") if p.is_file()}
    project = tomllib.loads((made.folder / "pyproject.toml").read_text())["project"]
    assert project["entry-points"][catalog.ENTRY_POINTS] == {"mylab_datasets": "mylab_datasets"}
    assert "jobs" in yaml.safe_load((made.folder / ".github/workflows/test.yml").read_text())
    assert os.access(made.folder / "ci.sh", os.X_OK)
    subprocess.run(["bash", "-n", made.folder / "ci.sh"], check=True)
    assert not [
        name for name in made.files if "{{" in (made.folder / name).read_text(errors="replace") and ".yml" not in name
    ]


def test_what_is_written_passes_the_linter(tmp_path):
    ruff = shutil.which("ruff", path=os.path.dirname(sys.executable)) or pytest.skip("ruff is not installed")
    made = new_package("mylab_datasets", tmp_path / "repository")
    subprocess.run([ruff, "check", "--no-cache", made.folder], check=True)
    subprocess.run([ruff, "format", "--check", "--no-cache", made.folder], check=True)


def test_two_new_packages_have_no_name_in_common(tmp_path):
    first, second = (new_package(name, tmp_path / name) for name in ("ads_datasets", "speech_datasets"))
    assert not set(first.datasets) & set(second.datasets)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("my-lab", "'my-lab' can't be a package's name.*Take 'my_lab'"),
        ("3d", "'3d' can't be a package's name"),
        ("", "'' can't be a package's name"),
        ("../up", r"'\.\./up' can't be a package's name.*Take 'up'"),
        ("json", "'json' is a name of Python's own. Take another, such as 'json_datasets'"),
        ("class", "'class' is a name of Python's own"),
        ("pyarrow", "'pyarrow' is installed already"),
    ],
)
def test_a_name_that_cannot_be_a_package_is_refused(name, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidRequest, match=sentence):
        new_package(name)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_something_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InvalidRequest, match=r"holds notes\.txt, wanted no such folder, or an empty one"):
        new_package("mylab_datasets", tmp_path)
    with pytest.raises(InvalidRequest, match="is a file"):
        new_package("mylab_datasets", tmp_path / "notes.txt")
    with pytest.raises(StorageFailed, match="can't be written"):
        new_package("mylab_datasets", tmp_path / "notes.txt" / "below")


def test_a_fresh_clone_of_an_empty_repository_is_empty_enough(tmp_path):
    (tmp_path / ".git").mkdir()
    assert new_package("mylab_datasets", tmp_path).folder == tmp_path


def test_the_command_says_what_comes_next(tmp_path):
    done = run("new-package", "mylab_datasets", "--folder", tmp_path / "made")
    assert done.exit_code == 0
    assert "pip install -e '.[dev]'" in done.output
    told = json.loads(run("new-package", "mylab_datasets", "--folder", tmp_path / "other", "--json").stdout)
    assert told["datasets"][1] == "products/mylab/clicks"
    assert run("new-package", "mylab_datasets", "--folder", tmp_path / "made").exit_code == 2


@pytest.mark.slow
def test_pip_installs_it_from_git_and_its_own_tests_are_green(tmp_path):
    pytest.importorskip("hatchling")
    pytest.importorskip("pip")
    made = new_package("mylab_datasets", tmp_path / "repository")
    git = ["git", "-c", "user.name=lab", "-c", "user.email=lab@example.org", "-C", str(made.folder)]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "First version"]):
        subprocess.run([*git, *arguments], check=True)
    site = tmp_path / "site"
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    source = f"git+file://{made.folder}"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", *offline, "--target", site, source], check=True)
    assert (site / "mylab_datasets/products/mylab/clicks.csv").exists()
    assert (site / "mylab_datasets/image_classification/mylab/shapes/cross_0.png").exists()
    root = Path(catalog.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{root}", "AILAB_DATA_DIR": str(tmp_path / "data")}
    listed = [sys.executable, "-m", "ailab_dataproc", "list", "--json"]
    done = subprocess.run(listed, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert {rows[name]["package"] for name in made.datasets} == {"mylab_datasets 0.1.0"}
    quick = "not tf and not torch"  # to import them takes longer than all else
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", quick]
    done = subprocess.run(tests, env=environment, cwd=made.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "failed" not in done.stdout


def test_settings_that_name_no_folder_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("AILAB_DATASETS", str(tmp_path / "nowhere"))
    with pytest.raises(InvalidDefinition, match="is no folder, but the settings name it"):
        catalog.definitions(load_settings())
