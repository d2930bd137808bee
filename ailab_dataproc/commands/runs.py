"""`ailab-dataproc runs`: which runs of MLflow used a version of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from ailab_dataproc.commands.options import json_option, name_argument, quiet_stdout

_METRICS = 3  # that a line shows


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
    from ailab_dataproc.tables import bare_table, console

    table = bare_table("run", "name", "experiment", "user", "started", "version", "split", "backend", "metrics")
    table.columns[-1].overflow, table.columns[-1].no_wrap = "fold", False
    for one in found:
        told = [f"{name}={value:.4g}" for name, value in sorted(one["metrics"].items())]
        more = f", … ({len(told)} in all)" if len(told) > _METRICS else ""
        started = one["started"][:16].replace("T", " ")
        names = (one["run_id"], one["name"], one["experiment"], one["user"], started)
        context = f" ({one['context']})" if one["context"] else ""
        table.add_row(*names, one["version"], one["split"] + context, one["backend"], ", ".join(told[:_METRICS]) + more)
    console().print(table)
