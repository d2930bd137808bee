"""Staying with jobs: their log as it grows, or a line a job with its progress; then the exit code of how they ended."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ailab_dataproc.jobs.amounts import seconds_since
from ailab_dataproc.program import INTERRUPTED

if TYPE_CHECKING:
    from rich.table import Table

    from ailab_dataproc.jobs.job import Job
    from ailab_dataproc.jobs.state import Status

CODES = {"succeeded": 0, "failed": 1, "cancelled": 3, "lost": 4}  # 2 is for what was asked wrongly
TIMED_OUT = 124  # as `timeout` of the shell
_EVERY = 1.0  # seconds between two looks at the jobs


def stay(job: Job, *, follow: bool) -> int:
    """Show the log or a bar until a job has ended, and return the exit code of how it ended."""
    return logs(job) if follow else wait([job])


def logs(job: Job) -> int:
    """Show the log as it grows, and return the exit code of how the job ended."""
    try:
        for text in job.logs(follow=True):
            sys.stdout.write(text)
            sys.stdout.flush()
        status = job.status()
    except KeyboardInterrupt:
        return _left([job])
    click.echo(ending(status), err=True)
    return CODES.get(status.state, 1)


def wait(jobs: Sequence[Job], timeout: float | None = None) -> int:
    """Show how far jobs are until all have ended, and return the worst of their exit codes."""
    deadline = None if timeout is None else time.monotonic() + timeout
    try:
        found = _watch(jobs, deadline)
    except KeyboardInterrupt:
        return _left(jobs)
    for status in found:
        click.echo(ending(status) if status.state in CODES else f"{status.id}: {status.state} still", err=True)
    if any(status.state not in CODES for status in found):
        return TIMED_OUT
    return min((CODES[status.state] for status in found if CODES[status.state]), default=0)


def ending(status: Status) -> str:
    """How a job ended, in a line: its reason, and what to do next."""
    took = "" if status.seconds is None else f" after {lasted(status.seconds)}"
    why = f": {status.why}" if status.why and status.state != "cancelled" else ""
    return f"{status.id}: {status.state}{took}{why}"


def lasted(seconds: float) -> str:
    """``1:02:03``, or ``0:00:07``."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def seconds_of(status: Status) -> float:
    """How long its attempt runs, or how long it waits for one."""
    return since(status.created) if status.seconds is None else status.seconds


def age(status: Status) -> float:
    """Seconds since it ended; of one that is lost, since it began or was submitted."""
    return since(status.ended or status.started or status.created)


def since(time: str) -> float:
    """Seconds since a time in ISO 8601; none where another machine's clock is ahead."""
    return max(0.0, seconds_since(time, datetime.now(UTC)))


def _watch(jobs: Sequence[Job], deadline: float | None) -> list[Status]:
    from ailab_dataproc.tables import console

    known: dict[str, Status] = {}
    if not sys.stderr.isatty():
        while not _looked(jobs, known, deadline, _tell_changes):
            time.sleep(_EVERY)
        return list(known.values())
    from rich.console import Console
    from rich.live import Live

    out = Console(stderr=True, markup=False, highlight=False, emoji=False, width=console().width)
    with Live(console=out, transient=True, auto_refresh=False) as live:

        def draw(_: Status | None, __: Status) -> None:
            live.update(_lines(list(known.values()), out.width), refresh=True)

        while not _looked(jobs, known, deadline, draw):
            time.sleep(_EVERY)
    return list(known.values())


def _looked(jobs: Sequence[Job], known: dict[str, Status], deadline: float | None, tell: Any) -> bool:
    """Look once at the jobs that haven't ended; whether that was the last time."""
    for job in jobs:
        before = known.get(job.id)
        if before is None or before.state not in CODES:
            known[job.id] = job.status()
            tell(before, known[job.id])
    over = all(status.state in CODES for status in known.values())
    return over or (deadline is not None and time.monotonic() >= deadline)


def _tell_changes(before: Status | None, now: Status) -> None:
    """Without a terminal: a line when something else is the case."""
    if now.state in CODES or (before and (before.state, before.attempt) == (now.state, now.attempt)):
        return
    where = f" on {now.host}, attempt {now.attempt}" if now.state == "running" and now.host else ""
    why = f": {now.why}" if now.why else ""
    click.echo(f"{now.id}: {now.state}{where}{why}", err=True)


def _lines(found: Sequence[Status], width: int) -> Table:
    """A line a job; a narrow terminal gets fewer columns."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    from ailab_dataproc.progressing import told
    from ailab_dataproc.report import count_bytes

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for _ in range(4):
        table.add_column(no_wrap=True, overflow="ellipsis")
    for one in found:
        cells: list[Any] = [Text(one.name), Text(one.state, style=STYLES.get(one.state, ""))]
        if one.done is not None:
            if width >= 100:
                cells.append(ProgressBar(total=one.total, completed=one.done, width=20, pulse=not one.total))
            cells.append(Text(f"{one.what} {told(one.done, one.total)}".strip() if width >= 80 else _percent(one)))
        else:
            cells.append(Text(one.why if width >= 60 else ""))
        seconds = seconds_of(one)
        memory = f"{count_bytes(one.memory)} " if one.memory and width >= 60 else ""
        cells.append(Text(memory + lasted(seconds)))
        table.add_row(*cells)
    return table


STYLES = {"running": "cyan", "succeeded": "green", "failed": "red", "cancelled": "yellow", "lost": "red"}


def _percent(one: Status) -> str:
    return f"{100 * one.done / one.total:.0f} %" if one.total and one.done is not None else f"{one.done:,}"


def _left(jobs: Sequence[Job]) -> int:
    """The job doesn't mind that nobody looks."""
    if len(jobs) == 1:
        told = f"interrupted; the job goes on: ailab-dataproc jobs wait {jobs[0].id}, or jobs cancel {jobs[0].id}"
    else:
        told = "interrupted; the jobs go on: ailab-dataproc jobs list"
    click.echo(told, err=True)
    return INTERRUPTED
