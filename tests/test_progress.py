"""progress: what a job's worker reads, what is seen on a terminal, and that nothing is shown elsewhere."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import ailab_dataproc as adp
from ailab_dataproc import progressing


@pytest.fixture
def channel(tmp_path, monkeypatch):
    """The file that the worker of a job looks at."""
    monkeypatch.setenv(progressing.VARIABLE, str(tmp_path / "progress.json"))
    return tmp_path / "progress.json"


def read(channel: Path) -> dict[str, object]:
    return json.loads(channel.read_text())


def test_the_items_come_as_they_are_and_are_counted(channel):
    assert list(adp.progress("abc", what="letters")) == ["a", "b", "c"]
    assert read(channel) == {"done": 3, "total": 3, "what": "letters"}


def test_before_the_first_item_is_done_the_total_is_told(channel):
    for _ in adp.progress(range(7)):
        assert read(channel) == {"done": 0, "total": 7, "what": ""}
        break


def test_a_generator_has_no_total_unless_it_is_given(channel):
    list(adp.progress(iter("ab")))
    assert read(channel)["total"] is None
    list(adp.progress(iter("ab"), total=2))
    assert read(channel)["total"] == 2


def test_a_block_counts_by_hand(channel):
    with adp.progress(total=10, what="fit") as bar:
        bar.advance(3)
        bar.advance()
    assert read(channel) == {"done": 4, "total": 10, "what": "fit"}


def test_an_update_sets_the_count_and_may_set_the_total(channel):
    with adp.progress(what="fit") as bar:
        bar.update(0.25, total=1.5)
    assert read(channel) == {"done": 0.25, "total": 1.5, "what": "fit"}


def test_an_error_leaves_the_count_where_it_happened(channel):
    with pytest.raises(ZeroDivisionError):
        [1 / number for number in adp.progress([1, 2, 0, 4])]
    assert read(channel)["done"] == 2


def test_the_file_is_written_a_few_times_only(channel, monkeypatch):
    writes = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *names: (writes.append(names), replace(*names)))
    start = time.monotonic()
    for _ in adp.progress(range(100_000)):
        pass
    assert len(writes) <= 2 + (time.monotonic() - start) / 0.5


def test_long_work_is_told_while_it_goes_on(channel):
    seen = set()
    for _ in adp.progress(range(8)):
        time.sleep(0.2)
        seen.add(read(channel)["done"])
    assert len(seen) > 2


def test_of_bars_within_bars_the_outermost_is_told(channel):
    for _ in adp.progress(range(2), what="folds"):
        list(adp.progress(range(50), what="rows"))
    assert read(channel) == {"done": 2, "total": 2, "what": "folds"}


def test_after_one_bar_the_next_is_told(channel):
    list(adp.progress(range(2), what="first"))
    list(adp.progress(range(3), what="second"))
    assert read(channel)["what"] == "second"


def test_a_process_that_is_started_within_a_bar_tells_nothing(channel):
    code = "import ailab_dataproc as adp; list(adp.progress(range(9), what='inner'))"
    for _ in adp.progress(range(1), what="outer"):
        subprocess.run([sys.executable, "-c", code], check=True)
    assert read(channel)["what"] == "outer"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert read(channel)["what"] == "inner"


def test_threads_count_together(channel):
    with adp.progress(total=4000) as bar:
        threads = [threading.Thread(target=lambda: [bar.advance() for _ in range(1000)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert read(channel)["done"] == 4000


def test_a_channel_that_is_gone_ends_no_work(tmp_path, monkeypatch):
    monkeypatch.setenv(progressing.VARIABLE, str(tmp_path / "gone" / "progress.json"))
    assert list(adp.progress(range(3))) == [0, 1, 2]


def test_a_bar_without_anything_to_go_through_can_not_be_iterated():
    with pytest.raises(TypeError, match="nothing to go through"):
        list(adp.progress(total=3))


def test_a_preparation_within_a_job_is_its_progress(channel, make):
    make()
    assert read(channel) == {"done": 1, "total": 1, "what": "prepare test/clicks"}


def test_a_pipe_gets_nothing():
    code = "import ailab_dataproc as adp; [print(i) for i in adp.progress(range(3))]"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("0\n1\n2\n", "")


def test_a_terminal_gets_a_bar_and_what_is_printed_stays_on_the_standard_output():
    code = "import time, ailab_dataproc as adp\nfor i in adp.progress(range(3), what='fit'): print(i); time.sleep(.2)"
    here, there = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=there,
        check=True,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(there)
    shown = os.read(here, 100_000).decode()
    os.close(here)
    assert done.stdout == b"0\n1\n2\n"
    assert "fit" in shown
    assert "2/3" in shown


@pytest.mark.parametrize(
    ("done", "total", "text"),
    [(1200.0, 4000.0, "1,200 of 4,000 (30 %)"), (0.25, 1.5, "0.25 of 1.50 (17 %)"), (7, None, "7"), (0, 0, "0")],
)
def test_counts_are_told_as_people_write_them(done, total, text):
    assert progressing.told(done, total) == text
