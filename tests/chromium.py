"""The Chromium of this machine, for tests of pages; none is downloaded."""

from __future__ import annotations

import contextlib
import shutil

import pytest

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
needed = pytest.mark.skipif(not PROGRAM, reason="no Chromium is installed")


@contextlib.contextmanager
def browser():
    """A browser that playwright drives."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
        yield started
        started.close()
