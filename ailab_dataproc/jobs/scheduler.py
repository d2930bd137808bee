"""What runs in the scheduler's process: a plugin that places jobs, and the answers to what clients ask about them."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable, Mapping
from typing import Any

from distributed import SchedulerPlugin
from distributed.core import Status as WorkerStatus
from distributed.protocol import pickle
from distributed.system import MEMORY_LIMIT

from ailab_dataproc.jobs.record import TASK

NAME = "ailab-jobs"  # of the plugin
_PAUSE = 0.5  # seconds between two looks at who waits and where there is room
_PATIENCE = 3.0  # seconds for a worker's answer
_KEPT = 10_000  # errors of tasks that are remembered

_log = logging.getLogger("distributed.scheduler")


class Placing(SchedulerPlugin):
    """Moves jobs that wait on a full worker to one with room, and remembers why the scheduler has given up on a job.

    Dask gives a task to a worker as soon as any has the resources in all, free or not. It then waits there, and
    stealing passes it over since a job has seceded after milliseconds. So a job would wait beside a worker without
    work, above all one that has joined late.
    """

    name = NAME
    idempotent = True

    def __init__(self) -> None:
        self.errors: dict[str, str] = {}  # by key; Dask forgets a task that nobody waits for
        self.keys: set[str] = set()  # of the tasks of jobs
        self.asked: set[str] = set()  # workers that said nothing of job slots
        self.giving: list[asyncio.Future[None]] = []

    async def start(self, scheduler: Any) -> None:
        """Give resources to workers that have none, and begin to look."""
        self.scheduler = scheduler
        self.keys = {key for key in scheduler.tasks if _is_job(key)}
        await asyncio.gather(*self._declaring())
        self.looking = asyncio.ensure_future(self._look())

    async def close(self) -> None:
        """Stop looking."""
        self.looking.cancel()

    def remove_worker(self, scheduler: Any, worker: str, **_: Any) -> None:
        """The loss of a worker is no job's fault: `Asked.restarts` says how often one is started again."""
        for task in self._tasks():
            task.suspicious = 0

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """Remember which tasks are jobs, and their errors."""
        if not _is_job(key):
            return
        if finish == "forgotten":
            self.keys.discard(key)
            return
        self.keys.add(key)
        if finish == "erred":
            self.errors[key] = kwargs.get("exception_text") or "KilledWorker: too many workers died with it"
            while len(self.errors) > _KEPT:
                del self.errors[next(iter(self.errors))]

    def balance(self) -> None:
        """Ask full workers for jobs that haven't begun, for workers with room; those of high priority go first."""
        stealing = self.scheduler.extensions.get("stealing")
        waiting = sorted((task for task in self._tasks() if _waits(task)), key=lambda task: task.priority)
        if not waiting or stealing is None:
            return
        room = {worker: _room(worker) for worker in self.scheduler.workers.values()}
        for task in waiting:
            here, asked = task.processing_on, task.resource_restrictions or {}
            if (here.status == WorkerStatus.running and min(room[here].values()) >= 0) or task in stealing.in_flight:
                continue
            for other in self.scheduler.valid_workers(task) or ():
                if other is not here and _fits(asked, room[other]):
                    stealing.move_task_request(task, here, other)  # which refuses where it has begun
                    _take(asked, room[other], 1)
                    _take(asked, room[here], -1)
                    break

    def _tasks(self) -> list[Any]:
        found = (self.scheduler.tasks.get(key) for key in self.keys)
        return [task for task in found if task is not None]

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_PAUSE)
            if self.scheduler.plugins.get(NAME) is not self:  # two clients have brought one at the same time
                return
            try:
                self.giving = [one for one in (*self.giving, *self._declaring()) if not one.done()]
                self._begin_unrunnable()
                self.balance()
            except Exception:  # of one look; without the next ones jobs would wait for ever
                _log.exception("%s: can't place jobs", NAME)

    def _declaring(self) -> list[asyncio.Future[None]]:
        """Give resources to workers that say nothing of job slots. One that has just come answers a little later."""
        new = [one.address for one in self.scheduler.workers.values() if "JOB" not in one.resources]
        return [asyncio.ensure_future(self._give(address)) for address in new if address not in self.asked]

    async def _give(self, address: str) -> None:
        self.asked.add(address)
        try:
            answer = await asyncio.wait_for(self.scheduler.rpc(address).run(function=pickle.dumps(declare)), _PATIENCE)
        except (OSError, TimeoutError):
            self.asked.discard(address)  # it is asked again
            return
        if answer["status"] != "OK":
            _log.warning("%s: worker %s can run no jobs: %s", NAME, address, answer.get("exception_text", answer))

    def _begin_unrunnable(self) -> None:
        """Dask looks at jobs that no worker could take when a worker joins, not when one gets resources."""
        waiting = [task for task in self.scheduler.unrunnable if _is_job(task.key)]
        moves = {task.key: "processing" for task in waiting if self.scheduler.valid_workers(task)}
        if moves:
            self.scheduler.transitions(moves, f"{NAME}-resources")


