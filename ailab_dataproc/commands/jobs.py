"""`ailab-dataproc jobs`: submit, and look at, wait for, end jobs from any machine."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from ailab_dataproc.commands.clean import parse_age
from ailab_dataproc.commands.options import json_option, quiet_stdout
from ailab_dataproc.commands.submitting import submit
from ailab_dataproc.errors import AilabError, InvalidRequest

if TYPE_CHECKING:
    from ailab_dataproc.jobs.job import Job
    from ailab_dataproc.jobs.state import Status

_STATES = ("queued", "running", "succeeded", "failed", "cancelled", "lost")


def _complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from ailab_dataproc.jobs import folders
    from ailab_dataproc.settings import load_settings

    try:
        known = folders.ids(folders.jobs_folder(load_settings()) / folders.user())
    except (AilabError, OSError):  # a shell in the middle of a word is no place for messages
        return []
    return [CompletionItem(id) for id in known if id.startswith(incomplete)]


_id = click.argument("id", shell_complete=_complete)
_ids = click.argument("ids", nargs=-1, required=True, shell_complete=_complete, metavar="ID...")


@click.group()
def jobs() -> None:
    """Run scripts and functions on the shared cluster, and come back for logs and results.

    An ID is the whole id of a job, or any part of it that no other has.

    \b
    Hand one over:     ailab-dataproc jobs submit train.py -- --epochs 3
    What goes on:      ailab-dataproc jobs list
    Its log, live:     ailab-dataproc jobs logs -f train
    """


jobs.add_command(submit)


@jobs.command("list")
@click.option("--all-users", is_flag=True, help="Everybody's whose folders you may read.")
@click.option("--state", "states", multiple=True, type=click.Choice(_STATES), help="Only such; may be repeated.")
@click.option("-n", "count", type=click.IntRange(min=1), default=20, show_default=True, help="The newest so many.")
@json_option
def list_(all_users: bool, states: tuple[str, ...], count: int, as_json: bool) -> None:
    """List your jobs, the newest first.

    \b
    Example: ailab-dataproc jobs list --state running --state queued
    """
    with quiet_stdout(as_json):
        from ailab_dataproc import list_jobs, tables
        from ailab_dataproc.commands import job_tables

        every = list_jobs(all_users=all_users, state=states or None)
        found = every[:count]
    if as_json:
        tables.print_json([_plain(one) for one in found])
    else:
        job_tables.listed(found, all_users=all_users, more=len(every) - len(found))


@jobs.command()
@_id
@json_option
def status(id: str, as_json: bool) -> None:
    """Show all that is known of a job: state and why, where, memory, progress, the traceback of a failure.

    \b
    Example: ailab-dataproc jobs status train
    """
    with quiet_stdout(as_json):
        from ailab_dataproc import tables
        from ailab_dataproc.commands import job_tables

        found = _job(id).status()
    if as_json:
        tables.print_json(_plain(found))
    else:
        job_tables.shown(found)


@jobs.command()
@_id
@click.option("-f", "--follow", is_flag=True, help="Stay until the job ends; the exit code is as of wait.")
@click.option("--attempt", type=click.IntRange(min=1), metavar="N", help="Of this attempt alone.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last so many lines.")
@click.pass_context
def logs(ctx: click.Context, id: str, follow: bool, attempt: int | None, tail: int | None) -> None:
    """Print what a job has printed and logged.

    \b
    Example: ailab-dataproc jobs logs -f train
    """
    from ailab_dataproc.commands import watching

    if follow and (attempt or tail is not None):
        raise click.UsageError("--follow shows the whole log. Leave out --attempt and --tail.")
    job = _job(id)
    if follow:
        ctx.exit(watching.logs(job))
    text = job.logs() if attempt is None else _of_attempt(job, attempt)
    lines = text.splitlines(keepends=True)
    sys.stdout.write("".join(lines if tail is None else lines[len(lines) - min(tail, len(lines)) :]))


@jobs.command()
@_id
@click.option("-o", "--output", metavar="FILE", help="Write it: .pkl as it is; tables as .parquet, .csv; .json.")
@json_option
@click.pass_context
def result(ctx: click.Context, id: str, output: str | None, as_json: bool) -> None:
    """Print what a job returned, or write it to a file. Exit code 1 where the job failed, 3 cancelled, 4 lost.

    \b
    Example: ailab-dataproc jobs result count -o counts.parquet
    """
    from ailab_dataproc import tables
    from ailab_dataproc.commands import results, watching
    from ailab_dataproc.report import count_bytes

    file = Path(output).expanduser() if output else None
    if file and file.suffix.lower() not in (".pkl", ".parquet", ".csv", ".json"):
        raise click.BadParameter(f"{output!r} ends in none of .pkl, .parquet, .csv, .json.", param_hint="--output")
    job = _job(id)
    found = job.status()
    if found.state not in watching.CODES:
        raise InvalidRequest(
            f"{job.id}: is {found.state}, it has no result yet. See `ailab-dataproc jobs wait {job.id}`."
        )
    if found.state != "succeeded":
        click.echo(found.traceback.rstrip() or watching.ending(found), err=True)
        ctx.exit(watching.CODES[found.state])
    if found.result is None:
        click.echo(f"{job.id}: succeeded, without a result{_made(found)}", err=True)
        return
    if file and file.suffix.lower() == ".pkl":
        with _attempt(job, found.attempt).open("result.pkl") as source, file.open("wb") as target:
            shutil.copyfileobj(source, target)
    elif file:
        results.write(job.result(timeout=0), file)
    elif found.result > results.LARGE:
        click.echo(f"{count_bytes(found.result)} in {job.result_url}: write it to a file with -o", err=True)
    elif as_json:
        tables.print_json(job.result(timeout=0))
    else:
        results.show(job.result(timeout=0))


@jobs.command()
@_ids
def cancel(ids: tuple[str, ...]) -> None:
    """Stop jobs, with all their processes; a queued one never starts.

    \b
    Example: ailab-dataproc jobs cancel train
    """
    for job in [_job(id) for id in ids]:
        click.echo(job.cancel())


@jobs.command()
@_ids
@click.option("--timeout", callback=parse_age, metavar="2h", help="Wait no longer; then the exit code is 124.")
@click.pass_context
def wait(ctx: click.Context, ids: tuple[str, ...], timeout: float | None) -> None:
    """Wait until jobs have ended, and show how far they are. Ctrl-C ends the waiting, not the jobs.

    \b
    Exit code: 0 all succeeded; else 1 one failed, 3 was cancelled, 4 was lost.
    Example: ailab-dataproc jobs wait train && ailab-dataproc jobs result train
    """
    from ailab_dataproc.commands import watching

    ctx.exit(watching.wait([_job(id) for id in ids], timeout))


@jobs.command()
@_id
def restart(id: str) -> None:
    """Submit a job that has ended again: the same code, arguments and resources. Prints the new id.

    Values of secrets are read anew from the environment.

    \b
    Example: ailab-dataproc jobs restart train
    """
    click.echo(_job(id).restart().id)


@jobs.command()
@click.option("--older-than", default="30d", show_default=True, callback=parse_age, help="Keep what has ended since.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be removed.")
@json_option
def clean(older_than: float, dry_run: bool, as_json: bool) -> None:
    """Remove the folders of your jobs that have ended: log, code and result. Datasets that they made stay.

    \b
    Example: ailab-dataproc jobs clean --older-than 7d --dry-run
    """
    from ailab_dataproc import tables
    from ailab_dataproc.commands import watching

    with quiet_stdout(as_json):
        from ailab_dataproc import list_jobs

        ended = [one for one in list_jobs(state=tuple(watching.CODES)) if watching.age(one) >= older_than]
        for one in ended:
            if not dry_run:
                _job(one.id).remove()
            if not as_json:
                click.echo(f"{one.id} ({one.state}): {'would be removed' if dry_run else 'removed'}")
    if as_json:
        tables.print_json([_plain(one) for one in ended])
    elif not ended:
        click.echo("Nothing to remove.")


def _job(id: str) -> Job:
    from ailab_dataproc import Job

    return Job(id)


def _attempt(job: Job, number: int) -> Any:
    from ailab_dataproc.jobs import record

    return job.folder / record.attempt(number)


def _of_attempt(job: Job, number: int) -> str:
    from ailab_dataproc.jobs.record import last_attempt

    last = last_attempt(job.folder)
    if number > last:
        raise InvalidRequest(f"{job.id}: has no attempt {number}, the last is {last}.")
    log = _attempt(job, number) / "log"
    return b"".join(log.read_many(log.names()).values()).decode(errors="replace")


def _made(found: Status) -> str:
    return f"; it made {found.asked.output}" if found.asked and found.asked.output else ""


def _plain(found: Status) -> dict[str, Any]:
    return dataclasses.asdict(found)
