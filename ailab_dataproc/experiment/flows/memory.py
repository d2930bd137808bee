"""What is remembered of steps: keys of calls, records that still hold, and new ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.experiment.flows import keeping, running
from ailab_dataproc.experiment.flows.code import Code
from ailab_dataproc.experiment.flows.inputs import Makers, Names
from ailab_dataproc.experiment.flows.step import Call, Step, shown
from ailab_dataproc.experiment.flows.store import Input, Record, Store
from ailab_dataproc.experiment.flows.values import Tokens, digest
from ailab_dataproc.jobs.amounts import now


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A call, and what its result depends on."""

    call: Call
    key: str
    code: Mapping[str, str]  # a hash by function
    inputs: Mapping[str, Input]


@dataclass(slots=True)
class Memory:
    """The results of a flow."""

    store: Store
    names: Names
    makers: Makers = field(init=False)
    _tokens: Tokens = field(init=False)

    def __post_init__(self) -> None:
        self.makers = Makers(self.store.local)
        self._tokens = Tokens(
            function=lambda one, _: digest(*_code(one)), text=self.names.token, path=self.store.hashes.token
        )

    def known(self, call: Call, steps: Sequence[Step]) -> Known:
        """What a call's result depends on.

        Raises:
            InvalidRequest: nothing lasting is known of an argument.
        """
        code = Code()
        place = code.add(call.function)
        inputs = {name: self._input(call.name, name, value, steps) for name, value in call.arguments.items()}
        told = [*sorted(code.found), *(code.found[name] for name in sorted(code.found))]
        key = digest(place, *told, *sorted(f"{name} {one.token}" for name, one in inputs.items()))
        return Known(call=call, key=key, code=code.found, inputs=inputs)

    def find(self, one: Known) -> tuple[Record | None, str]:
        """The record of a call whose result is still as it was; else what is wrong with it, if there is one."""
        record = self.store.record(one.call.name, one.key)
        if record is None:
            return None, ""
        problem = self.store.damage(record)
        try:
            if not problem and self._token(record.result, one.call.name) != record.token:
                problem = "what its result names has changed"
        except InvalidRequest as error:  # a file that is gone
            problem = str(error)
        return (None, problem) if problem else (record, "")

    def make(self, one: Known, on: str | Mapping[str, Any], say: Callable[[str], None]) -> tuple[Record, bool]:
        """Run it, and keep the result; False where another process has just done so.

        Args:
            one: the call.
            on: where.
            say: is told what happens.
        """
        name = one.call.name
        with self.store.making(name, one.key) as out:
            record, _ = self.find(one)
            if record:
                return record, False
            job = running.going_on(self.store, name, one.key)
            if job is None:
                self.store.clear(name, one.key)
                out.mkdir(parents=True)
            say(f"as job {job.id}" if job else "")
            started = time.perf_counter()
            try:
                ran = running.run(one.call, one.key, self.store, on, job)
            except BaseException as error:
                say(f"failed after {time.perf_counter() - started:.1f} s ({type(error).__name__})")
                raise
            seconds = time.perf_counter() - started
            record = Record(
                step=name,
                key=one.key,
                code=dict(one.code),
                inputs=dict(one.inputs),
                result=ran.result,
                token="",
                files=ran.files,
                seconds=round(seconds, 3),
                finished=now(),
                on=ran.on,
            )
            self.store.damage(record)  # of a job the files are fetched
            record = replace(record, token=self._token(ran.result, name))
            self.store.finish(record)
            return record, True

    def result(self, record: Record) -> Any:
        """What the step returned."""
        return keeping.given(record.result, self.store.local)

    def _token(self, told: Any, name: str) -> str:
        return digest(self._tokens.of(keeping.given(told, self.store.local), f"{name}: its result"))

    def _input(self, call: str, name: str, value: Any, steps: Sequence[Step]) -> Input:
        token = digest(self._tokens.of(value, f"{call}: argument {name!r}"))
        return Input(
            text=shown(value, name),
            token=token,
            made_by=self.makers.of(value, steps),
            data=[one.to_dict() for one in self.names.all_data(value)],
        )


def _code(function: Any) -> list[str]:
    """The hashes of a function that is an argument."""
    found = Code()
    return [found.add(function), *(f"{name} {one}" for name, one in sorted(found.found.items()))]
