"""`ailab-dataproc import`: a folder that somebody else has made becomes a dataset."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from ailab_dataproc.commands.options import data_dir_option, settings_of

if TYPE_CHECKING:
    from ailab_dataproc.importing.writing import Imported


@click.command("import")
@click.argument("path")
@click.argument("name")
@click.option("--owner", default="", help="The person or team to ask.")
@click.option("--folder", metavar="DIR", help="Of definitions; by default the first one of the settings.")
@click.option("--config", metavar="NAME", help="Of a dataset card that describes several.")
@click.option("--prepare/--no-prepare", "preparing", default=True, show_default=True, help="Prepare it, too.")
@data_dir_option
def import_(
    path: str, name: str, owner: str, folder: str | None, config: str | None, preparing: bool, data_dir: str | None
) -> None:
    """Write the definition of a folder that somebody has made, and prepare it.

    PATH is what Hugging Face's save_to_disk wrote, a folder as on its Hub, a folder or file of Parquet, Arrow, CSV or
    JSON Lines, a folder that TFDS has prepared, or tfds:NAME for a builder of TFDS. Files belong to splits by their
    names (train, validation, test), else to train; folders such as year=2021 become columns. Nothing is overwritten.

    \b
    Example: ailab-dataproc import ~/downloads/reviews text/reviews --owner nlp-team
    """
    from ailab_dataproc.adding.places import folder_for
    from ailab_dataproc.importing.finding import find
    from ailab_dataproc.importing.writing import check_new, formats_for, tfds_source, write, write_tfds
    from ailab_dataproc.preparing import prepare

    settings = settings_of(data_dir)
    place = check_new(name, folder_for(folder, settings), settings)
    source = tfds_source(path)
    if source:
        made = write_tfds(name, source, place, settings, owner=owner)
    else:
        made = write(name, find(path, config), place, settings, owner=owner)
    _tell(made, settings.datasets)
    if preparing:
        formats, why = formats_for(made.dataset)
        if why:
            click.echo(f"  ! {why}")
        asked = name if made.listed else made.dataset
        report = prepare(asked, data_dir=data_dir, formats=formats, progress=sys.stderr.isatty())
        click.echo(str(report))
        split = next(iter(report.rows))
        click.echo(f'load it: adp.load("{name}", split="{split}")')
    else:
        click.echo(f"next: ailab-dataproc prepare {name}")


def _tell(made: Imported, known: tuple[str, ...]) -> None:
    for note in made.notes:
        click.echo(f"  ! {note}")
    for column, remark in made.remarks.items():
        click.echo(f"  ! {column}: {remark.replace('TODO: ', '')}")
    columns, splits = len(made.dataset.schema), ", ".join(made.dataset.splits)
    of_splits = f", {splits}" if splits else ""  # TFDS says them when it has prepared the data
    click.echo(f"wrote {made.path}: {columns} column{'s' * (columns != 1)}{of_splits}")
    if not made.listed:
        folders = os.pathsep.join([*known, str(made.path)[: -len(f"/{made.dataset.name}.py")]])
        click.echo(f"  so that it is found by its name: export AILAB_DATASETS={folders}")
