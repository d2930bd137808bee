"""Beam in a notebook: without what it does for its own interactive runner, which pandas 3 breaks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def as_in_a_script() -> Iterator[None]:
    """Build and run pipelines as outside of a notebook.

    In IPython, Beam 2.77 names each step after its cell. For that it imports its interactive runner and with it its
    data frames, which fail with pandas 3 (``DataFrame.first`` is gone).
    """
    from apache_beam import pipeline
    from apache_beam.utils import interactive_utils

    asked = interactive_utils.is_in_ipython
    modules: tuple[Any, ...] = (pipeline, interactive_utils)
    try:
        for module in modules:
            module.is_in_ipython = _no
        yield
    finally:
        for module in modules:
            module.is_in_ipython = asked


def _no() -> bool:
    return False
