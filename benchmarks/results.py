"""Results of benchmarks: a JSON line for each (suite, case, way, rows, workers), of one format; readers check it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spread import median

from ailab_dataproc.errors import DamagedData, InvalidRequest, StorageFailed

FORMAT = 1  # of a line
UNFINISHED = ".partial.jsonl"  # the end of the name of a file whose run was interrupted
Key = tuple[str, str, str, int | None, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What was measured of one way of one case; lists have one number a round, in the order of the rounds."""

    suite: str
    case: str
    way: str
    rows: int | None = None
    bytes: int | None = None  # as Arrow
    workers: int | None = None
    seconds: tuple[float, ...] = ()
    cpu_seconds: tuple[float, ...] = ()  # of all threads and child processes
    peak_memory: tuple[int, ...] = ()  # bytes, of the tree of processes
    extra: Mapping[str, Any] = field(default_factory=dict)  # the suite's own; numbers are lists, one a round
    refused: str | None = None  # a sentence, in place of numbers
    date: str = ""
    commit: str | None = None  # of git; with "+" where files had been changed
    machine: Mapping[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def key(self) -> Key:
        """What a result is of: two with the same key can be compared."""
        return (self.suite, self.case, self.way, self.rows, self.workers)

    @property
    def on_paper(self) -> bool:
        """Whether nothing was run: the seconds are those of a model."""
        return bool(self.extra.get("on_paper"))

    @property
    def typical(self) -> float | None:
        """The median of the seconds; None where there is none."""
        return median(self.seconds) if self.seconds else None

    @property
    def memory(self) -> float | None:
        """The median of the peak memory, in bytes; None where there is none."""
        return median(self.peak_memory) if self.peak_memory else None

    @property
    def label(self) -> str:
        """The way, with its workers, for people."""
        workers = f"{self.workers} worker{'s' * (self.workers != 1)}" if self.workers else ""
        return f"{self.way}, {workers}" if workers and workers not in self.way else self.way

    def number(self, name: str) -> float | None:
        """The median of a number of `extra`; None where there is none."""
        found = self.extra.get(name)
        if isinstance(found, (list, tuple)):
            return median(found) if found else None
        return float(found) if isinstance(found, (int, float)) else None


_FIELDS = {one.name for one in dataclasses.fields(Result)}
_LISTS = ("seconds", "cpu_seconds", "peak_memory")


def write_line(file: Any, result: Result) -> None:
    """One line, which is on the disk when this returns."""
    file.write(json.dumps(dataclasses.asdict(result)) + "\n")
    file.flush()


def write(results: Iterable[Result], path: Path) -> None:
    """A whole file of results."""
    with open_output(path) as file:
        for one in results:
            write_line(file, one)


def open_output(path: Path) -> Any:
    """Open a file for writing, and make its folder.

    Raises:
        StorageFailed: it can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise StorageFailed(f"{path}: can't be written ({error.strerror}). Name another file with --output.") from error


def read(path: Path) -> list[Result]:
    """The results of one file.

    Raises:
        StorageFailed: it can't be read.
        DamagedData: a line that is no result.
        InvalidRequest: a line of another format.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StorageFailed(f"{path}: can't be read ({error}). Name a file of results, or a folder of them.") from error
    return [_parse(line, f"{path}, line {number}") for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def read_all(paths: Sequence[Path]) -> tuple[list[Result], list[str]]:
    """The results of files and folders, and a sentence for each file of a folder that is of another format.

    A file that is named itself must be right. Files of runs that were interrupted count only when they are named.
    """
    found: list[Result] = []
    skipped = []
    for path in paths:
        if not path.is_dir():
            found += read(path)
            continue
        for file in files(path):
            try:
                found += read(file)
            except InvalidRequest as error:
                skipped.append(str(error))
    return found, skipped


def files(folder: Path) -> list[Path]:
    """The files of results of a folder, sorted.

    Raises:
        StorageFailed: there is none.
    """
    found = sorted(one for one in folder.glob("*.jsonl") if not one.name.endswith(UNFINISHED))
    if not found:
        raise StorageFailed(f"{folder}: holds no results (*.jsonl). Measure some: ailab-dataproc bench run load.")
    return found


def by_case(results: Iterable[Result]) -> Iterator[tuple[str, list[Result]]]:
    """The cases of a suite in the order in which they stand, each with the results of all its ways."""
    found: dict[str, list[Result]] = {}
    for one in results:
        found.setdefault(one.case, []).append(one)
    yield from found.items()


def _parse(line: str, where: str) -> Result:
    try:
        told = json.loads(line)
    except ValueError as error:
        raise DamagedData(f"{where}: is no JSON ({error}). Measure again.") from error
    if not isinstance(told, dict):
        raise DamagedData(f"{where}: found a {type(told).__name__}, wanted a result. Measure again.")
    if told.get("format") != FORMAT:
        raise InvalidRequest(
            f"{where}: has format {told.get('format', 'none')}, wanted {FORMAT}. Measure again with this version, "
            "or read it with the one that wrote it."
        )
    wrong = _wrong(told)
    if wrong:
        raise DamagedData(f"{where}: {wrong}. Measure again.")
    lists = {name: tuple(told.get(name) or ()) for name in _LISTS}
    return Result(**(told | lists))


def _wrong(told: Mapping[str, Any]) -> str:
    """What is wrong with the fields of a line, or nothing."""
    for name in ("suite", "case", "way"):
        if not isinstance(told.get(name), str):
            return f"{name} is {told.get(name)!r}, wanted a text"
    for name in _LISTS:
        values = told.get(name) or []
        if not isinstance(values, list) or not all(isinstance(one, (int, float)) and one >= 0 for one in values):
            return f"{name} is {values!r}, wanted a list of numbers"
    for name in ("extra", "machine"):
        if not isinstance(told.get(name, {}), dict):
            return f"{name} is {told[name]!r}, wanted an object"
    for name in ("rows", "bytes", "workers"):
        if not isinstance(told.get(name), (int, type(None))):
            return f"{name} is {told[name]!r}, wanted a whole number or null"
    strange = sorted(set(told) - _FIELDS)
    return f"unknown field {strange[0]!r}" if strange else ""
