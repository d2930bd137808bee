"""`ailab-dataproc diff`: what has changed between two prepared versions. Reads no rows."""

from __future__ import annotations

import click

from ailab_dataproc.commands.options import data_dir_option, json_option, name_argument, quiet_stdout, split_names


@click.command()
@name_argument
@click.argument("old", required=False)
@click.argument("new", required=False)
@click.option("--columns", metavar="A,B", help="Only these columns.")
@data_dir_option
@json_option
def diff(name: str, old: str | None, new: str | None, columns: str | None, data_dir: str | None, as_json: bool) -> None:
    """Compare two versions: schema, rows, sources, and how far each column has moved.

    OLD and NEW are versions or patterns; by default the two newest.

    \b
    Example: ailab-dataproc diff products/ad_log/impressions 1.0.0 1.1.0
    """
    with quiet_stdout(as_json):
        from ailab_dataproc import tables
        from ailab_dataproc.comparing import diff as diff_
        from ailab_dataproc.comparing_page import comparison

        found = diff_(name, old, new, columns=split_names(columns), data_dir=data_dir)
    if as_json:
        tables.print_json(found.to_dict())
    else:
        comparison(found, every=columns is not None)
