"""`ailab-dataproc deprecate`: say of a prepared version why it should no longer be used."""

from __future__ import annotations

import click

from ailab_dataproc.commands.options import data_dir_option, json_option, name_argument, quiet_stdout, settings_of


@click.command()
@name_argument
@click.option("--reason", metavar="TEXT", help="Why, for those who load it.")
@click.option("--use", default="", metavar="VERSION", help="The version to take instead.")
@click.option("--undo", is_flag=True, help="Take it back.")
@data_dir_option
@json_option
def deprecate(name: str, reason: str | None, use: str, undo: bool, data_dir: str | None, as_json: bool) -> None:
    """Deprecate a version: loading it warns, and the bare name no longer takes it.

    NAME:VERSION with --reason or --undo; NAME alone lists what is deprecated.

    \b
    Example: ailab-dataproc deprecate products/ad_log/impressions:1.0.0 \\
               --reason "prices in the wrong currency" --use 1.1.0
    """
    if (undo and (reason or use)) or (use and not reason):
        raise click.UsageError("--use goes with --reason, and --undo with neither.")
    with quiet_stdout(as_json):
        from ailab_dataproc import deprecating, tables
        from ailab_dataproc.references import Reference

        settings, asked = settings_of(data_dir), Reference.parse(name)
        if undo:
            found = deprecating.undo(name, settings)
        elif reason is not None:
            found = deprecating.deprecate(name, reason, settings, use=use)
        elif asked.version:
            raise click.UsageError("say why with --reason, or take it back with --undo.")
        else:
            found = deprecating.deprecated(asked.name, settings)
    if as_json:
        tables.print_json({version: notice.model_dump() for version, notice in found.items()})
        return
    for version, notice in found.items():
        click.echo(f"{asked.name}:{version} is deprecated: {notice}")
    if not found:
        click.echo(f"{asked.name}: no version is deprecated")
