"""`ailab-dataproc croissant`: the metadata of a prepared version, for dataset search and other loaders."""

from __future__ import annotations

import click

from ailab_dataproc.commands.options import data_dir_option, name_argument, settings_of


@click.command()
@name_argument
@click.option("-o", "--output", metavar="FILE", help="Write it there, in or above the dataset's folder; else print it.")
@click.option("--url", metavar="URL", help="Where readers find the version's folder, such as on a web server.")
@click.option("--allow-pii", is_flag=True, help="Make fields of columns with personal data too, if you may.")
@data_dir_option
def croissant(name: str, output: str | None, url: str | None, allow_pii: bool, data_dir: str | None) -> None:
    """Describe a prepared version as Croissant metadata (JSON-LD). Reads no rows.

    Files with their checksums, and a record set for each split. Columns with personal data are named, and are no
    fields.

    \b
    Example: ailab-dataproc croissant products/ad_log/impressions:1.0.0 -o croissant.json
    """
    from ailab_dataproc import tables
    from ailab_dataproc.croissant import metadata, write
    from ailab_dataproc.loading import open_known

    prepared = open_known(name, settings_of(data_dir))
    if output is None:
        tables.print_json(metadata(prepared, base=url, allow_pii=allow_pii))
    else:
        click.echo(write(prepared, output, base=url, allow_pii=allow_pii))
