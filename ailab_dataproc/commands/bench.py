"""`ailab-dataproc bench`: run the benchmarks, calibrate "auto", compare two runs, and make a page of the results."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

_PACKAGE = Path(__file__).parents[1]
_BAD_INPUT, _LACKING, _INTERRUPTED = 2, 3, 130  # exit codes; lacking: the machine has no GPU, for example
_RESULTS = "bench_results"
_ALL_BUT = ("auto",)  # it takes half an hour, and asks a calibration
_WORKERS = "workers"  # the suite that takes an address
_MODULES = ("psutil", "matplotlib", "jinja2")


@click.group()
def bench() -> None:
    """Measure this machine: every way beside its peers, in fresh processes that take turns.

    \b
    See what there is:    ailab-dataproc bench list
    Measure:              ailab-dataproc bench run load imports --scale small
    Let "auto" know:      ailab-dataproc bench calibrate
    Look at it:           ailab-dataproc bench report bench_results -o report.html
    Has it become slower? ailab-dataproc bench compare before/ bench_results/
    """


@bench.command("list")
def list_() -> None:
    """List the suites, each with what it measures."""
    for name, about in suites().items():
        click.echo(f"{name:12} {about}")


@bench.command()
@click.argument("names", nargs=-1, required=True, metavar="SUITE…|all")
@click.option("--scale", type=click.Choice(["small", "medium", "large"]), default="medium", show_default=True)
@click.option("--rows", metavar="N", help="In place of the scale's.")
@click.option("--rounds", type=click.IntRange(min=1), metavar="N", help="Times that each way is measured.")
@click.option("--output", metavar="FOLDER", default=_RESULTS, show_default=True, help="Gets SUITE.jsonl of each.")
@click.option("--folder", metavar="FOLDER", help="Where data is made, and kept for the next run; else temporary.")
@click.option("--only", metavar="TEXT", help="Only cases and ways whose name has this in it.")
@click.option("--address", metavar="TCP", help="Of a Dask scheduler, for 'workers'; --folder must be one it sees.")
@click.pass_context
def run(ctx: click.Context, /, names: tuple[str, ...], output: str, address: str | None, **options: Any) -> None:
    """Measure suites, one after the other. What was measured before Ctrl-C is kept.

    Exit code 1 where something that was measured failed, or returned a wrong answer. 'all' leaves out what this
    machine can't run, such as the suite of GPUs without one, and 'auto', which takes long. Nothing of it changes what
    backend="auto" takes: that is `bench calibrate`.

    \b
    Examples: ailab-dataproc bench run all --scale small --rounds 3
              ailab-dataproc bench run workers --address tcp://head:8786 --folder /shared/bench
    """
    known = suites()
    chosen = _chosen(names, known)
    if address and not ({_WORKERS, "all"} & set(names) and options["folder"]):
        raise click.UsageError("--address is for the suite 'workers', with a --folder that the workers see, too.")
    _require()
    given = [text for key, value in options.items() if value is not None for text in (f"--{key}", str(value))]
    worst = 0
    for name in chosen:
        click.echo(f"== {name}: {known[name]}", err=True)
        where = ["--address", address] if address and name == _WORKERS else []
        code = _script(name, [*given, *where, "--output", str(Path(output) / f"{name}.jsonl")])
        if code == _INTERRUPTED:
            ctx.exit(code)
        if code == _LACKING:
            code = 0 if "all" in names else _BAD_INPUT
        worst = max(worst, code)
    ctx.exit(worst)


@bench.command()
@click.option("--scale", type=click.Choice(["small", "medium", "large"]), default="medium", show_default=True)
@click.option("--rows", metavar="N", help="Of the largest size, in place of the scale's.")
@click.option("--rounds", type=click.IntRange(min=1), metavar="N", help="Times that each size is measured.")
@click.option("--file", metavar="FILE", help="Gets the calibration; default: as the settings say.")
@click.option("--output", metavar="FOLDER", default=_RESULTS, show_default=True, help="Gets calibrate.jsonl.")
@click.option("--folder", metavar="FOLDER", help="Where data is made, and kept for the next run; else temporary.")
@click.pass_context
def calibrate(ctx: click.Context, /, output: str, **options: Any) -> None:
    """Measure what loads cost here with each backend, so that backend="auto" takes the fastest. Takes some minutes.

    Says from which sizes on "auto" takes what. Do it again when the machine or its libraries have changed.

    \b
    Example: ailab-dataproc bench calibrate --scale small
    """
    _require()
    given = [text for key, value in options.items() if value is not None for text in (f"--{key}", str(value))]
    code = _script("calibrate", [*given, "--save", "--output", str(Path(output) / "calibrate.jsonl")])
    ctx.exit(code)


@bench.command()
@click.argument("before")
@click.argument("after")
@click.option("--threshold", default="5%", show_default=True, help="Smaller differences are never named.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for scripts.")
@click.pass_context
def compare(ctx: click.Context, before: str, after: str, threshold: str, as_json: bool) -> None:
    """Compare two files or folders of results. Exit code 1 where something has become worse beyond the noise.

    \b
    Example: ailab-dataproc bench compare results-1.0/ bench_results/ --threshold 10%
    """
    ctx.exit(_script("compare", [before, after, "--threshold", threshold, *(["--json"] if as_json else [])]))


@bench.command()
@click.argument("results", nargs=-1, metavar="[RESULTS]…")
@click.option("-o", "--output", default="report.html", show_default=True, metavar="FILE")
@click.option("--baseline", metavar="RESULTS", help="Results of an earlier run, which these are compared with.")
@click.option("--png", metavar="FOLDER", help="Write the pictures there, too.")
@click.pass_context
def report(ctx: click.Context, results: tuple[str, ...], output: str, baseline: str | None, png: str | None) -> None:
    """Make one HTML page, which needs nothing else, of files and folders of results.

    \b
    Example: ailab-dataproc bench report bench_results -o report.html --baseline results-1.0/
    """
    _require()
    given = [*(results or (_RESULTS,)), "--output", output]
    given += ["--baseline", baseline] if baseline else []
    ctx.exit(_script("report", [*given, *(["--png", png] if png else [])]))


def folder() -> Path:
    """Where the scripts lie: in an installed package, or in a checkout beside it."""
    installed = _PACKAGE / "benchmarks"
    return installed if installed.is_dir() else _PACKAGE.parent / "benchmarks"


def suites() -> dict[str, str]:
    """The scripts that define a `SUITE`, each with the first line of its docstring."""
    found = {}
    for file in sorted(folder().glob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SUITE" for node in tree.body):
            found[file.stem] = (ast.get_docstring(tree) or "").split("\n", maxsplit=1)[0]
    return found


def _chosen(names: Sequence[str], known: Mapping[str, str]) -> list[str]:
    """The suites that were named, each once; of 'all', what it stands for."""
    from ailab_dataproc.errors import unknown

    for name in names:
        if name not in known and name != "all":
            raise unknown("suite", name, [*known, "all"])
    meant = [[one for one in known if one not in _ALL_BUT] if name == "all" else [name] for name in names]
    return list(dict.fromkeys(one for each in meant for one in each))


def _require() -> None:
    from ailab_dataproc.errors import require

    for module in _MODULES:
        require(module, "bench")


def _script(name: str, arguments: Sequence[str]) -> int:
    """Run a script, and return its exit code; Ctrl-C comes to it too, and it says what is kept."""
    with subprocess.Popen([sys.executable, str(folder() / f"{name}.py"), *arguments]) as running:
        while True:
            try:
                return running.wait()
            except KeyboardInterrupt:
                continue
