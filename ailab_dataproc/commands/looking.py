"""`ailab-dataproc list`, `describe`, `head` and `plan`: what there is, and what a load would do."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from ailab_dataproc.commands.options import (
    amount,
    data_dir_option,
    json_option,
    name_argument,
    quiet_stdout,
    read_filters,
    selecting,
    settings_of,
    split_names,
)


@click.command("list")
@data_dir_option
@json_option
def list_(data_dir: str | None, as_json: bool) -> None:
    """List the datasets that are defined or prepared, and what keeps definitions from being seen.

    \b
    Example: ailab-dataproc list --json | jq -r '.[].name // empty'
    """
    with quiet_stdout(as_json):
        from ailab_dataproc import tables
        from ailab_dataproc.describing import list_datasets, list_problems

        settings = settings_of(data_dir)
        found, problems = list_datasets(settings), list_problems(settings)
    if as_json:
        tables.print_json([*found, *problems])
    else:
        tables.datasets(found, problems, settings.data_dir)


@click.command()
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


@click.command()
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


@click.command()
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
