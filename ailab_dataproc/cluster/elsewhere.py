"""Running a coroutine beside whatever loop this thread may have."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any


def elsewhere(asked: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in a thread with a loop of its own: a notebook's thread has one that runs."""
    answer: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def work() -> None:
        try:
            answer.set_result(asyncio.run(asked))
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=work, daemon=True, name="ailab-ask").start()
    return answer.result()
