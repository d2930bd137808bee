"""Whether the workers of a Dask cluster can do the work: the same versions, and the same folder."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from ailab_dataproc.cluster import check_versions
from ailab_dataproc.cluster.asking import looker
from ailab_dataproc.errors import AilabError, ClusterFailed
from ailab_dataproc.preparation.engines import versions
from ailab_dataproc.storage import Folder


def check(client: Any, stage: Folder, *, patience: float) -> int:
    """Look at every worker, and at the scheduler, which unpickles tasks too.

    Args:
        client: of `distributed`.
        stage: the folder that all workers must read and write.
        patience: seconds to wait for the first worker.

    Returns:
        How many workers there are.

    Raises:
        ClusterFailed: there is no worker, or one of them doesn't fit; it is named.
    """
    try:
        client.wait_for_workers(1, timeout=patience)
    except TimeoutError as error:
        where = client.scheduler.address
        told = f"{where}: the Dask cluster has no worker after {patience:.0f} s. Start some: dask worker {where}"
        raise ClusterFailed(told) from error
    _check_versions(client)
    return _check_stage(client, stage)


def _check_versions(client: Any) -> None:
    check_versions(client)  # first: a function can be sent to the same Python only
    wanted, look = versions.here(), looker(versions.COMPARED)
    for address, found in {"scheduler": client.run_on_scheduler(look), **client.run(look)}.items():
        _refuse(address, found, {name: wanted[name] for name in found})


def _refuse(address: str, found: Mapping[str, str | None], wanted: Mapping[str, str]) -> None:
    told = versions.difference(found, wanted)
    if told:
        who = "the Dask scheduler" if address == "scheduler" else f"the Dask worker {address}"
        raise ClusterFailed(f"{who} {told}")


def _check_stage(client: Any, stage: Folder) -> int:
    """Leave a file for all workers, and find the answer of each. Gone afterwards."""
    token = uuid.uuid4().hex
    probe = stage / f"probe-{token[:8]}"
    try:
        probe.write("question", token.encode())
        told = client.run(_answer, probe, token)
        for address in told:
            if told[address] is None and not probe.exists(_answer_name(address)):
                told[address] = "what it writes arrives elsewhere"
        problems = {address: problem for address, problem in sorted(told.items()) if problem}
        for address, problem in problems.items():
            raise ClusterFailed(
                f"the Dask worker {address} does not see {stage.url} ({problem}), {len(told) - len(problems)} of "
                f"{len(told)} do. Put the data directory on a disk that all workers mount under this path."
            )
        return len(told)
    finally:
        probe.remove()
        if not stage.names():
            stage.remove()


def _answer(probe: Folder, token: str, dask_worker: Any) -> str | None:
    """Runs on a worker: what is wrong with the folder, or None."""
    try:
        if probe.read("question") != token.encode():
            return "it holds another file"
        probe.write(_answer_name(dask_worker.address), b"")
    except (AilabError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _answer_name(address: str) -> str:
    return "answer-" + address.replace("/", "-")
