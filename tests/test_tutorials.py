"""The tutorials are run from start to end as a reader would run them, and what they show is looked at."""

from __future__ import annotations

import base64
import contextlib
import functools
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from lab import wait_until

jupytext = pytest.importorskip("jupytext", reason="jupytext reads the tutorials")
nbclient = pytest.importorskip("nbclient", reason="nbclient runs the tutorials")
pytest.importorskip("ipykernel", reason="ipykernel runs the tutorials")

ROOT = Path(__file__).parents[1]
PAGES = {page.stem: page for page in sorted((ROOT / "examples").glob("[0-9]-*.md"))}
# What a tutorial needs to run; its first lines say so to the reader.
NEEDS = {
    "1-public-to-private": ("tensorflow", "tensorflow_datasets", "polars", "sklearn"),
    "2-csv-to-gpu": ("apache_beam", "dask"),
    "3-images": ("torch", "tensorflow", "PIL", "sklearn", "matplotlib"),
    "4-cluster-job": ("apache_beam", "distributed", "polars"),
    "5-experiment": ("mlflow", "sklearn", "matplotlib"),
    "6-which-backend": ("apache_beam", "dask", "polars", "matplotlib"),
}
# What its cells must show.
SHOWS = {
    "1-public-to-private": ["178 rows", "twice", "Did you mean 'train'", "Did you mean 'alcohol'", "personal data"],
    "2-csv-to-gpu": [
        "7 places marked TODO",
        "1 warning",
        "100,000 rows",
        "book",
        "no GPU|not installed|there is a GPU",
    ],
    "3-images": ["1,797 rows", "epoch 5: loss", "accuracy on test 0"],
    "4-cluster-job": ["with 2 workers", "by-slot", "epoch 2 of 500000", "failed with KeyError", "made from "],
    "5-experiment": [
        "train: ran, learning_rate 0.1 → 0.05",
        "features: remembered",
        "impressions:1.0.0 test",
        "'champion',",
        "model.joblib",
    ],
    "6-which-backend": ["-> pandas", "half of the free memory", "measured on this machine", "with polars"],
}
PICTURES = {"3-images": 1, "5-experiment": 1, "6-which-backend": 1}
MOST_CELLS = 13  # with code


class Ran:
    """A tutorial after its run, in a folder of its own."""

    def __init__(self, notebook, folder):
        self.folder = folder
        self.outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]

    @property
    def text(self) -> str:
        shown = [one.get("text") or one.get("data", {}).get("text/plain", "") for one in self.outputs]
        return re.sub(r"\x1b\[[\d;]*m", "", "\n".join(shown))

    @property
    def pictures(self) -> list[np.ndarray]:
        from PIL import Image

        found = [one["data"]["image/png"] for one in self.outputs if "image/png" in one.get("data", {})]
        return [np.asarray(Image.open(BytesIO(base64.b64decode(one))).convert("L")) for one in found]


def execute(notebook, folder: Path) -> Ran:
    """Run all cells in a kernel of their own, as a reader's: nothing but the folder is theirs.

    A command behind ``!`` that fails raises nothing in IPython, so each is asked for its exit code.
    """
    for cell in notebook.cells:
        if cell.cell_type == "code" and re.search(r"^\s*!", cell.source, re.MULTILINE):
            cell.source += "\nassert not globals().get('_exit_code'), f'a command ended with {_exit_code}'"
    env = {key: value for key, value in os.environ.items() if not key.startswith(("AILAB_", "MLFLOW_"))}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    env |= {"HOME": str(folder / "home"), "AILAB_DATA_DIR": str(folder / "data of the lab")}
    (folder / "home").mkdir()
    (folder / "work").mkdir()
    client = nbclient.NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(folder / "work")}}
    )
    client.execute(env=env)
    return Ran(notebook, folder)


@functools.cache
def run_once(name: str, folder: Path) -> Ran | Exception:
    """A tutorial's run, or why it failed: several tests look at it."""
    try:
        return execute(jupytext.read(PAGES[name]), folder)
    except nbclient.exceptions.CellExecutionError as error:
        return error


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: tmp_path_factory.mktemp(name) for name in PAGES}


@pytest.fixture
def ran(request, folders):
    name = request.param
    for library in NEEDS[name]:
        if find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    found = run_once(name, folders[name])
    if isinstance(found, Exception):
        pytest.fail(re.sub(r"\x1b\[[\d;]*m", "", str(found))[-6000:])
    return found


