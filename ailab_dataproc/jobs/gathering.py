"""Statuses of many jobs: one question to each scheduler, and few small files of each folder, read side by side."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ailab_dataproc.errors import AilabError
from ailab_dataproc.jobs import asking
from ailab_dataproc.jobs.record import ASKED, CANCEL, ENDED, Asked, Beat, Ended, Started, attempt, last_attempt
from ailab_dataproc.jobs.state import Attempt, Files, Known, Status, derive
from ailab_dataproc.storage import Folder

_PARTS: Mapping[str, Any] = {"started": Started, "beat": Beat, "ended": Ended}


def status_of(job: Folder, asked: Asked, known: Known | str | None = None) -> Status:
    """Of one job.

    Args:
        job: its folder.
        asked: its ASKED, which never changes.
        known: what the scheduler said; None asks it, unless the job has ended.
    """
    if known is None:
        known = "" if job.exists(ENDED) else ask(asked.cluster, [asked.id])[asked.id]
    return derive(read_files(job, asked), known)


def statuses(folder: Folder, ids: Sequence[str]) -> list[Status]:
    """Of jobs of a folder that has those of a user; those without an ASKED are left out, as no jobs yet."""
    asked, ended = _many(folder, ids, ASKED, Asked), _many(folder, ids, ENDED, Ended)
    groups: dict[str, list[str]] = defaultdict(list)
    for id in ids:
        if id in asked and id not in ended:
            groups[asked[id].cluster].append(id)
    with ThreadPoolExecutor(max(len(groups), 1)) as pool:  # one that doesn't answer takes seconds
        answers = pool.map(ask, groups.keys(), groups.values())
        known = {id: one for answer in answers for id, one in answer.items()}
    ended |= _many(folder, list(known), ENDED, Ended)  # what has ended meanwhile
    found = []
    for id, one in asked.items():
        job = folder / id
        files = _ended(job, one, ended[id]) if id in ended else read_files(job, one)
        found.append(derive(files, known.get(id, "")))
    return found


def ask(cluster: str, ids: Sequence[str]) -> Mapping[str, Known | str]:
    """What the scheduler of a cluster says of jobs, or why it can't be asked."""
    try:
        return asking.known(cluster, ids)
    except AilabError as error:
        return dict.fromkeys(ids, str(error))


def read_files(job: Folder, asked: Asked) -> Files:
    """All that a folder says of a job that hadn't ended just now."""
    numbers = range(1, last_attempt(job) + 1)
    names = {f"{attempt(number)}/{part}.json": (number, part) for number in numbers for part in _PARTS}
    contents = job.read_many([ENDED, CANCEL, *names])
    parts: dict[int, dict[str, Any]] = {number: {} for number in numbers}
    for name, (number, part) in names.items():
        if name in contents:
            parts[number][part] = _PARTS[part].of(contents[name])
    return Files(
        asked=asked,
        url=job.url,
        cancelled=str(json.loads(contents[CANCEL]).get("at", "")) if CANCEL in contents else None,
        attempts={number: Attempt(**found) for number, found in parts.items()},
        ended=Ended.of(contents[ENDED]) if ENDED in contents else None,
    )


def _ended(job: Folder, asked: Asked, ended: Ended) -> Files:
    return Files(asked=asked, url=job.url, ended=ended)


def _many(folder: Folder, ids: Iterable[str], name: str, kind: Any) -> dict[str, Any]:
    found = folder.read_many([f"{id}/{name}" for id in ids])
    return {path.split("/", 1)[0]: kind.of(content) for path, content in found.items()}
