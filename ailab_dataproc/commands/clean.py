"""`ailab-dataproc clean`: remove what unfinished preparations have left."""

from __future__ import annotations

import dataclasses
import re

import click

from ailab_dataproc.commands.options import data_dir_option, json_option, settings_of

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_age(_ctx: click.Context, _param: click.Parameter, text: str | None) -> float | None:
    """``30m`` of an option as seconds; None where it wasn't given."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip())
    if not found:
        raise click.BadParameter(f"{text!r} is no time such as 90s, 30m, 1h or 2d.")
    return float(found[1]) * _SECONDS[found[2]]


@click.command()
@data_dir_option
@click.option("--dry-run", is_flag=True, help="Only tell what would be removed.")
@click.option(
    "--older-than",
    default="1h",
    show_default=True,
    callback=parse_age,
    help="Keep what has changed since; 0: nothing.",
)
@click.option("--cache", "with_cache", is_flag=True, help="Empty this machine's cache of shards, too.")
@json_option
def clean(data_dir: str | None, dry_run: bool, older_than: float, with_cache: bool, as_json: bool) -> None:
    """Remove what unfinished preparations have left. A finished version is never touched.

    A preparation that is running keeps what it has made.

    \b
    Example: ailab-dataproc clean --dry-run
    """
    from ailab_dataproc import storage, tables
    from ailab_dataproc.cache import Cache
    from ailab_dataproc.leftovers import Leftover
    from ailab_dataproc.leftovers import clean as clean_
    from ailab_dataproc.report import count_bytes

    settings = settings_of(data_dir)
    place = storage.folder(settings.data_dir, settings.storage_options)
    found = list(clean_(place, older_than=older_than, dry_run=dry_run))
    if with_cache:
        cache = Cache.here()
        found.append(Leftover(str(cache.folder), cache.bytes() if dry_run else cache.clear()))
    if as_json:
        tables.print_json([dataclasses.asdict(one) for one in found])
        return
    for one in found:
        done = f"kept, {one.kept}" if one.kept else "would be removed" if dry_run else "removed"
        click.echo(f"{one.path} ({count_bytes(one.bytes)}): {done}")
    if not found:
        click.echo(f"{place.url}: nothing is left over")
