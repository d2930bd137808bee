"""Asking a scheduler and all of its workers at the same time; a worker that is silent holds up nobody for long."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ailab_dataproc.cluster import versions
from ailab_dataproc.cluster.versions import Told

_PATIENCE = 3.0  # seconds for a worker: one that holds the GIL or is stopped says nothing


async def ask_versions(scheduler: Any, patience: float = _PATIENCE) -> Told:
    """What a cluster runs.

    Args:
        scheduler: a `distributed.rpc` of it, or a client's.
        patience: seconds for each worker.
    """
    packages = list(versions.PACKAGES)
    of_scheduler = versions.plain((await scheduler.versions(packages=packages))["packages"])
    message = {"op": "versions", "packages": packages}
    answers = await ask_workers(scheduler, message, patience)
    workers = {address: versions.plain(one["packages"]) for address, one in answers.items() if one}
    # Not installed, but it may lie on the path. Code can be sent to what has the same Python only.
    python = versions.here()["python"]
    if of_scheduler["ailab_dataproc"] is None and _same_python(of_scheduler, python):
        of_scheduler |= await _imported(scheduler)
    lacking = [at for at, one in workers.items() if one["ailab_dataproc"] is None and _same_python(one, python)]
    for address, found in (await run(scheduler, looker(("ailab_dataproc",)), patience, lacking)).items():
        workers[address] |= found if isinstance(found, dict) else {}
    silent = tuple(address for address, one in answers.items() if one is None)
    return Told(of_scheduler, workers, silent)


async def ask_workers(
    scheduler: Any, message: Mapping[str, Any], patience: float = _PATIENCE, workers: Sequence[str] | None = None
) -> dict[str, Any]:
    """The answer of each worker, by its address; None of one that is silent or gone.

    Args:
        scheduler: a `distributed.rpc` of it, or a client's.
        message: for the workers, with the ``op`` that it asks for.
        patience: seconds for each worker.
        workers: their addresses; all, if left out.
    """
    if workers is None:
        workers = list((await scheduler.identity(n_workers=-1))["workers"])
    if not workers:
        return {}

    async def ask(some: Sequence[str], seconds: float) -> dict[str, Any]:
        asked = scheduler.broadcast(msg=dict(message), workers=list(some), on_error="ignore")
        try:
            return await asyncio.wait_for(asked, seconds)
        except TimeoutError:
            return {}

    answers = await ask(workers, patience)
    if not answers:  # one of them is silent; each is asked alone to know which
        for one in await asyncio.gather(*(ask([address], patience / 3) for address in workers)):
            answers |= one
    return {address: answers.get(address) for address in workers}


async def run(
    scheduler: Any,
    function: Callable[[], Any],
    patience: float = _PATIENCE,
    workers: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Run a function on each worker, outside of tasks; None of one that is silent or gone, its error if it raises."""
    message = {"op": "run", **_pickled(function)}
    answers = await ask_workers(scheduler, message, patience, workers)
    return {address: None if one is None else _result(one) for address, one in answers.items()}


def looker(names: Sequence[str]) -> Callable[[], dict[str, str | None]]:
    """A function that works on a machine without this package: being local, it is pickled with its code."""

    def look() -> dict[str, str | None]:
        import importlib

        found: dict[str, str | None] = {}
        for name in names:
            try:
                found[name] = importlib.import_module(name).__version__
            except ImportError:
                found[name] = None
        return found

    return look


def _result(answer: Mapping[str, Any]) -> Any:
    if answer["status"] == "OK":
        return answer["result"]
    core: Any = importlib.import_module("distributed.core")
    return core.clean_exception(**answer)[1]


def _pickled(function: Callable[[], Any]) -> dict[str, Any]:
    pickle: Any = importlib.import_module("distributed.protocol.pickle")
    return {"function": pickle.dumps(function), "args": pickle.dumps(()), "kwargs": pickle.dumps({}), "wait": True}


async def _imported(scheduler: Any) -> dict[str, str | None]:
    """The version of this package that the scheduler can import."""
    answer = await scheduler.run_function(**_pickled(looker(("ailab_dataproc",))))
    found = _result(answer)
    return found if isinstance(found, dict) else {}


def _same_python(told: Mapping[str, str | None], mine: str | None) -> bool:
    return (told["python"] or "").split(".")[:2] == (mine or "").split(".")[:2]
