"""The Dask client that this process is connected with."""

from __future__ import annotations

import sys
from typing import Any


def current_client() -> Any | None:
    """The client that Dask would use now, or None; distributed is not imported for it."""
    distributed = sys.modules.get("distributed")
    if distributed is None or not hasattr(distributed, "Client"):
        return None
    try:
        return distributed.Client.current()
    except ValueError:  # there is none
        return None
