"""A function over many items, some ahead of the caller: results in order, a bounded number of them in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def ahead(
    function: Callable[[_Item], _Result], items: Iterable[_Item], *, limit: int, threads: int
) -> Iterator[_Result]:
    """Call a function for each item in threads of its own, and give the results in order.

    An error is raised where its result would come. When the iterator is closed, or forgotten, what hasn't begun is
    dropped, and the threads end.

    Args:
        function: must let other threads run.
        items: looked at as late as possible.
        limit: results that may wait, or be made, while the caller has one.
        threads: at most.
    """
    pool = ThreadPoolExecutor(max_workers=max(1, min(threads, limit)), thread_name_prefix="ailab-dataproc")
    waiting: deque[Future[Any]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > limit:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
