"""Whether this process is the kernel of a notebook."""

from __future__ import annotations

import sys
from typing import Any


def in_notebook() -> bool:
    """Whether what is shown goes below a cell; a library may have imported Jupyter's modules for another reason."""
    ipython: Any = sys.modules.get("IPython")
    return hasattr(ipython and ipython.get_ipython(), "kernel")
