"""What a job of Python does: it calls a function, with a loaded dataset first where one was asked for."""

from __future__ import annotations

from typing import Any

from ailab_dataproc import functions
from ailab_dataproc.jobs.record import Work
from ailab_dataproc.loading import load


def perform(work: Work) -> Any:
    """Do the work of a job where it runs, and return what its function does.

    Raises:
        InvalidRequest, UnknownName: the function can't be imported, or what is asked for doesn't fit the dataset.
        NotPrepared, StorageFailed: the dataset isn't there.
        BackendRefused: it doesn't fit into what this job may use.
    """
    function = functions.find(work.function) if isinstance(work.function, str) else work.function
    if work.reference is None:
        return function(*work.args, **work.kwargs)
    return function(load(work.reference, **work.load), *work.args, **work.kwargs)
