"""The README is run as a reader would run it, and its tables are those of the code and of the measurements."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from lab import lab

from ailab_dataproc.bridge.features import FEATURES
from ailab_dataproc.schema import CONTRACTS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
_NAMES = ["catalog", "clusters", "datasets", "jobs", "mlflow", "models", "pipelines", "tfds", "tracking", "versions"]
_DOCS = tuple(f"docs/{name}.md" for name in _NAMES)
_RUN = ("README.md", "docs/datasets.md", "docs/tfds.md", "docs/catalog.md", "docs/pipelines.md")  # in this order
_PAGES = ("README.md", "benchmarks/README.md", *_DOCS)
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in _PAGES}
_TEXT = "\n".join(PAGES[name] for name in _RUN)
TABLES = PAGES["benchmarks/README.md"]
MEASURED = README + TABLES
BASKETS = '{"id": 1, "items": [3, 4], "prices": [10.0, 2.5]}\n{"id": 2, "items": [], "prices": []}\n'


def blocks(marker: str) -> list[tuple[str, str, str]]:
    """The code blocks behind a comment such as ``<!-- run -->``: argument, language, text."""
    return re.findall(rf"<!-- {marker}(?:: ([^>]*?))? -->\n+```(\w+)\n(.*?)```", _TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A reader's folder, with the README's files in it."""
    folder = tmp_path_factory.mktemp("reader")
    for name, _, text in blocks("file"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "baskets-1.jsonl").write_text(BASKETS)
    return folder


def run(folder: Path, command: list[str], **given: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the reader's folder with the settings that the README exports, and those that are given."""
    settings = {"AILAB_DATASETS": "my_datasets", "AILAB_DATA_DIR": "data", "HOME": str(folder)} | given
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **settings, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def test_the_five_minute_path_works_from_the_csv_file_to_tfds(reader):
    assert run_all(reader, "run") >= 6


@pytest.mark.slow
def test_the_path_from_a_notebook_to_the_shared_cluster_works(reader, tmp_path):
    (tmp_path / "lab").mkdir()
    (tmp_path / "home").mkdir()
    with lab(tmp_path / "lab", workers=1) as cluster:
        ran = run_all(reader, "cluster", AILAB_CLUSTER=cluster.address, HOME=str(tmp_path / "home"))
    assert ran >= 9


def run_all(folder: Path, marker: str, **given: str) -> int:
    """Run all blocks behind a marker, one after the other; returns how many commands that were."""
    ran = 0
    for _, language, text in blocks(marker):
        if language == "console":
            for line in re.findall(r"^\$ (ailab-dataproc .*)$", text, re.MULTILINE):
                run(folder, line.split(), **given)
                ran += 1
        else:
            run(folder, [sys.executable, "-c", "import ailab_dataproc as adp\n" + text], **given)
            ran += 1
    return ran


def test_the_definition_with_a_read_function_prepares(reader):
    run(reader, ["ailab-dataproc", "prepare", "products/shop/baskets"])
    shown = run(reader, ["ailab-dataproc", "head", "products/shop/baskets", "--json"])
    rows = json.loads(shown.stdout)["rows"]
    assert [row["total"] for row in rows] == [12.5, 0.0]


def test_the_table_of_types_is_the_contract_of_the_code():
    for one in CONTRACTS:
        cells = (one.arrow, one.numpy, one.pandas, one.pandas_numpy, one.polars, one.cudf, one.tf, one.torch)
        assert f"| {' | '.join(cells)} |" in README


@pytest.mark.parametrize(
    "suite", ["prepare", "batches", "cpu", "workers", "checks", "plan", "memory", "dtypes", "transform", "load"]
)
def test_the_tables_of_a_benchmark_are_made_from_its_results(suite):
    shown = run(ROOT, [sys.executable, f"benchmarks/{suite}.py", "--show"]).stdout
    lines = [line for line in shown.splitlines() if line.startswith("|")]
    assert lines
    assert [line for line in lines if line not in MEASURED] == []


def test_the_table_of_tfds_features_is_that_of_the_bridge():
    for one in FEATURES:
        assert f"| {one.feature} | {one.arrow} | {one.note} |" in PAGES["docs/tfds.md"]


def test_the_files_of_results_that_the_tables_name_are_there():
    named = set(re.findall(r"results/(\w+)\.jsonl", TABLES))
    assert len(named) > 5
    for one in named:
        assert (ROOT / f"benchmarks/results/{one}.jsonl").exists(), one


def test_the_headline_numbers_of_the_readme_stand_in_the_tables_too():
    for line in re.findall(r"^\| .* \| `benchmarks/results/\w+\.jsonl` \|$", README, re.MULTILINE):
        for number in re.findall(r"[\d,]+(?:\.\d+)? (?:k|s)\b", line):
            assert number in TABLES, line


def test_the_machine_of_the_measurements_is_named():
    first = (ROOT / "benchmarks/results/prepare.jsonl").read_text().splitlines()[0]
    assert json.loads(first)["machine"]["cpu"] in MEASURED


def test_every_command_that_the_readme_and_the_docs_name_exists():
    named = set(re.findall(r"ailab-dataproc ([a-z]+)", "\n".join(PAGES.values())))
    help_text = run(ROOT, [sys.executable, "-m", "ailab_dataproc", "--help"]).stdout
    assert named
    for name in named:
        assert re.search(rf"^  {name}\b", help_text, re.MULTILINE), name


@pytest.mark.parametrize("page", PAGES)
def test_every_link_between_pages_leads_somewhere(page):
    for link in re.findall(r"\]\((?!https?://)([^)]+)\)", PAGES[page]):
        name, _, heading = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.exists(), link
        slugs = [re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in headings(target)]
        assert not heading or heading in slugs, link


def headings(page):
    return [line for line in page.read_text(encoding="utf-8").splitlines() if re.match("#+ ", line)]
