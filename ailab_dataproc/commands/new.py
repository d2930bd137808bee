"""`ailab-dataproc new`: a dataset's definition, test and dummy source, from a sample or from nothing."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

import click

from ailab_dataproc.commands.options import settings_of

if TYPE_CHECKING:
    from ailab_dataproc.adding.new import Added
    from ailab_dataproc.adding.sampling import Sample


@click.command()
@click.argument("name")
@click.option("--from", "sample", metavar="PATH", help="CSV, JSON Lines or Parquet, also packed: a path, URL or glob.")
@click.option("--folder", metavar="DIR", help="Of definitions; by default the first one of the settings.")
@click.option("--owner", default="", help="The person or team to ask.")
@click.option("--description", default="", help="What one row is, and where it comes from.")
@click.option("--encoding", help="Of CSV, such as cp1252; by default it is found out.")
@click.option("--header/--no-header", default=None, help="Whether the first line of CSV names the columns.")
def new(
    name: str, sample: str | None, folder: str | None, encoding: str | None, header: bool | None, **words: str
) -> None:
    """Write a new dataset: its definition, a test, a dummy source, a line in the changelog. Nothing is overwritten.

    The columns are those of the sample; what only you can know is marked TODO in the definition.

    \b
    Example: ailab-dataproc new products/product_b/impressions --from impressions.csv.gz --folder my_datasets
    """
    from ailab_dataproc.adding.new import add, draft_of, skeleton_of
    from ailab_dataproc.adding.places import folder_for, places_of
    from ailab_dataproc.adding.sampling import infer
    from ailab_dataproc.dataset import check_name

    check_name(name)
    settings = settings_of(None)
    places = places_of(name, folder_for(folder, settings))
    found = infer(sample, encoding=encoding, header=header, options=settings.storage_options) if sample else None
    draft = draft_of(name, found, [str(sample)], **words) if found else skeleton_of(name, **words)
    added = add(draft, places, settings, found)
    if found:
        _tell_sample(found)
    _tell(added, found, settings.datasets)


def _tell_sample(found: Sample) -> None:
    click.echo(f"{found.found.name}: {found.rows:,} rows looked at, {len(found.schema)} columns")
    for note in found.found.notes:
        click.echo(f"  ! {note}")
    for old, new_name in found.renamed.items():
        click.echo(f"  ! {old!r} can't be a column's name: it is called {new_name!r}")
    for column, remark in found.remarks.items():
        click.echo(f"  ! {column}: {remark.replace('TODO: ', '')}")


def _tell(added: Added, found: Sample | None, known: tuple[str, ...]) -> None:
    places = added.places
    replaced = f", made-up values in {', '.join(found.personal)}" if found and found.personal else ""
    told = f"{added.rows} rows of the sample{replaced}" if found else f"{added.rows} made-up rows"
    click.echo("wrote")
    click.echo(f"  {_short(places.definition)}  the definition, with {added.marks} places marked TODO")
    click.echo(f"  {_short(places.test)}  its tests")
    click.echo(f"  {_short(added.dummy)}  {told}")
    click.echo(f"  {_short(places.changelog)}  a line")
    click.echo("next")
    if not added.listed:
        click.echo(f"  export AILAB_DATASETS={os.pathsep.join([*known, _short(places.folder)])}")
    click.echo(f"  ailab-dataproc check {added.name}    # what is left to fill in")
    click.echo(f"  pytest {_short(places.test)}")
    click.echo(f"  ailab-dataproc prepare {added.name} --limit 100")


def _short(path: os.PathLike[str]) -> str:
    """A path as one would type it here."""
    relative = os.path.relpath(path)
    return shlex.quote(os.fspath(path) if relative.startswith("..") else relative)
