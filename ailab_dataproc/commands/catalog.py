"""`ailab-dataproc catalog`: the datasets as web pages, for colleagues who look for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ailab_dataproc.commands.options import data_dir_option, json_option, quiet_stdout, settings_of

if TYPE_CHECKING:
    from ailab_dataproc.site.building import Built

_DEFAULT = "catalog_site"
_folder = click.option(
    "-o",
    "--output",
    "folder",
    metavar="FOLDER",
    default=_DEFAULT,
    show_default=True,
    help="The site's folder: a new or empty one, or one of an earlier build.",
)
_samples = click.option(
    "--samples/--no-samples",
    default=True,
    show_default=True,
    help="Show the first rows of the newest versions; from a bucket, a shard of each is fetched.",
)


@click.group()
def catalog() -> None:
    """Make web pages of all datasets, to search and to read.

    \b
    Example: ailab-dataproc catalog build -o site
    """


@catalog.command()
@_folder
@_samples
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Processes; by default one a core.")
@data_dir_option
@json_option
def build(folder: str, samples: bool, workers: int | None, data_dir: str | None, as_json: bool) -> None:
    """Write the catalog as static pages, for a web server or to open as files.

    Personal data is never shown. Pages of datasets that are as they were are kept.

    \b
    Example: ailab-dataproc catalog build -o site --no-samples
    """
    with quiet_stdout(as_json):
        from ailab_dataproc import tables
        from ailab_dataproc.site.building import build as build_

        made = build_(settings_of(data_dir), folder, samples=samples, workers=workers)
    if as_json:
        tables.print_json(made.to_dict())
    else:
        _tell(made)
        click.echo(f"open {made.index}")


@catalog.command()
@_folder
@_samples
@click.option("--port", type=click.IntRange(0, 65535), default=8720, show_default=True, help="0 takes a free one.")
@data_dir_option
def serve(folder: str, samples: bool, port: int, data_dir: str | None) -> None:
    """Build the catalog and serve it on this machine, until Ctrl-C. It is built again when a dataset changes.

    \b
    Example: ailab-dataproc catalog serve --port 8000
    """
    from ailab_dataproc.site.serving import serve as serve_

    serve_(settings_of(data_dir), folder, port=port, samples=samples, told=_tell, say=click.echo)


def _tell(made: Built) -> None:
    """One line, and what was wrong below."""
    facts: list[Any] = [_many(made.datasets, "dataset"), _many(made.versions, "version")]
    facts.append(f"{_many(made.written, 'page')} written in {made.seconds:.1f} s")
    click.echo(", ".join(facts))
    for name, told in made.problems:
        click.secho(f"! {name}: {told}" if name else f"! {told}", fg="red", err=True)


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
