"""What the results of the gpu suite say: GPUs beside CPUs, the limits of the machine, the price of spilling."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from results import Result, by_case

SUITE, LIMITS, SPILLING = "gpu", "limits", "spilling"
_IN_MEMORY = ("device to device", "host to host")  # limits that move Arrow bytes, not those of the files


def split(results: Sequence[Result]) -> tuple[list[Result], list[Result]]:
    """Of the suite: the limits of the machine, and the rest."""
    mine = [one for one in results if one.suite == SUITE and gb_per_second(one)]
    return [one for one in mine if one.case == LIMITS], [one for one in mine if one.case != LIMITS]


def on_gpu(one: Result) -> bool:
    """Whether a result was measured on a GPU."""
    return one.suite == SUITE and one.typical is not None and one.extra.get("device") == "gpu"


def gb_per_second(one: Result) -> float | None:
    """Arrow bytes by seconds; of a limit, the bytes that were copied."""
    return one.bytes / 1e9 / one.typical if one.bytes and one.typical else None


def speed(value: float) -> str:
    """GB/s for people."""
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f} GB/s"


def share(one: Result, limits: Sequence[Result]) -> float | None:
    """The part that a way reaches of the limit that it names; None where it names none, or it wasn't measured.

    Over the bus and from the disk come the bytes of the files, which are compressed. Each GPU has a memory and a bus
    of its own.
    """
    limit = next((of for of in limits if of.way == one.extra.get("limit")), None)
    mine, most = gb_per_second(one), gb_per_second(limit) if limit else None
    if not mine or not most:
        return None
    stored = one.number("stored_bytes") if one.extra["limit"] not in _IN_MEMORY else None
    most *= (one.workers or 1) if "device" in one.extra["limit"] else 1
    return mine / most * (stored / one.bytes if stored and one.bytes else 1)


def percent(part: float) -> str:
    """A part for people, with two digits: 45 %, 1.2 %."""
    return f"{100 * part:.{1 if part < 0.0995 else 0}f} %"


def sentences(results: Sequence[Result]) -> Iterator[str]:
    """What somebody should know of the suite who reads no more; nothing of other suites."""
    limits, rest = split(results)
    if limits:
        told = ", ".join(f"{one.way} {speed(gb_per_second(one) or 0)}" for one in limits)
        yield f"The limits of this machine: {told}."
    yield from _beside(rest)
    for kind in dict.fromkeys(one.extra.get("kind", "") for one in rest):
        yield from _most(kind, [one for one in rest if one.extra.get("kind", "") == kind], limits)
    yield from _spilling(rest)


def _beside(rest: Sequence[Result]) -> Iterator[str]:
    """The fastest on the GPUs beside the fastest on the CPUs."""
    times = {}
    for case, of in by_case(rest):
        sides = [[one.typical or math.inf for one in of if on_gpu(one) == side] for side in (True, False)]
        if all(sides):
            times[case] = min(sides[1]) / min(sides[0])
    if times:
        least, most = min(times, key=lambda case: times[case]), max(times, key=lambda case: times[case])
        faster = sum(one > 1 for one in times.values())
        yield (
            f"The fastest way on GPUs beats the fastest on the CPUs of the same machine in {faster} of {len(times)} "
            f"cases: from {times[least]:.2g} times as fast ({least}) to {times[most]:.2g} times ({most})."
        )
    elif rest:
        yield "Measured on CPUs only."


def _most(kind: str, of: Sequence[Result], limits: Sequence[Result]) -> Iterator[str]:
    best = max(of, key=lambda one: gb_per_second(one) or 0)
    part = share(best, limits)
    told = f", {percent(part)} of {best.extra['limit']}" if part else ""
    begin = f"{kind[:1].upper()}{kind[1:]}, at" if kind else "At"
    yield f"{begin} most {speed(gb_per_second(best) or 0)} of Arrow ({best.case}, {best.label}{told})."


def _spilling(rest: Sequence[Result]) -> Iterator[str]:
    found = [one for one in rest if one.case == SPILLING]
    for small in (one for one in found if one.extra.get("third")):
        same = (one for one in found if on_gpu(one) and one.extra.get("backend") == small.extra.get("backend"))
        whole = next((one for one in same if not one.extra.get("third")), None)
        if whole and whole.typical and small.typical:
            yield (
                f"Spilling with {small.extra['backend']}: rows three times as large as the pool take "
                f"{small.typical / whole.typical:.2g} times as long as with room for all."
            )
