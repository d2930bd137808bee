"""`ailab-dataproc transform`: a preprocessing_fn of tf.Transform over a prepared dataset."""

from __future__ import annotations

import sys
from typing import Any

import click

from ailab_dataproc.commands.options import (
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


@click.command()
@name_argument
@click.argument("function", metavar="MODULE:FUNCTION")
@click.option("--name", "new", required=True, metavar="NAME", help="Of the dataset that is made.")
@click.option("--version", required=True, metavar="1.0.0", help="Of the dataset that is made.")
@selecting("all")
@click.option("--analyze", metavar="SPLIT", help="The rows that statistics are made of; by default those of train.")
@click.option("--public", metavar="A,B", help="Outputs that hold no personal data although the function uses such.")
@click.option("--runner", default="threads", show_default=True, help="threads, processes, inline, dask, flink, …")
@click.option("--workers", type=int, metavar="N", help="How many; by default one a core.")
@click.option("--cluster", metavar="ADDRESS|NAME", help="For dask: tls://host:8786, or a name; by default the setting.")
@click.option("--beam-option", "beam_options", multiple=True, metavar="KEY=VALUE", help="For Beam; may be repeated.")
@click.option("--formats", default="parquet,tfrecord", show_default=True, help="'parquet' alone is faster.")
@data_dir_option
@json_option
def transform(
    name: str, function: str, columns: str | None, filters: tuple[str, ...], as_json: bool, **options: Any
) -> None:
    """Make a dataset of another one by a preprocessing_fn of tf.Transform.

    MODULE:FUNCTION is imported from here, or is FILE.py:FUNCTION.

    \b
    Example: ailab-dataproc transform products/ad_log/impressions features:preprocessing_fn \\
               --name products/ad_log/features --version 1.0.0
    """
    public, formats = split_names(options.pop("public")) or (), split_names(options.pop("formats")) or ()
    beam = key_values(options.pop("beam_options"), "--beam-option")
    with quiet_stdout(as_json):
        from ailab_dataproc import functions, tables
        from ailab_dataproc.transforming import transform as transform_

        asked = read_filters(name, filters, settings_of(options["data_dir"]))
        report = transform_(
            name,
            functions.find(function),
            name=options.pop("new"),
            columns=split_names(columns),
            filters=asked,
            public=public,
            formats=formats,
            beam_options=beam,
            progress=sys.stderr.isatty() and not as_json,
            **options,
        )
    if as_json:
        tables.print_json(report.to_dict())
    else:
        click.echo(str(report))
