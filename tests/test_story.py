"""The README's story of a CSV that nobody has seen is run as a reader would, and its output is compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"<!-- (story|edit: [^>]*?) -->\n+```(\w+)\n(.*?)```", re.DOTALL)


def run(folder: Path, command: str) -> str:
    """Run a command line in the reader's folder, with the settings that the README exports."""
    settings = {"AILAB_DATASETS": "my_datasets", "AILAB_DATA_DIR": "data", "HOME": str(folder), "COLUMNS": "200"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, **settings, "PATH": path}
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def fill_in(file: Path, text: str) -> None:
    """Put each line in the place of the one for the same column; the first one is the docstring."""
    docstring, *columns = text.splitlines()
    lines = file.read_text(encoding="utf-8").splitlines()
    lines[0] = docstring
    for line in columns:
        start = line.partition(",")[0]
        place = next(number for number, old in enumerate(lines) if old.strip().startswith(start + ","))
        lines[place] = " " * 12 + line
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def same_words(shown: str, found: str) -> None:
    """Compare line by line, whatever the width; … stands for anything, as a line for any lines."""
    pattern = ""
    for line in shown.strip().splitlines():
        words = r"\s+".join(r".*".join(map(re.escape, word.split("…"))) for word in line.split())
        pattern += r"(.*\n)*" if line.strip() == "…" else rf"\s*{words}\s*\n"
    assert re.fullmatch(pattern, found.strip() + "\n"), f"the README shows\n{shown}\nand this was printed\n{found}"


def test_the_five_commands_lead_from_an_unseen_csv_to_a_dataset_that_loads(tmp_path):
    pytest.importorskip("sklearn")
    (tmp_path / "my_datasets").mkdir()
    commands = 0
    for kind, language, text in _BLOCK.findall(README):
        if kind != "story":
            fill_in(tmp_path / kind.removeprefix("edit: "), text)
        elif language == "python":
            run(tmp_path, f"{sys.executable} - <<'END'\n{text}\nEND")
        else:
            for line, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
                found = run(tmp_path, line)
                commands += not line.startswith("python ")
                if shown.strip():
                    same_words(shown, found)
    assert commands == 5