async def declare(dask_worker: Any) -> None:
    """Give this worker resources for jobs: a slot a thread, its memory limit, and its GPU if it was given one."""
    memory = dask_worker.memory_manager.memory_limit or MEMORY_LIMIT
    resources = {"JOB": float(dask_worker.state.nthreads), "MEMORY": float(memory)}
    # dask-cuda and batch systems say in this variable which GPUs are whose; of a worker of dask-cuda the first is.
    if os.environ.get("CUDA_VISIBLE_DEVICES", "-1") not in ("", "-1", "NoDevFiles"):
        resources["GPU"] = 1.0
    known = dask_worker.state.total_resources
    await dask_worker.set_resources(**{name: count for name, count in resources.items() if name not in known})


def look(dask_scheduler: Any) -> dict[str, Any]:
    """Which scheduler this is, the resources of each worker, and whether the plugin runs."""
    return {
        "id": dask_scheduler.id,
        "plugin": NAME in dask_scheduler.plugins,
        "workers": {address: dict(worker.resources) for address, worker in dask_scheduler.workers.items()},
    }


def is_kept(key: str, dask_scheduler: Any) -> bool:
    """Whether a task goes on without the client that has submitted it: Dask keeps it, or it is done."""
    task = dask_scheduler.tasks.get(key)
    if task is None or task.run_spec is None:
        return False
    keeper = dask_scheduler.clients["fire-and-forget"]
    return task.state in ("memory", "erred") or keeper in (task.who_wants or ())


def about(keys: Iterable[str], dask_scheduler: Any) -> dict[str, dict[str, str | None]]:
    """State, worker, error and what is waited for, by key; and which scheduler this is."""
    plugin = dask_scheduler.plugins.get(NAME)
    found: dict[str, dict[str, str | None]] = {}
    for key in keys:
        task = dask_scheduler.tasks.get(key)
        if task is not None:
            worker = task.processing_on.address if task.processing_on else ""
            begun = bool(task.processing_on) and task in task.processing_on.long_running
            found[key] = {
                "state": "long-running" if begun else task.state,
                "worker": worker,
                "error": task.exception_text or "",
                "why": "" if begun else _why(dask_scheduler, task),
            }
        elif plugin is not None and key in plugin.errors:
            found[key] = {"state": "erred", "error": plugin.errors[key]}
        else:
            found[key] = {"state": None}
        found[key]["scheduler"] = dask_scheduler.id
    return found


def let_go(key: str, dask_scheduler: Any) -> bool:
    """Forget a task that hasn't begun; returns whether there was one."""
    task = dask_scheduler.tasks.get(key)
    if task is None or (task.processing_on and task in task.processing_on.long_running):
        return False
    for client in list(task.who_wants or ()):
        dask_scheduler.client_releases_keys(keys=[key], client=client.client_key)
    return True


def _why(scheduler: Any, task: Any) -> str:
    """What a task waits for."""
    asked = task.resource_restrictions or {}
    words = " and ".join(f"{name}={amount:g}" for name, amount in asked.items())
    if not scheduler.workers:
        return "waiting for a worker: the cluster has none"
    able = [worker for worker in scheduler.workers.values() if _fits(asked, worker.resources)]
    if not able:
        return f"waiting for a worker with {words}: none has that"
    running = [worker for worker in able if worker.status == WorkerStatus.running]
    if not running:
        return f"waiting: all {len(able)} workers with {words} are paused, since their memory is nearly full"
    free = [_begun_room(worker) for worker in running]
    if any(_fits(asked, room) for room in free):
        return "starting"
    slots = sum(worker.resources.get("JOB", 0) for worker in running)
    scarce = [
        name for name in asked if name != "JOB" and not any(_begun_room(one)[name] >= asked[name] for one in able)
    ]
    if scarce:
        return f"waiting: what the workers have of {' and '.join(scarce)} is taken"
    return f"waiting: all {slots:g} job slots are taken"


def _is_job(key: Any) -> bool:
    return isinstance(key, str) and key.startswith(TASK)


def _waits(task: Any) -> bool:
    """Whether a task has a worker and, as far as the scheduler knows, hasn't begun there."""
    worker = task.processing_on
    return worker is not None and task not in worker.long_running


def _room(worker: Any) -> dict[str, float]:
    """What of the worker's resources no task has taken or waits for; negative where tasks wait."""
    room = dict(worker.resources) if worker.status == WorkerStatus.running else {}
    for task in worker.processing:
        _take(task.resource_restrictions or {}, room, 1)
    return room


def _begun_room(worker: Any) -> dict[str, float]:
    room = dict(worker.resources)
    for task in worker.long_running:
        _take(task.resource_restrictions or {}, room, 1)
    return room


def _fits(asked: Mapping[str, float], room: Mapping[str, float]) -> bool:
    return all(room.get(name, 0) >= amount for name, amount in asked.items())


def _take(asked: Mapping[str, float], room: dict[str, float], times: int) -> None:
    for name, amount in asked.items():
        room[name] = room.get(name, 0) - times * amount
