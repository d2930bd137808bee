"""`ailab-dataproc prepare` and `verify`: make a version, and compare it with its index."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from typing import Any

import click

from ailab_dataproc.commands.options import (
    data_dir_option,
    json_option,
    key_values,
    name_argument,
    quiet_stdout,
    settings_of,
    split_names,
)
from ailab_dataproc.errors import DamagedData

_FAULTS = 1  # the exit code of verify


@click.command()
@name_argument
@click.option("--source", "sources", multiple=True, metavar="SPLIT=PATH", help="Read this instead; may be repeated.")
@click.option(
    "--runner", default="threads", show_default=True, help="threads, processes, inline, dask, flink, spark, dataflow, …"
)
@click.option("--workers", type=int, metavar="N", help="How many; by default one a core.")
@click.option("--cluster", metavar="ADDRESS|NAME", help="For dask: tls://host:8786, or a name; by default the setting.")
@click.option("--beam-option", "beam_options", multiple=True, metavar="KEY=VALUE", help="For Beam; may be repeated.")
@click.option("--formats", default="parquet,tfrecord", show_default=True, help="'parquet' alone is faster.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="A trial of the first N rows of each split.")
@data_dir_option
@json_option
def prepare(
    name: str, sources: tuple[str, ...], beam_options: tuple[str, ...], formats: str, as_json: bool, **options: Any
) -> None:
    """Make a version of a dataset. Does nothing where it is there already.

    \b
    Example: ailab-dataproc prepare products/product_a/clicks \\
               --source train='raw/2021-01-*.csv.gz' --runner processes

    With --limit the same is done with a few rows, which are never taken for the version: they lie in a data directory
    of their own, <data_dir>/.trial, until the next trial.
    """
    given = parse_sources(sources)
    options["beam_options"] = key_values(beam_options, "--beam-option")
    with quiet_stdout(as_json):
        from ailab_dataproc import prepare as prepare_
        from ailab_dataproc import tables

        shown = sys.stderr.isatty() and not as_json
        report = prepare_(name, sources=given, formats=split_names(formats) or (), progress=shown, **options)
    if as_json:
        tables.print_json(report.to_dict())
        return
    click.echo(str(report))
    if options["limit"] is not None:
        place = report.location.removesuffix("/" + report.dataset.replace(":", "/"))
        click.echo(f"A trial, not the version. Look at it: ailab-dataproc head {name} --data-dir {shlex.quote(place)}")


@click.command()
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


def parse_sources(texts: tuple[str, ...]) -> dict[str, list[str]]:
    """``SPLIT=PATH`` of a repeated --source, by split."""
    found: dict[str, list[str]] = {}
    for text in texts:
        split, equals, path = text.partition("=")
        if not (split and equals and path):
            raise click.BadParameter(f"{text!r} is no SPLIT=PATH, such as train=raw/*.csv.", param_hint="--source")
        found.setdefault(split, []).append(path)
    return found
