"""`ailab-dataproc jobs submit`: hand a script or a function to the cluster."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from ailab_dataproc.commands.options import (
    amount,
    json_option,
    quiet_stdout,
    read_filters,
    selecting,
    settings_of,
    split_names,
)

_OF_DATA = ("split", "limit", "sample", "seed", "backend", "nulls", "dtypes", "allow_pii")


_count = click.IntRange(min=0)
_OF_DATASET = (
    click.option("--dataset", metavar="NAME", help="The function's first argument is this, loaded."),
    selecting("all"),
    click.option("--limit", type=_count, metavar="N", help="Only the first so many rows."),
    click.option("--sample", metavar="N|PART", help="So many rows at random, or a part of them such as 0.01."),
    click.option("--seed", type=_count, default=0, show_default=True, help="Of the sample."),
    click.option("--backend", default="auto", show_default=True, help="'auto' minds the memory and GPUs there."),
    click.option("--nulls", default="refuse", hidden=True),
    click.option("--dtypes", default="arrow", hidden=True),
    click.option("--output", metavar="NAME:VERSION", help="Make this dataset of what the function returns."),
)
_OF_RUN = (
    click.option("--cluster", metavar="ADDRESS|NAME", help="By default the setting."),
    click.option("--name", help="For people; by default that of the script or function."),
    click.option("--cores", type=click.IntRange(min=1), default=1, show_default=True, help="Job slots that it takes."),
    click.option("--memory", metavar="8GB", help="What its processes may take together."),
    click.option("--gpus", type=_count, default=0, show_default=True, help="GPUs that it takes."),
    click.option("--env", multiple=True, metavar="K=V", help="A variable for it; stored; may be repeated."),
    click.option("--secret", "secrets", multiple=True, metavar="NAME", help="A variable of yours; never stored."),
    click.option("--priority", type=int, default=0, show_default=True, help="A higher one starts first."),
    click.option("--retries", type=_count, default=0, show_default=True, help="Starts after a failure of its own."),
    click.option("--restarts", type=_count, default=3, show_default=True, help="Starts after its worker was lost."),
    click.option("--time-limit", metavar="2h", help="An attempt that takes longer is ended: 90s, 30m, 2h, 1d."),
    click.option("--code", metavar="FOLDER", help="The project; by default the git repository of the target."),
    click.option("--code-limit", default="50MB", show_default=True, metavar="SIZE", help="Of the project's files."),
    click.option("--wait-for-workers", is_flag=True, help="Queue where no worker has the memory or GPUs yet."),
)


def _with(options: Sequence[Any]) -> Callable[[Any], Any]:
    """These options, in this order."""
    return lambda command: functools.reduce(lambda inner, option: option(inner), reversed(options), command)


class _Submit(click.Command):
    """Says where options of the script belong."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            told = f"{error.format_message()} Options of the script itself stand behind --."
            raise click.UsageError(told, ctx) from error


@click.command(cls=_Submit)
@click.argument("target", metavar="SCRIPT.py|MODULE:FUNCTION")
@click.argument("args", nargs=-1, metavar="[-- ARGS]...")
@_with(_OF_DATASET)
@_with(_OF_RUN)
@click.option("--follow", "-f", "attached", flag_value="follow", help="Stay, and show the log.")
@click.option("--wait", "attached", flag_value="wait", help="Stay, and show a bar.")
@json_option
@click.pass_context
def submit(ctx: click.Context, /, target: str, attached: str | None, as_json: bool, **options: Any) -> None:
    """Run a script or a function on the cluster, as a job that goes on when this terminal is closed.

    SCRIPT.py gets ARGS; MODULE:FUNCTION (or FILE.py:FUNCTION) is called with them as text. The project's code
    travels along: what git keeps, without secrets. Prints the job's id.

    \b
    Examples: ailab-dataproc jobs submit train.py --memory 8GB -- --epochs 3
              ailab-dataproc jobs submit features:count --dataset products/ad_log/impressions --split train
    Exit code with --wait or --follow: 0 succeeded, 1 failed, 3 cancelled, 4 lost.
    """
    with quiet_stdout(as_json):
        job = _submitted(target, options)
    if as_json:
        from ailab_dataproc import tables

        tables.print_json({"id": job.id, "name": job.name, "url": job.url})
    elif attached and not sys.stdout.isatty():
        click.echo(f"job {job.id}", err=True)  # the log alone on the standard output
    else:
        click.echo(job.id)
        if sys.stderr.isatty() and not attached:
            click.echo(f"Its log: ailab-dataproc jobs logs -f {job.id}", err=True)
    if attached:
        from ailab_dataproc.commands import watching

        ctx.exit(watching.stay(job, follow=attached == "follow"))


def _submitted(target: str, options: dict[str, Any]) -> Any:
    from ailab_dataproc import submit as submit_

    dataset, filters = options.pop("dataset"), options.pop("filters")
    output = options.pop("output")
    name, _, version = (output or "").partition(":")
    if output and not version:
        raise click.BadParameter(f"{output!r} is no NAME:VERSION, such as shop/clicks:1.0.0.", param_hint="--output")
    of_data = {key: options.pop(key) for key in _OF_DATA}
    columns = split_names(options.pop("columns"))
    if dataset:
        of_data |= {"columns": columns, "filters": read_filters(dataset, filters, settings_of(None))}
        of_data |= {"sample": amount(of_data["sample"]), "dataset": dataset}
        options |= of_data | ({"output": name, "version": version} if output else {})
    elif output or columns or filters:
        raise click.UsageError("--output, --columns and --filter are of a data job. Name its --dataset.")
    return submit_(target, env=_variables(options.pop("env")), **options)


def _variables(texts: tuple[str, ...]) -> dict[str, str]:
    """``K=V`` as it stands: "007" stays text."""
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            known = f" Its value here: --env {text}=…; for a secret: --secret {text}." if text in os.environ else ""
            raise click.BadParameter(f"{text!r} is no NAME=VALUE.{known}", param_hint="--env")
        found[key] = value
    return found
