"""What the attempts of a job's folder say: whether another one follows, or how the job has ended."""

from __future__ import annotations

from dataclasses import replace

from ailab_dataproc.jobs.amounts import now
from ailab_dataproc.jobs.record import CANCEL, ENDED, Asked, Ended, Started, attempt, last_attempt
from ailab_dataproc.storage import Folder

STARTED = "started.json"


def verdict(job: Folder, asked: Asked) -> Ended | None:
    """How a job has ended, from the files of its attempts; None where another attempt follows."""
    last = last_attempt(job)
    names = [f"{attempt(number)}/{name}" for number in range(1, last + 1) for name in (STARTED, ENDED)]
    files = job.read_many([*names, CANCEL])
    ends = {n: Ended.of(files[name]) for n in range(1, last + 1) if (name := f"{attempt(n)}/{ENDED}") in files}
    final = ends.get(last)
    if final and (final.final or final.outcome != "failed"):
        return final
    if CANCEL in files:
        return Ended(attempt=last, outcome="cancelled", at=now(), seconds=0, error="it was cancelled before it began")
    failures = len(ends)
    if final and failures > asked.retries:
        return final if failures == 1 else replace(final, error=f"{final.error} (attempt {last}, and all before it)")
    lost = last - len(ends)
    if not final and lost > asked.restarts:
        return _lost(files, last, lost, asked.restarts)
    return None


def previous(job: Folder, number: int) -> Started | None:
    """Where the attempt before ran, if it was lost with its worker; it may run on where only the network is gone."""
    before = attempt(number - 1)
    files = job.read_many([f"{before}/{STARTED}", f"{before}/{ENDED}"])
    if f"{before}/{STARTED}" not in files or f"{before}/{ENDED}" in files:
        return None
    return Started.of(files[f"{before}/{STARTED}"])


def _lost(files: dict[str, bytes], last: int, lost: int, allowed: int) -> Ended:
    started = files.get(f"{attempt(last)}/{STARTED}")
    where = Started.of(started) if started else None
    place = f", the last time {where.worker or where.host}" if where else ""
    times = "once" if lost == 1 else f"{lost} times"
    return Ended(
        attempt=last,
        outcome="lost",
        at=now(),
        seconds=0,
        error=f"its worker was lost {times}{place}, with restarts={allowed}. Submit it again, "
        "with memory= if it eats memory, which may end a worker.",
        worker=where.worker if where else "",
    )
