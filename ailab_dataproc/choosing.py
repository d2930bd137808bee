"""Which backend, and why: a pure function of the need, the machine, the ladder and what loads cost there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ailab_dataproc.backends import BACKENDS, Backend, on_gpu, too_large
from ailab_dataproc.calibration import Calibration
from ailab_dataproc.errors import BackendRefused, InvalidRequest, MissingLibrary
from ailab_dataproc.report import count_bytes
from ailab_dataproc.sizing import Machine, Need

FAMILIES = ("eager", "lazy")
SLACK = 1.15  # "auto" keeps the ladder's order among backends that take at most so many times the fastest's seconds
GPU_LEAST = 512 * 10**6  # bytes of Arrow from which "auto" takes a GPU without a calibration
ADVICE = "Take fewer columns or a smaller split, name a lazy backend such as backend='dask', or use batches()"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one backend says to a need."""

    backend: str
    refusal: str | None  # a sentence, or None: it can
    peak: int  # bytes of memory at the peak, as predicted; of a lazy one, in each thread
    family: str
    seconds: float | None = None  # of the load, where the calibration knows


@dataclass(frozen=True, slots=True)
class Choice:
    """A backend, why, and what all that were considered said."""

    backend: str
    reason: str
    verdicts: tuple[Verdict, ...]

    @property
    def verdict(self) -> Verdict:
        """The chosen backend's own."""
        return next(one for one in self.verdicts if one.backend == self.backend)


def choose(
    need: Need,
    machine: Machine,
    backends: Mapping[str, Backend],
    *,
    asked: str,
    ladder: Sequence[str],
    calibration: Calibration | None = None,
) -> Choice:
    """The backend that was asked for or, for "auto", the best on the ladder of those that don't refuse.

    Without a calibration the best is the first. With one it is the first that takes at most `SLACK` times the seconds
    of the fastest, so that a small growth of the data doesn't flip the choice for a small gain.

    Args:
        need: what is wanted.
        machine: what is there.
        backends: all that can be considered, by name.
        asked: a name, or "auto".
        ladder: the order in which "auto" tries.
        calibration: what loads cost on this machine.

    Raises:
        BackendRefused: the one that was asked for refuses, or all on the ladder do; it is never swapped for another.
        MissingLibrary: the one that was asked for isn't installed.
    """
    known = calibration or Calibration()
    verdicts = tuple(_verdict(name, one, need, machine, known) for name, one in backends.items())
    said = {verdict.backend: verdict for verdict in verdicts}
    if asked != "auto":
        refusal = said[asked].refusal
        if refusal is None:
            return Choice(asked, "as asked", verdicts)
        kind = MissingLibrary if "not installed" in refusal else BackendRefused
        raise kind(f"backend {asked!r}: {refusal}." + _advice(said[asked], need, machine))
    able = [said[name] for name in ladder if said[name].refusal is None]
    if not able:
        told = "; ".join(f"{name}: {said[name].refusal}" for name in ladder)
        raise BackendRefused(f"backend 'auto': none fits. {told}. Take fewer columns or a smaller split.")
    chosen, reason = _best(able, need, {name for name in ladder if on_gpu(backends[name])})
    return Choice(chosen.backend, reason, verdicts)


def check_ladder(ladder: Sequence[str], family: str | None, backends: Mapping[str, Backend]) -> tuple[str, ...]:
    """The ladder narrowed to a family.

    Raises:
        InvalidRequest: the ladder names something unknown, the family isn't one, or nothing is left.
    """
    if not ladder:
        raise InvalidRequest(f"settings: auto is empty, wanted some of {', '.join(BACKENDS)}.")
    for name in ladder:
        if name not in backends:
            raise InvalidRequest(f"settings: auto names {name!r}, wanted some of {', '.join(BACKENDS)}.")
    if family is None:
        return tuple(ladder)
    if family not in FAMILIES:
        raise InvalidRequest(f"family={family!r}: wanted 'eager' (all rows in memory) or 'lazy' (on demand).")
    kept = tuple(name for name in ladder if backends[name].family == family)
    if not kept:
        raise InvalidRequest(f"family={family!r}: no backend of the ladder ({', '.join(ladder)}) is {family}.")
    return kept


def _verdict(name: str, one: Backend, need: Need, machine: Machine, known: Calibration) -> Verdict:
    there = machine.under(one.family)
    cost = known.costs.get(name) if there is machine else None  # a cluster isn't this machine
    peak = int(one.peak(need) * (cost.memory_factor if cost else 1))
    refusal = one.refuse(need, there)
    if refusal is None and one.family == "eager" and not on_gpu(one):
        refusal = too_large(peak, need, there)
    return Verdict(name, refusal, peak, one.family, cost.seconds(need) if cost else None)


def _best(able: Sequence[Verdict], need: Need, gpu: set[str]) -> tuple[Verdict, str]:
    timed = [(one.seconds, one) for one in able if one.seconds is not None]
    if not timed:
        small = need.bytes < GPU_LEAST
        large = [one for one in able if not (small and one.backend in gpu)]
        return (large or able)[0], "the first on the ladder that fits"
    fastest = min(seconds for seconds, _ in timed)
    seconds, chosen = next(pair for pair in timed if pair[0] <= fastest * SLACK)
    if seconds == fastest:
        return chosen, f"about {seconds:.2g} s, the fastest on the ladder"
    return chosen, f"about {seconds:.2g} s, the first on the ladder that is about as fast as the fastest"


def _advice(verdict: Verdict, need: Need, machine: Machine) -> str:
    """What to do where the data is larger than the memory."""
    if verdict.family == "eager" and verdict.peak > machine.memory // 2:
        return f" The selection has {count_bytes(need.bytes)} as Arrow. {ADVICE}."
    return ""
