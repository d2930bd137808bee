"""`ailab-dataproc runs`: which runs of MLflow used a version of a dataset."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import click

from ailab_dataproc.commands.options import json_option, name_argument, quiet_stdout

_METRICS = 3  # that are shown of a run
_WIDE = 110  # columns of a terminal


@click.command()
@name_argument
@click.option("--split", metavar="SPLIT", help="Only those that used exactly this split, such as 'train[:80%]'.")
@json_option
def runs(name: str, split: str | None, as_json: bool) -> None:
    """List the runs that used a dataset, the newest first.

    NAME for all versions, NAME:VERSION for one. Asks the server that MLFLOW_TRACKING_URI names.

    \b
    Example: ailab-dataproc runs products/ad_log/impressions:1.0.0 --split train
    """
    with quiet_stdout(as_json):
        from ailab_dataproc import tables
        from ailab_dataproc.experiment import reaching
        from ailab_dataproc.experiment.finding import runs_of

        found = [one.to_dict() for one in runs_of(name, split=split)]
    if as_json:
        tables.print_json(found)
    elif found:
        _table(found)
    else:
        click.echo(f"No run in {reaching.place()} that you may see used {name}{f' {split}' if split else ''}.")


def _table(found: Sequence[dict[str, Any]]) -> None:
    """A row a run; a narrow terminal gets two columns of what else are four."""
    from ailab_dataproc.notices import clean  # names that others gave
    from ailab_dataproc.tables import bare_table, console

    out = console()
    wide = out.width >= _WIDE
    table = bare_table("run", "experiment", "data", "metrics") if wide else bare_table("run", "data and metrics")
    for column in table.columns:
        column.overflow, column.no_wrap = "fold", False
    table.columns[0].no_wrap = True
    for _, inputs in itertools.groupby(found, key=lambda one: one["run_id"]):
        first, *rest = inputs
        run, place = [first["name"], first["run_id"]], [first["experiment"], first["user"]]
        run.append(f"{first['started'][:16].replace('T', ' ')} {first['status'].lower()}")
        data, metrics = [_data(one) for one in (first, *rest)], _metrics(first["metrics"])
        cells = (run, place, data, metrics) if wide else ([*run, *place], [*data, *metrics])
        table.add_row(*("\n".join(filter(None, map(clean, cell))) for cell in cells))
        table.add_row()
    out.print(table)


def _data(one: dict[str, Any]) -> str:
    told = ", ".join(filter(None, [one["context"], one["backend"]]))
    return f"{one['version']} {one['split']}" + (f" ({told})" if told else "")


def _metrics(found: Mapping[str, float]) -> list[str]:
    told = [f"{name}={value:.4g}" for name, value in sorted(found.items())]
    return [*told[:_METRICS], *([f"… ({len(told)} in all)"] if len(told) > _METRICS else [])]
