"""`ailab-dataproc check`: a strict colleague's look at a definition."""

from __future__ import annotations

import click

from ailab_dataproc.commands.options import data_dir_option, json_option, name_argument, quiet_stdout, settings_of
from ailab_dataproc.commands.preparing import parse_sources

_FOUND = 1  # the exit code where an error was found


@click.command()
@name_argument
@click.option("--source", "sources", multiple=True, metavar="SPLIT=PATH", help="Read this instead; may be repeated.")
@data_dir_option
@json_option
@click.pass_context
def check(ctx: click.Context, name: str, sources: tuple[str, ...], data_dir: str | None, as_json: bool) -> None:
    """Review a definition as a strict colleague would. Exit code 1 where there is an error.

    Looked for are words that are missing, places marked TODO, columns that look like personal data and don't say so, a
    version without a release note, rows that don't fit. The first rows of each split are read twice, in fresh
    processes, and compared.

    \b
    Example: ailab-dataproc check products/product_b/impressions
    """
    given = parse_sources(sources)
    with quiet_stdout(as_json):
        from ailab_dataproc import tables
        from ailab_dataproc.reviewing.review import review

        found = review(name, settings_of(data_dir), given)
    if as_json:
        tables.print_json(found.to_dict())
    else:
        tables.findings(found.to_dict()["findings"])
        click.echo(str(found))
    ctx.exit(_FOUND if found.errors else 0)
