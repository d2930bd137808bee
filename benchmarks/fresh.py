"""A measurement is a fresh process of the same script, which is started with --one and prints one line of JSON."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def parser(suite: str, doc: str | None, **one: Any) -> argparse.ArgumentParser:
    """The options that all suites have.

    Args:
        suite: names the file of its results.
        doc: of the script.
        **one: what ``add_argument`` takes for the values of --one.
    """
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / f"{suite}.jsonl")
    made.add_argument("--one", help=argparse.SUPPRESS, **one)
    return made


def measured(script: str, *one: Any) -> dict[str, Any]:
    """What a fresh process of a script measures."""
    command = [sys.executable, script, "--one", *map(str, one)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
