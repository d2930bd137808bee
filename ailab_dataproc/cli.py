"""The command `ailab-dataproc`: a thin verb for each public function. Heavy libraries are imported inside commands."""

from __future__ import annotations

import logging
import os
import sys

import click
from click.shell_completion import get_completion_class

from ailab_dataproc import __version__
from ailab_dataproc.commands.bench import bench
from ailab_dataproc.commands.catalog import catalog
from ailab_dataproc.commands.check import check
from ailab_dataproc.commands.clean import clean
from ailab_dataproc.commands.cluster import cluster
from ailab_dataproc.commands.croissant import croissant
from ailab_dataproc.commands.deprecate import deprecate
from ailab_dataproc.commands.diff import diff
from ailab_dataproc.commands.importing import import_
from ailab_dataproc.commands.jobs import jobs
from ailab_dataproc.commands.looking import describe, head, list_, plan
from ailab_dataproc.commands.models import models
from ailab_dataproc.commands.new import new
from ailab_dataproc.commands.new_package import new_package
from ailab_dataproc.commands.preparing import prepare, verify
from ailab_dataproc.commands.retire import retire
from ailab_dataproc.commands.runs import runs
from ailab_dataproc.commands.stats import stats
from ailab_dataproc.commands.transform import transform
from ailab_dataproc.program import INTERRUPTED, Program

PROGRAM = "ailab-dataproc"
_VARIABLE = "_AILAB_DATAPROC_COMPLETE"


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--verbose", is_flag=True, help="Show tracebacks and what happens meanwhile.")
@click.version_option(__version__, prog_name=PROGRAM)
def cli(verbose: bool) -> None:
    """Define a dataset once, prepare it once, load it in one line on any backend.

    \b
    Start here, offline:     ailab-dataproc demo
    See what there is:       ailab-dataproc list
    Make a version of it:    ailab-dataproc prepare products/ad_log/impressions
    Look at it:              ailab-dataproc head products/ad_log/impressions

    \b
    Shell completion:        eval "$(ailab-dataproc completion bash)"
    """
    if verbose:
        logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s: %(message)s")


@cli.command()
@click.option("--rows", type=click.IntRange(min=100), default=1_000_000, show_default=True, help="Of the train split.")
@click.option("--data-dir", metavar="DIR", help="By default ./demo_data/rows-<ROWS>.")
def demo(rows: int, data_dir: str | None) -> None:
    """Prepare made-up ad impressions and load them with every backend, offline.

    \b
    Example: ailab-dataproc demo --rows 200_000
    """
    from ailab_dataproc.demo import run

    run(rows, os.path.abspath(data_dir or f"demo_data/rows-{rows}"), progress=sys.stderr.isatty())


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes commands, options and dataset names.

    \b
    bash:  echo 'eval "$(ailab-dataproc completion bash)"' >> ~/.bashrc
    zsh:   echo 'eval "$(ailab-dataproc completion zsh)"' >> ~/.zshrc
    fish:  ailab-dataproc completion fish > ~/.config/fish/completions/ailab-dataproc.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click knows no completion for {shell}.")
    click.echo(kind(cli, {}, PROGRAM, _VARIABLE).source())


for command in (
    bench,
    catalog,
    check,
    clean,
    cluster,
    croissant,
    deprecate,
    describe,
    diff,
    head,
    import_,
    jobs,
    list_,
    models,
    new,
    new_package,
    plan,
    prepare,
    retire,
    runs,
    stats,
    transform,
    verify,
):
    cli.add_command(command)


def main() -> None:
    """The console script."""
    try:
        cli(prog_name=PROGRAM, complete_var=_VARIABLE)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # threads that are at work would be waited for, or print what they leave behind
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(INTERRUPTED)
        raise
