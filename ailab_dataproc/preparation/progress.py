"""Progress bars: over finished tasks (it counts receipts, so it works for any runner), and over a download's bytes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ailab_dataproc.progressing import Progress
from ailab_dataproc.storage import Folder

_EVERY = {True: 0.25, False: 2.0}  # seconds between two looks, on a disk and in a bucket


@contextmanager
def watched(receipts: Folder, total: int, label: str, *, shown: bool) -> Iterator[None]:
    """Show how many of `total` tasks have left a receipt while the block runs; in a job that is its progress."""
    with Progress(total=total, what=f"prepare {label}", bar=shown) as bar:
        if not bar.is_shown:
            yield
            return
        done = threading.Event()

        def watch() -> None:
            while not done.wait(_EVERY[receipts.is_local]):
                bar.update(len(receipts.names()))

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            bar.update(len(receipts.names()))


@contextmanager
def downloading(label: str, *, shown: bool) -> Iterator[Callable[[int, int | None], None]]:
    """Show how much of a download is there; yields what is called with the bytes so far and in all."""
    if not shown:
        yield lambda count, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        line = bar.add_task(f"download {label}", total=None)
        yield lambda count, total: bar.update(line, completed=count, total=total)