def each(names=PAGES):
    return pytest.mark.parametrize("ran", names, indirect=True)


@pytest.mark.slow
@each()
def test_a_tutorial_runs_from_start_to_end_and_writes_nothing_into_the_labs_data(ran):
    assert list((ran.folder / "work").iterdir())
    assert not (ran.folder / "data of the lab").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("ran", "wanted"), SHOWS.items(), indirect=["ran"])
def test_a_tutorial_shows_what_it_promises(ran, wanted):
    for one in wanted:
        assert re.search(one, ran.text), f"{one!r} is not in:\n{ran.text}"


@pytest.mark.slow
@pytest.mark.parametrize(("ran", "count"), PICTURES.items(), indirect=["ran"])
def test_a_tutorials_pictures_have_something_in_them(ran, count):
    assert len(ran.pictures) >= count
    for picture in ran.pictures:
        assert min(picture.shape) > 100
        assert 0.005 < (picture < 200).mean() < 0.9


def test_data_is_prepared_in_ipython_where_beam_would_import_its_interactive_runner(tmp_path):
    lines = (
        "from IPython import get_ipython; assert get_ipython() is not None",
        "import ailab_dataproc as adp",
        f"print(adp.prepare('image_classification/digits', data_dir={str(tmp_path)!r}, formats=['parquet']))",
        "import sys; assert 'apache_beam.runners.interactive' not in sys.modules",
    )
    command = [sys.executable, "-m", "IPython", "--no-banner", "-c", "\n".join(lines)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1,797 rows" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["1 / 0", "assert 1 == 2", "!false", "print('x')\n!exit 3"])
def test_a_tutorial_whose_cell_fails_fails(cell, tmp_path):
    notebook = jupytext.reads(f"# Title\n\n```python\n{cell}\n```\n", fmt="md")
    with pytest.raises(nbclient.exceptions.CellExecutionError):
        execute(notebook, tmp_path)


@pytest.mark.slow
def test_the_cluster_of_a_tutorial_ends_with_it_also_when_a_cell_fails(tmp_path):
    pytest.importorskip("distributed")
    psutil = pytest.importorskip("psutil")
    notebook = jupytext.read(PAGES["4-cluster-job"])
    start = next(index for index, cell in enumerate(notebook.cells) if "cluster up" in cell.source)
    notebook.cells = [*notebook.cells[: start + 1], *jupytext.reads("```python\n1 / 0\n```\n", fmt="md").cells]
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="ZeroDivisionError"):
        execute(notebook, tmp_path)
    assert "with 2 workers" in Ran(notebook, tmp_path).text

    def left():
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("HOME") == str(tmp_path / "home") and process.status() != "zombie":
                    found.append(process)
        return found

    try:
        wait_until(lambda: not left())
    finally:
        for process in left():
            process.kill()


@pytest.mark.parametrize("name", PAGES)
def test_a_tutorial_says_when_to_read_it_is_short_and_ends_with_what_comes_next(name):
    cells = jupytext.read(PAGES[name]).cells
    words = [cell.source for cell in cells if cell.cell_type == "markdown"]
    assert re.match(r"# .+\n\nRead this .+\n\nNeeds ", words[0], re.DOTALL)
    assert "**Next:**" in words[-1]
    assert 6 <= sum(cell.cell_type == "code" for cell in cells) <= MOST_CELLS
    assert max(len(text.split()) for text in words) < 180


@pytest.mark.parametrize("name", PAGES)
def test_a_tutorial_becomes_a_notebook_that_knows_its_kernel_by_one_command(name, tmp_path):
    made = tmp_path / f"{name}.ipynb"
    command = [sys.executable, "-m", "jupytext", "--to", "ipynb", str(PAGES[name]), "-o", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    notebook = jupytext.read(made)
    assert notebook.metadata["kernelspec"]["name"] == "python3"
    assert not any(cell.get("outputs") for cell in notebook.cells)


def test_the_table_of_tutorials_names_each_and_every_link_leads_somewhere():
    table = (ROOT / "examples/README.md").read_text(encoding="utf-8")
    for page in PAGES.values():
        assert f"]({page.name})" in table
    for page in [*PAGES.values(), ROOT / "examples/README.md"]:
        for link in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_a_tutorial_uses_only_installed_packages():
    for page in PAGES.values():
        assert not re.search(r"^\s*from \.", page.read_text(encoding="utf-8"), re.MULTILINE), page.name
