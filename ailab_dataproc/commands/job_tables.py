"""Jobs as people see them: a line a job, or all that is known of one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.text import Text

from ailab_dataproc.commands.watching import STYLES, lasted, since
from ailab_dataproc.progressing import told
from ailab_dataproc.report import count_bytes
from ailab_dataproc.tables import bare_table, console

if TYPE_CHECKING:
    from ailab_dataproc.jobs.state import Status

_AGES = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_WIDE, _NARROW = 100, 70  # columns of a terminal from which on all, and all but two columns are shown


def listed(found: Sequence[Status], *, all_users: bool, more: int) -> None:
    """A line a job; a narrow terminal gets fewer columns."""
    out = console()
    names = ["job", "state", "age>", "took>", "memory>", "where", "user", "progress"]
    left_out = {"user"} if not all_users else set()
    left_out |= {"memory>", "where"} if out.width < _WIDE else set()
    left_out |= {"age>", "took>"} if out.width < _NARROW else set()
    names = [name for name in names if name not in left_out]
    rows = [[cell for name, cell in _cells(one).items() if name in names] for one in found]
    widths = [max(len(text) for text in (name.rstrip(">"), *(row[i] for row in rows))) for i, name in enumerate(names)]
    room = max(out.width - sum(widths[:-1]) - 2 * len(names), 0)
    lines = bare_table(*names)
    for one, row in zip(found, rows, strict=True):
        state, told = Text(one.state, style=STYLES.get(one.state, "")), Text(row[-1])
        told.truncate(room, overflow="ellipsis")
        lines.add_row(row[0], state, *row[2:-1], told)
    out.print(lines if found else "No job.")
    if more:
        out.print(Text(f"and {more:,} older: -n {len(found) + more}", style="dim"))
    for note in sorted({one.note for one in found if one.note}):
        out.print(Text(f"! {note}", style="yellow"), soft_wrap=True)


def _cells(one: Status) -> dict[str, str]:
    return {
        "job": one.id,
        "state": one.state,
        "age>": _age(one.created),
        "took>": "" if one.seconds is None else lasted(one.seconds),
        "memory>": count_bytes(one.memory) if one.memory else "",
        "where": one.host,
        "user": one.user,
        "progress": _progress(one),
    }


def shown(one: Status) -> None:
    """All that is known of a job."""
    out = console()
    out.print(Text.assemble((one.id, "bold"), "  ", (one.state, STYLES.get(one.state, ""))), soft_wrap=True)
    for line in (one.why, one.note):
        if line:
            out.print(Text(line), soft_wrap=True)
    for key, value in _facts(one).items():
        if value:
            out.print(Text.assemble((f"{key:<10}  ", "dim"), value), soft_wrap=True)
    if one.traceback:
        out.print(Text(f"\n{one.traceback.rstrip()}"), soft_wrap=True)


def _facts(one: Status) -> dict[str, str]:
    asked = one.asked
    facts = {
        "submitted": f"{_local(one.created)} by {one.user}",
        "started": f"{_local(one.started)} on {one.host}, attempt {one.attempt}" if one.started else "",
        "ended": f"{_local(one.ended)}" if one.ended else "",
        "took": "" if one.seconds is None else lasted(one.seconds),
        "progress": "" if one.done is None else f"{one.what} {told(one.done, one.total)}".strip(),
        "memory": count_bytes(one.memory) if one.memory else "",
        "result": "" if one.result is None else count_bytes(one.result),
    }
    if asked:
        limits = [f"{asked.cores} core{'s' * (asked.cores != 1)}"]
        limits += [count_bytes(asked.memory)] if asked.memory else []
        limits += [f"{asked.gpus} GPU{'s' * (asked.gpus != 1)}"] if asked.gpus else []
        limits += [f"{lasted(asked.time_limit)} at most"] if asked.time_limit else []
        facts = {"runs": asked.entry, "dataset": asked.dataset or "", "makes": asked.output or ""} | facts
        facts |= {"asked": ", ".join(limits), "cluster": asked.cluster, "secrets": ", ".join(asked.secrets)}
    return facts | {"folder": one.url}


def _progress(one: Status) -> str:
    if one.state in ("queued", "failed", "lost"):
        return one.why
    return "" if one.done is None else f"{one.what} {told(one.done, one.total)}".strip()


def _age(created: str) -> str:
    if not created:
        return ""
    seconds = since(created)
    for length, unit in _AGES:
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return "now"


def _local(time: str) -> str:
    """In the time zone of who looks."""
    return f"{datetime.fromisoformat(time).astimezone():%Y-%m-%d %H:%M:%S}" if time else ""
