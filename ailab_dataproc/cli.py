"""The command `ailab-dataproc`: a thin verb for each public function. Heavy libraries are imported inside commands."""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import get_completion_class

from ailab_dataproc import __version__
from ailab_dataproc.commands.bench import bench
from ailab_dataproc.commands.clean import clean
from ailab_dataproc.commands.cluster import cluster
from ailab_dataproc.commands.jobs import jobs
from ailab_dataproc.commands.options import (
    amount,
    data_dir_option,
    json_option,
    key_values,
    name_argument,
    quiet_stdout,
    read_filters,
    selecting,
    settings_of,
    split_names,
)
from ailab_dataproc.commands.stats import stats
from ailab_dataproc.commands.transform import transform
from ailab_dataproc.errors import DamagedData
from ailab_dataproc.program import INTERRUPTED, Program

if TYPE_CHECKING:
    pass

PROGRAM = "ailab-dataproc"
_VARIABLE = "_AILAB_DATAPROC_COMPLETE"
_FAULTS = 1  # the exit code of verify


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


@cli.command("list")
@data_dir_option
@json_option
def list_(data_dir: str | None, as_json: bool) -> None:
    """List the datasets that are defined or prepared.

    \b
    Example: ailab-dataproc list --json | jq -r '.[].name'
    """
    with quiet_stdout(as_json):
        from ailab_dataproc import tables
        from ailab_dataproc.describing import list_datasets

        settings = settings_of(data_dir)
        found = list_datasets(settings)
    if as_json:
        tables.print_json(found)
    else:
        tables.datasets(found, settings.data_dir)


@cli.command()
@name_argument
@data_dir_option
@json_option
def describe(name: str, data_dir: str | None, as_json: bool) -> None:
    """Show columns, splits, versions and how to load a dataset.

    NAME may pin a version.

    \b
    Example: ailab-dataproc describe products/ad_log/impressions:1.0.0
    """
    with quiet_stdout(as_json):
        from ailab_dataproc import tables
        from ailab_dataproc.describing import describe as describe_

        told = describe_(name, settings_of(data_dir))
    (tables.print_json if as_json else tables.dataset)(told)


@cli.command()
@name_argument
@click.option("--source", "sources", multiple=True, metavar="SPLIT=PATH", help="Read this instead; may be repeated.")
@click.option(
    "--runner", default="threads", show_default=True, help="threads, processes, inline, dask, flink, spark, dataflow, …"
)
@click.option("--workers", type=int, metavar="N", help="How many; by default one a core.")
@click.option("--cluster", metavar="ADDRESS|NAME", help="For dask: tls://host:8786, or a name; by default the setting.")
@click.option("--beam-option", "beam_options", multiple=True, metavar="KEY=VALUE", help="For Beam; may be repeated.")
@click.option("--formats", default="parquet,tfrecord", show_default=True, help="'parquet' alone is faster.")
@data_dir_option
@json_option
def prepare(
    name: str, sources: tuple[str, ...], beam_options: tuple[str, ...], formats: str, as_json: bool, **options: Any
) -> None:
    """Make a version of a dataset. Does nothing where it is there already.

    \b
    Example: ailab-dataproc prepare products/product_a/clicks \\
               --source train='raw/2021-01-*.csv.gz' --runner processes
    """
    given = _parse_sources(sources)
    options["beam_options"] = key_values(beam_options, "--beam-option")
    with quiet_stdout(as_json):
        from ailab_dataproc import prepare as prepare_
        from ailab_dataproc import tables

        shown = sys.stderr.isatty() and not as_json
        report = prepare_(name, sources=given, formats=split_names(formats) or (), progress=shown, **options)
    if as_json:
        tables.print_json(report.to_dict())
    else:
        click.echo(str(report))


