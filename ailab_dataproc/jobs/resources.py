"""Which workers can take a job, and the sentence where none can."""

from __future__ import annotations

from collections.abc import Mapping

from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.report import count_bytes


def resources(cores: int, memory: int | None, gpus: int) -> dict[str, float]:
    """What a job asks of its worker, as Dask's abstract resources."""
    asked = {"JOB": float(cores)}
    if memory:
        asked["MEMORY"] = float(memory)
    if gpus:
        asked["GPU"] = float(gpus)
    return asked


def check(asked: Mapping[str, float], workers: Mapping[str, Mapping[str, float]]) -> None:
    """Refuse a job that no worker can ever take.

    Args:
        asked: its resources.
        workers: the resources of each worker, by address.

    Raises:
        InvalidRequest: what is asked, and what the largest worker has.
    """
    if any(all(has.get(name, 0) >= amount for name, amount in asked.items()) for has in workers.values()):
        return
    if not workers:
        raise InvalidRequest(
            "the cluster has no worker. Start one (`ailab-dataproc cluster up`, or dask worker), or submit with "
            "wait_for_workers=True (--wait-for-workers)."
        )
    found = []
    for name, amount in asked.items():
        most = max(has.get(name, 0) for has in workers.values())
        if most < amount:
            found.append(f"no worker has {_count(name, amount)}: the largest has {_count(name, most)}")
    if not found:  # each worker lacks something else
        found = [f"no worker has {' and '.join(_count(name, amount) for name, amount in asked.items())} together"]
    raise InvalidRequest(
        f"{'; '.join(found)} ({len(workers)} worker{'s' if len(workers) > 1 else ''}). "
        "Ask for less, or submit with wait_for_workers=True (--wait-for-workers) to wait for one that has."
    )


def _count(name: str, amount: float) -> str:
    if name == "MEMORY":
        return f"{count_bytes(int(amount))} of memory" if amount else "declared no memory"
    word = {"JOB": "core", "GPU": "GPU"}[name]
    return f"{amount:g} {word}{'' if amount == 1 else 's'}" if amount else f"no {word}"
