"""`ailab-dataproc retire`: remove old versions of a prepared dataset."""

from __future__ import annotations

import dataclasses

import click

from ailab_dataproc.commands.clean import parse_age
from ailab_dataproc.commands.options import data_dir_option, json_option, name_argument, settings_of

_DAY = 86_400  # seconds


@click.command()
@name_argument
@click.option("--keep", type=click.IntRange(min=1), metavar="N", help="Not the newest so many.")
@click.option("--older-than", callback=parse_age, metavar="90d", help="Only what was written longer ago.")
@click.option("--deprecated-only", is_flag=True, help="Only what is deprecated.")
@click.option("--yes", is_flag=True, help="Remove; else it is only told what would go.")
@data_dir_option
@json_option
def retire(name: str, data_dir: str | None, yes: bool, as_json: bool, **rule: float | None) -> None:
    """Remove old versions: those that fit all of --keep, --older-than and --deprecated-only.

    NAME may say which ones these can be: NAME:1.1.0, or 'NAME:1.*'.

    Never the newest one, never the one that the bare name stands for, never one that another prepared version was made
    from. Whether somebody is reading one can't be seen.

    \b
    Example: ailab-dataproc retire products/ad_log/impressions --keep 3 --older-than 90d
    """
    from ailab_dataproc import tables
    from ailab_dataproc.report import count_bytes
    from ailab_dataproc.retention import Rule
    from ailab_dataproc.retention import retire as retire_

    found = []
    for one in retire_(name, Rule(**rule), settings_of(data_dir), dry_run=not yes):  # type: ignore[arg-type]
        found.append(one)
        if not as_json:
            done = f"kept, {one.kept}" if one.kept else "removed" if yes else "would be removed"
            age = f"{one.age / _DAY:.0f} days old"
            click.echo(f"{one.dataset} ({count_bytes(one.bytes)}, {age}): {done}")
    if as_json:
        tables.print_json([dataclasses.asdict(one) for one in found])
        return
    going = [one for one in found if not one.kept]
    size = count_bytes(sum(one.bytes for one in going))
    if going and not yes:
        click.echo(f"{size} in {len(going)} version{'s' * (len(going) != 1)}: give --yes to remove")
    if not found:
        click.echo(f"{name}: no version may go")