@cli.command()
@name_argument
@selecting("all")
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="Only the first so many rows.")
@click.option("--sample", metavar="N|PART", help="So many rows at random, or a part of them such as 0.01.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the sample.")
@click.option("--backend", default="auto", show_default=True, help="Such as arrow, numpy, pandas or dask.")
@click.option("--family", help="Narrow 'auto' to eager or lazy backends.")
@click.option("--nulls", default="refuse", show_default=True, help="What NumPy does with nulls: refuse or mask.")
@data_dir_option
@json_option
def plan(name: str, columns: str | None, filters: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Tell which backend a load would take, and why not the others. Reads no rows.

    \b
    Example: ailab-dataproc plan products/ad_log/impressions --split 'train[:10%]' --columns item,price \\
               --filter 'price > 3.5'
    """
    with quiet_stdout(as_json):
        from ailab_dataproc import plan as plan_
        from ailab_dataproc import tables

        asked = read_filters(name, filters, settings_of(options["data_dir"]))
        options["sample"] = amount(options["sample"])
        made = plan_(name, columns=split_names(columns), filters=asked, **options)
    if as_json:
        tables.print_json(made.to_dict())
    else:
        tables.plan(str(made))


@cli.command()
@name_argument
@selecting("all")
@click.option("-n", "count", type=click.IntRange(min=1), default=5, show_default=True, help="How many rows.")
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Rows at random, by this seed, not the first.")
@data_dir_option
@json_option
def head(name: str, columns: str | None, filters: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Show the first rows. Personal data stays hidden unless --allow-pii is given.

    \b
    Example: ailab-dataproc head products/ad_log/impressions --split test -n 3
    """
    with quiet_stdout(as_json):
        from ailab_dataproc import tables
        from ailab_dataproc.describing import first_rows

        settings = settings_of(options.pop("data_dir"))
        asked = read_filters(name, filters, settings)
        found = first_rows(name, settings, columns=split_names(columns), filters=asked, **options)
    if as_json:
        tables.print_json(dataclasses.asdict(found))
    else:
        tables.rows(found.columns, found.hidden, found.rows)


@cli.command()
@name_argument
@click.option("--quick", "check", flag_value="sizes", help="Only presence and sizes; by default every byte is read.")
@click.option("--deep", "check", flag_value="values", help="Also decode every row, and compare it with the index.")
@data_dir_option
@json_option
@click.pass_context
def verify(ctx: click.Context, name: str, check: str | None, data_dir: str | None, as_json: bool) -> None:
    """Compare a prepared version with its index. Exit code 1 where something is wrong.

    \b
    Example: ailab-dataproc verify products/ad_log/impressions:1.0.0
    """
    from ailab_dataproc import tables
    from ailab_dataproc.loading import open_known
    from ailab_dataproc.verify import verify_version

    prepared = open_known(name, settings_of(data_dir))
    faults = []
    try:
        for fault in verify_version(prepared, check=check or "bytes"):
            faults.append(dataclasses.asdict(fault))
            if not as_json:
                click.echo(f"{fault.path} {fault.what}")
    except DamagedData as error:
        faults.append({"path": "", "what": str(error)})
        if not as_json:
            click.echo(str(error))
    shards = sum(len(rows) for rows in prepared.manifest.splits.values()) * len(prepared.manifest.formats)
    if as_json:
        tables.print_json({"dataset": prepared.name, "check": check or "bytes", "files": shards, "faults": faults})
    elif faults:
        click.echo(
            f"{prepared.name}: {len(faults)} fault{'s' * (len(faults) != 1)}. Restore the files, or remove "
            f"{prepared.folder.url} and prepare it again."
        )
    else:
        well = {"sizes": "there, whole in size", "values": "as written, value by value"}.get(str(check), "as written")
        click.echo(f"{prepared.name}: {shards} shards are {well}")
    ctx.exit(_FAULTS if faults else 0)


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


cli.add_command(bench)
cli.add_command(clean)
cli.add_command(jobs)
cli.add_command(cluster)
cli.add_command(stats)
cli.add_command(transform)


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


def _parse_sources(texts: tuple[str, ...]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in texts:
        split, equals, path = text.partition("=")
        if not (split and equals and path):
            raise click.BadParameter(f"{text!r} is no SPLIT=PATH, such as train=raw/*.csv.", param_hint="--source")
        found.setdefault(split, []).append(path)
    return found
