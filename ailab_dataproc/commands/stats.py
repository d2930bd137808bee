"""`ailab-dataproc stats`: what is in the columns of a prepared dataset. Reads no rows."""

from __future__ import annotations

import click

from ailab_dataproc.commands.options import (
    data_dir_option,
    json_option,
    name_argument,
    quiet_stdout,
    settings_of,
    split_names,
)


@click.command()
@name_argument
@click.option("--split", metavar="SPLIT", help="Only this split.")
@click.option("--columns", metavar="A,B", help="Only these columns, in this order.")
@data_dir_option
@json_option
def stats(name: str, split: str | None, columns: str | None, data_dir: str | None, as_json: bool) -> None:
    """Show counts, bounds, means, distributions and frequent values of the columns.

    They were collected while the dataset was prepared. Of personal data no value is kept.

    \b
    Example: ailab-dataproc stats products/ad_log/impressions --split train --columns price,device
    """
    with quiet_stdout(as_json):
        from ailab_dataproc import tables
        from ailab_dataproc.loading import open_known
        from ailab_dataproc.statistics import read_statistics
        from ailab_dataproc.statistics_page import statistics

        prepared = open_known(name, settings_of(data_dir))
        found = read_statistics(prepared, split=split, columns=split_names(columns))
    (tables.print_json if as_json else statistics)(found)
