"""The rooms of the house: a lower layer never imports a higher one, and importing the package is quick."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ailab_dataproc

ROOT = Path(ailab_dataproc.__file__).parent
# From the ground up; a module may import its own layer and those below.
LAYERS = (
    ("errors", "definition", "functions", "notebook", "tokens", "wording", "drawing"),
    ("settings", "configuration", "storage"),
    ("machine",),
    ("urls", "cache", "splitting", "download", "cluster"),
    ("progressing",),
    ("gpus",),
    ("columns", "dataset", "schema", "sizing", "literals", "filters", "checks", "fitting"),
    ("references", "notices", "lineage"),
    ("manifest", "checked", "splits", "sampling", "guarantees", "pruning", "edge_cases", "calibration"),
    ("backends", "batching", "decoding", "images", "report"),
    ("selecting",),
    ("choosing",),
    ("planning", "loaded"),
    ("preparation", "catalog"),
    ("testing", "loading", "preparing", "recount", "verify", "leftovers", "describing", "statistics"),
    ("retention", "deprecating", "comparing", "packaging", "croissant"),
    ("deriving", "serving", "bridge"),
    ("transforming", "mapping"),
    ("adding",),
    ("importing",),
    ("reviewing",),
    ("jobs",),
    ("experiment",),
    ("models",),
    ("tables", "program"),
    ("statistics_page",),
    ("comparing_page",),
    ("site",),
    ("commands",),
    ("cli", "demo", "__main__"),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
MODULES = sorted(path for path in ROOT.rglob("*.py") if "datasets" not in path.relative_to(ROOT).parts)
HEAVY = (
    "pyarrow",
    "pandas",
    "dask",
    "distributed",
    "apache_beam",
    "tensorflow",
    "tensorflow_datasets",
    "cudf",
    "numpy",
    "torch",
    "PIL",
    "jinja2",
)


def room(path: Path) -> str:
    """The module or package right below ailab_dataproc."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The rooms that a file imports, also inside functions, but not for type checkers alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    checked = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    ]
    skipped = {inner for node in checked for inner in ast.walk(node)}
    found = set()
    for node in set(ast.walk(tree)) - skipped:
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute"
            if node.module == "ailab_dataproc":
                found |= {alias.name for alias in node.names}
            elif (node.module or "").startswith("ailab_dataproc."):
                found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("ailab_dataproc.")}
    return found


@pytest.mark.parametrize("path", [p for p in MODULES if room(p) != "__init__"], ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_imports_nothing_above_it(path):
    assert room(path) in LEVEL, f"{room(path)} has no layer: add it to LAYERS"
    above = {name for name in imported(path) if LEVEL.get(name, 0) > LEVEL[room(path)]}
    assert not above


def test_definitions_import_public_names_only():
    for path in (ROOT / "datasets").rglob("*.py"):
        assert imported(path) <= {
            "columns",
            "dataset",
            "errors",
            "Dataset",
            "Download",
            "column",
            "Source",
            "checks",
        }, path


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_says_what_it_is_for(path):
    if path.name == "__init__.py" and not path.read_text().strip():
        return
    first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]
    assert first
    assert len(first) <= 120


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_is_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def test_importing_the_package_loads_nothing_heavy():
    code = f"import sys, ailab_dataproc; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_can_be_imported():
    for name in ailab_dataproc.__all__:
        assert getattr(ailab_dataproc, name)
