"""progress: a bar on a terminal or in a notebook; in a job what `jobs status` shows. Nothing elsewhere."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sized
from typing import Any, Protocol, Self, TypeVar

from ailab_dataproc.notebook import in_notebook

VARIABLE = "AILAB_JOB_PROGRESS"  # names the file that a job's worker looks at
_EVERY = 0.5  # seconds between two writes of that file
_DRAWN = 0.1  # seconds between two looks of a bar at the count
_T = TypeVar("_T")
_lock = threading.Lock()
_open: list[Progress] = []  # the bar that is shown; others within it count in silence


class _Place(Protocol):
    """Where progress is shown."""

    every: float  # seconds between two calls of `show`

    def show(self, done: float, total: float | None) -> None: ...

    def close(self) -> None: ...


def progress(iterable: Iterable[Any] | None = None, total: float | None = None, what: str = "") -> Progress:
    """Tell how far a loop is: by a bar on a terminal or in a notebook, in a job by `ailab-dataproc jobs status`.

    ``for file in adp.progress(files, what="files"): …`` or ``with adp.progress(total=10) as bar: bar.advance(3)``.
    Of bars within bars the outermost is shown.

    Args:
        iterable: what is gone through; an item counts when the next one is asked for.
        total: how many there are; by default the length of `iterable`, where it has one.
        what: is being done, in a word or two.
    """
    return Progress(iterable, total, what)


class Progress(Iterable[Any]):
    """A count that is shown while its loop or its block runs; `update` and `advance` may be called from any thread.

    Args:
        iterable: see `progress`.
        total: see `progress`.
        what: see `progress`.
        bar: whether to draw a bar; None draws one where a person looks. A job's progress is told anyway.
    """

    def __init__(
        self,
        iterable: Iterable[Any] | None = None,
        total: float | None = None,
        what: str = "",
        *,
        bar: bool | None = None,
    ) -> None:
        self._iterable = iterable
        self.total = len(iterable) if total is None and isinstance(iterable, Sized) else total
        self.what = what
        self.done: float = 0
        self._bar = bar
        self._place: _Place | None = None
        self._due = float("inf")  # of time.monotonic: when it is shown again
        self._writing = threading.Lock()

    def __iter__(self) -> Iterator[Any]:
        """Give the items and count them."""
        if self._iterable is None:
            raise TypeError("progress: there is nothing to go through. Pass an iterable, or use it in a with block.")
        self.done = 0
        with self:
            clock = time.monotonic
            for item in self._iterable:
                yield item
                self.done += 1
                if clock() >= self._due:
                    self._show()

    def __enter__(self) -> Self:
        """Show it, where no other bar is open."""
        with _lock:
            if not _open and (place := _place_of(self)):
                _open.append(self)
                self._place = place
        self._show()
        return self

    def __exit__(self, *_: object) -> None:
        """Show the last count, also after an error."""
        if self._place:
            self._show()
            self._due = float("inf")
            self._place.close()
            self._place = None
            with _lock:
                _open.remove(self)

    @property
    def is_shown(self) -> bool:
        """Whether anything comes of counting: not within another bar, and not where nobody looks."""
        return self._place is not None

    def advance(self, count: float = 1) -> None:
        """So much more is done."""
        with self._writing:
            self.done += count
        if time.monotonic() >= self._due:
            self._show()

    def update(self, done: float, total: float | None = None) -> None:
        """So much is done in all, of `total` where that has changed."""
        self.done = done
        if total is not None:
            self.total = total
        if time.monotonic() >= self._due:
            self._show()

    def _show(self) -> None:
        if self._place:
            with self._writing:
                self._due = time.monotonic() + self._place.every
                self._place.show(self.done, self.total)


def _place_of(one: Progress) -> _Place | None:
    file = os.environ.get(VARIABLE)
    if file:
        return _JobFile(file, one.what)
    if one._bar is False:
        return None
    if in_notebook():
        return _Notebook(one.what)
    return _Terminal(one.what) if one._bar or sys.stderr.isatty() else None


class _JobFile:
    """The file that a job's worker looks at."""

    every = _EVERY

    def __init__(self, file: str, what: str) -> None:
        self._file = file
        self._what = what
        # Processes that are started meanwhile are within this bar.
        del os.environ[VARIABLE]

    def show(self, done: float, total: float | None) -> None:
        text = json.dumps({"done": done, "total": total, "what": self._what})
        new = f"{self._file}.new"
        # A full disk or a folder that is gone is no reason to end hours of work: the count is missed, no more.
        with contextlib.suppress(OSError):
            with open(new, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(new, self._file)

    def close(self) -> None:
        os.environ[VARIABLE] = self._file


class _Terminal:
    """A bar of rich on the standard error, which goes away at the end."""

    every = _DRAWN

    def __init__(self, what: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        # A copy of the standard error: what is watched may send the original elsewhere for a while.
        self._stderr = os.fdopen(os.dup(2), "w")
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        # What is printed goes above the bar, but never from the standard output to the standard error.
        how: Any = {"console": Console(file=self._stderr), "redirect_stdout": sys.stdout.isatty(), "transient": True}
        self._bar = Progress(*columns, **how)
        self._line = self._bar.add_task(what, total=None)
        self._bar.start()

    def show(self, done: float, total: float | None) -> None:
        self._bar.update(self._line, completed=done, total=total)

    def close(self) -> None:
        self._bar.stop()
        self._stderr.close()


class _Notebook:
    """A bar of HTML below the cell, which needs no widgets; it stays."""

    every = _EVERY

    def __init__(self, what: str) -> None:
        from IPython.display import HTML, display

        self._html, self._what = HTML, what
        self._handle = display(HTML(""), display_id=True)

    def show(self, done: float, total: float | None) -> None:
        from html import escape

        bar = f'<progress value="{done}" max="{total}"></progress> ' if total else ""
        self._handle.update(self._html(f"{bar}{escape(self._what)} {told(done, total)}"))

    def close(self) -> None:
        pass


def told(done: float, total: float | None) -> str:
    """``1,200 of 4,000 (30 %)``."""
    if not total:
        return _number(done)
    return f"{_number(done)} of {_number(total)} ({100 * done / total:.0f} %)"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:,.2f}"
