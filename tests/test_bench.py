"""Benchmarks: fresh processes that take turns, results of one format, what differs beyond the noise, the page."""

from __future__ import annotations

import dataclasses
import html.parser
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import chromium
import numpy as np
import pytest
from click.testing import CliRunner

from ailab_dataproc.cli import cli
from ailab_dataproc.errors import DamagedData, InvalidRequest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
TOY = Path(__file__).parent / "bench_suites" / "toy.py"

pytest.importorskip("psutil")
# The scripts import each other by their bare names; other tests must not find them by these.
sys.path.insert(0, str(BENCHMARKS))
import clock  # noqa: E402
import compare  # noqa: E402
import findings  # noqa: E402
import results  # noqa: E402
import space  # noqa: E402
import spread  # noqa: E402

sys.path.remove(str(BENCHMARKS))

MACHINE = {"cpu": "a processor", "cores": 2, "memory_gb": 25.3, "disk": "ext4", "gpus": [], "python": "3.11.7"}


def script(*command: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, *map(str, command)]
    return subprocess.run(words, capture_output=True, text=True, check=False, env=environment)


def made(way="ailab_dataproc", seconds=(1.0, 1.1, 0.9, 1.0, 1.05), **fields) -> results.Result:
    given = {"suite": "toy", "case": "a case", "rows": 10, "bytes": 80, "date": "2026-11-23", "machine": MACHINE}
    return results.Result(way=way, seconds=tuple(seconds), **(given | fields))


def sizes(**fields) -> list[results.Result]:
    """A way that starts quickly and one that works quickly."""
    found = []
    for rows in (1000, 10_000, 100_000, 1_000_000):
        for way, start, each in (("ailab_dataproc, pandas", 0.01, 2e-6), ("ailab_dataproc, dask", 0.1, 1e-6)):
            seconds = [(start + each * rows) * one for one in (0.98, 1, 1.02)]
            memory = (10**8 + rows * 100,) * 3
            found.append(made(way, seconds, case="load", rows=rows, bytes=rows * 100, peak_memory=memory, **fields))
    return found


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """One run of the toy suite: its folder and what it said."""
    folder = tmp_path_factory.mktemp("toy")
    done = script(TOY, "--scale", "small", "--log", folder / "log", "--output", folder / "toy.jsonl")
    return folder, done


@pytest.fixture(scope="module")
def toy_results(toy):
    return {(one.case, one.way): one for one in results.read(toy[0] / "toy.jsonl")}


def test_each_round_measures_every_way_once(toy_results):
    assert len(toy_results["first", "ailab_dataproc"].seconds) == 3
    assert len(toy_results["first", "peer"].seconds) == 3


def test_a_way_that_is_too_slow_is_measured_once(toy_results):
    assert len(toy_results["second", "peer"].seconds) == 1


def test_the_ways_of_a_case_take_turns_in_another_order_each_round(toy):
    lines = (toy[0] / "log").read_text().splitlines()
    well = [line for line in lines if line in ("first ailab_dataproc", "first peer")]
    rounds = [well[at : at + 2] for at in range(0, 6, 2)]
    assert all(len(set(one)) == 2 for one in rounds)
    assert len({tuple(one) for one in rounds}) == 2


def test_the_cases_follow_each_other(toy):
    cases = [line.split()[0] for line in (toy[0] / "log").read_text().splitlines()]
    assert cases == sorted(cases)


def test_a_peer_that_is_not_installed_is_refused_with_the_pip_line(toy_results):
    refused = toy_results["first", "missing"].refused
    assert refused == "no_such_module is not installed: pip install 'ailab_dataproc[bench]'"


def test_a_backend_that_refuses_is_a_line_with_its_sentence(toy_results):
    assert toy_results["first", "refusing"].refused == "peer: refuses lists, wanted none. Take another."


def test_a_wrong_answer_has_no_time(toy_results):
    one = toy_results["first", "wrong"]
    assert (one.refused, one.seconds) == ("wrong answer: found wrong, wanted right", ())


def test_a_process_that_is_killed_is_told_and_the_others_go_on(toy_results):
    assert "signal 9" in toy_results["first", "dying"].refused
    assert toy_results["second", "ailab_dataproc"].seconds


def test_what_a_killed_process_has_started_is_ended(tmp_path):
    words = ["--only", "first, dying", "--rounds", 1, "--folder", tmp_path, "--output", tmp_path / "o.jsonl"]
    assert script(TOY, *words).returncode == 1
    left = Path("/proc") / (tmp_path / "toy-100" / "left").read_text() / "stat"
    assert not left.exists() or left.read_text().split()[2] == "Z"


def test_a_run_with_a_wrong_answer_ends_with_exit_code_1(toy):
    assert toy[1].returncode == 1


def test_every_line_names_its_machine_and_date(toy_results):
    for one in toy_results.values():
        assert {"cpu", "cores", "memory_gb", "disk", "gpus", "python", "versions"} <= set(one.machine)
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", one.date)


def test_numbers_of_extra_are_lists_of_one_a_round(toy_results):
    assert len(toy_results["first", "ailab_dataproc"].extra["added_memory"]) == 3


def test_ctrl_c_keeps_what_was_measured_and_says_where(tmp_path):
    log, output = tmp_path / "log", tmp_path / "toy.jsonl"
    words = [sys.executable, TOY, "--only", "peer", "--rounds", "500", "--log", log, "--output", output]
    running = subprocess.Popen(list(map(str, words)), stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not log.exists() or log.read_text().count("\n") < 3:
        assert running.poll() is None
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, told = running.communicate()
    kept = tmp_path / "toy.partial.jsonl"
    assert running.returncode == 130
    assert f"interrupted: 1 line kept in {kept}" in told
    assert len(results.read(kept)[0].seconds) >= 2
    assert not output.exists()


def test_what_was_interrupted_before_a_number_leaves_no_file(tmp_path):
    words = [
        sys.executable,
        TOY,
        "--wait",
        100,
        "--only",
        "peer",
        "--log",
        tmp_path / "log",
        "--output",
        tmp_path / "o",
    ]
    running = subprocess.Popen(list(map(str, words)), stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not (tmp_path / "log").exists():
        assert running.poll() is None
        time.sleep(0.05)
    running.terminate()
    _, told = running.communicate()
    assert "interrupted: nothing was measured yet" in told
    assert [one.name for one in tmp_path.iterdir()] == ["log"]


def test_what_was_interrupted_is_no_result_of_a_folder(tmp_path):
    results.write([made()], tmp_path / "toy.partial.jsonl")
    results.write([made("peer")], tmp_path / "toy.jsonl")
    assert [one.way for one in results.read_all([tmp_path])[0]] == ["peer"]


def test_data_is_kept_for_the_next_run_where_a_folder_is_given(tmp_path):
    words = [
        "--only",
        "first, peer",
        "--rounds",
        1,
        "--rows",
        7,
        "--folder",
        tmp_path,
        "--output",
        tmp_path / "o.jsonl",
    ]
    assert script(TOY, *words).returncode == 0
    (tmp_path / "toy-7" / "made").write_text("8")
    script(TOY, *words)
    assert results.read(tmp_path / "o.jsonl")[0].rows == 8


def test_nothing_to_measure_is_told(tmp_path):
    done = script(TOY, "--only", "nowhere", "--output", tmp_path / "o.jsonl")
    assert (done.returncode, done.stderr) == (
        2,
        "toy: nothing to measure: no case or way has 'nowhere' in its name.\n",
    )


def test_a_machine_that_lacks_something_is_told_before_it_starts(tmp_path, monkeypatch):
    monkeypatch.setenv("TOY_LACKS", "no GPU is visible.")
    done = script(TOY, "--output", tmp_path / "o.jsonl")
    assert (done.returncode, done.stderr) == (3, "toy: no GPU is visible.\n")


def test_a_disk_that_is_too_small_is_told_before_it_starts(tmp_path):
    with pytest.raises(InvalidRequest, match=r"free, toy needs about 1000\.0 TB\. Take a smaller --scale"):
        space.check_space(tmp_path / "new", 1e15, 0, "toy")


def test_memory_that_is_too_small_is_told_before_it_starts(tmp_path):
    with pytest.raises(InvalidRequest, match=r"memory: .* are free, toy needs about 1000\.0 TB"):
        space.check_space(tmp_path, 0, 1e15, "toy")


def test_a_clock_sees_the_memory_and_the_work_of_child_processes():
    code = "x = bytearray(600_000_000); n = sum(range(8_000_000)); import time; time.sleep(0.4)"
    with clock.Clock() as found:
        subprocess.run([sys.executable, "-c", code], check=True)
    assert found.added_memory > 400e6  # this process gives some of its own back meanwhile
    assert found.cpu_seconds > 0.05


def test_a_clock_counts_what_this_process_holds_meanwhile():
    with clock.Clock() as found:
        held = np.ones(15_000_000)
        del held
    assert found.added_memory > 0
    assert found.peak_memory > 100e6


def test_results_come_back_as_they_were_written(tmp_path):
    one = made(extra={"text": "x", "number": [1.5, 2.5]}, peak_memory=(1, 2), commit="abc+")
    results.write([one], tmp_path / "x.jsonl")
    assert results.read(tmp_path / "x.jsonl") == [one]


def test_results_of_another_format_are_refused_in_a_sentence(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"format": 99}\n')
    with pytest.raises(InvalidRequest, match=r"x\.jsonl, line 1: has format 99, wanted 1\. Measure again"):
        results.read(tmp_path / "x.jsonl")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"seconds": "long"}, "seconds is 'long', wanted a list of numbers"),
        ({"case": None}, "case is None, wanted a text"),
        ({"rows": "10"}, "rows is '10', wanted a whole number or null"),
        ({"colour": 1}, "unknown field 'colour'"),
    ],
)
def test_a_line_that_is_no_result_is_refused_with_its_number(tmp_path, change, told):
    (tmp_path / "x.jsonl").write_text(json.dumps(dataclasses.asdict(made()) | change) + "\n")
    with pytest.raises(DamagedData, match=re.escape(f"x.jsonl, line 1: {told}")):
        results.read(tmp_path / "x.jsonl")


def test_a_line_that_was_cut_off_is_refused_with_its_number(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"format": 1, "sui')
    with pytest.raises(DamagedData, match=r"line 1: is no JSON"):
        results.read(tmp_path / "x.jsonl")


def test_the_median_deviation_is_not_moved_by_one_bad_round():
    assert spread.mad([1, 1.1, 0.9, 1, 100]) == pytest.approx(0.1)


@pytest.mark.parametrize("rounds", [3, 5, 10])
def test_two_runs_of_the_same_are_called_different_in_at_most_5_of_100(rounds):
    found = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        before, after = random.lognormal(0, 0.1, (2, rounds))
        found += spread.ratio(before.tolist(), after.tolist()).differs(0.05)
    assert found <= 5


@pytest.mark.parametrize("rounds", [3, 5, 10])
def test_a_slow_down_of_20_per_cent_is_found_in_noise_of_3_per_cent(rounds):
    found = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        before, after = random.lognormal(0, 0.03, (2, rounds))
        found += spread.ratio(before.tolist(), (1.2 * after).tolist()).differs(0.05)
    assert found >= 90


def test_a_difference_within_the_threshold_is_none():
    assert not spread.ratio([1.0, 1.0, 1.0], [1.04, 1.04, 1.04]).differs(0.05)
    assert spread.ratio([1.0, 1.0, 1.0], [1.06, 1.06, 1.06]).differs(0.05)


def test_one_round_proves_nothing():
    assert not spread.ratio([1.0], [9.0]).differs(0.05)


def test_a_ratio_is_the_same_each_time():
    assert spread.ratio([1, 2, 3, 4], [2, 3, 4, 5]) == spread.ratio([1, 2, 3, 4], [2, 3, 4, 5])


def test_a_regression_is_named_and_an_improvement_too():
    slow = [one * 1.5 for one in made().seconds]
    found = compare.compare([made("a"), made("b", slow)], [made("a", slow), made("b")])
    assert [one.way for one in found.worse] == ["a, 10 rows"]
    assert [one.way for one in found.better] == ["b, 10 rows"]


def test_more_memory_is_a_regression():
    found = compare.compare([made(peak_memory=(100, 101, 102))], [made(peak_memory=(200, 201, 202))])
    assert [one.measure for one in found.worse] == ["peak memory"]


def test_what_one_run_alone_has_is_told():
    found = compare.compare([made("a")], [made("b")])
    assert (found.only_before, found.only_after) == (["toy: a case | a, 10 rows"], ["toy: a case | b, 10 rows"])


def test_what_was_measured_and_fails_now_is_told():
    failing = made("a", (), rows=None, refused="was killed")
    found = compare.compare([made("a")], [failing])
    assert found.failed == ["toy: a case | a: was killed"]
    assert not found.only_before
    assert not found.only_after


def test_other_machines_and_versions_are_told_first():
    other = {**MACHINE, "cores": 64, "versions": {"polars": "2.2"}}
    told = compare.text(compare.compare([made()], [made(machine=other)]))
    assert told.startswith("Other machines: a processor, 2 cores, 25.3 GB before, a processor, 64 cores, 25.3 GB after")
    assert "Other versions: polars none before, 2.2 after." in told


def bench(*words: object):
    """`ailab-dataproc bench …` as a process: its scripts write to the terminal themselves."""
    return script("-m", "ailab_dataproc", "bench", *words)


def test_compare_ends_with_1_where_something_is_worse(tmp_path):
    results.write([made()], tmp_path / "a.jsonl")
    results.write([made(seconds=[2 * one for one in made().seconds])], tmp_path / "b.jsonl")
    assert bench("compare", tmp_path / "a.jsonl", tmp_path / "a.jsonl").returncode == 0
    done = bench("compare", tmp_path / "a.jsonl", tmp_path / "b.jsonl", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["lines"][0]["verdict"] == "worse"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("run", "laod"), "error: no suite 'laod'. Did you mean 'load'"),
        (("compare", "nowhere.jsonl", "there.jsonl"), "error: nowhere.jsonl: can't be read"),
        (("compare", "a", "b", "--threshold", "much"), "'much' is no share such as 5% or 0.05"),
        (("report", "nowhere.jsonl"), "error: nowhere.jsonl: can't be read"),
    ],
)
def test_bad_input_is_one_sentence(words, told):
    done = bench(*words)
    assert done.returncode == 2
    assert told in done.stderr.splitlines()[-1]


def test_a_page_that_cannot_be_written_is_told(tmp_path):
    results.write([made()], tmp_path / "a.jsonl")
    done = bench("report", tmp_path / "a.jsonl", "-o", tmp_path / "a.jsonl" / "page.html")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "page.html: can't be written" in done.stderr


def test_the_suites_are_listed_with_what_they_measure():
    listed = CliRunner().invoke(cli, ["bench", "list"]).stdout
    assert re.search(r"^load +Load TPC-H lineitem", listed, re.MULTILINE)
    assert re.search(r"^imports +What a fresh interpreter takes", listed, re.MULTILINE)


def test_every_file_of_results_that_has_a_format_can_be_read():
    found, _ = results.read_all([BENCHMARKS / "results"])
    assert {one.suite for one in found} >= {"load"}


def test_the_crossing_of_two_lines_is_found_between_the_sizes():
    (sweep,) = findings.sweeps(sizes())
    (crossing,) = sweep.crossings()
    assert (crossing.before, crossing.after) == ("ailab_dataproc, pandas", "ailab_dataproc, dask")
    assert 10_000 * 100 < crossing.size < 1_000_000 * 100


def test_a_way_that_is_refused_at_a_size_hands_over_there():
    kept = [one for one in sizes() if not ("dask" in one.way and one.rows < 1_000_000)]
    kept = [one for one in kept if not ("pandas" in one.way and one.rows == 1_000_000)]
    (sweep,) = findings.sweeps([*kept, made("ailab_dataproc, dask", (9.0,), case="load", rows=1000, bytes=100_000)])
    assert [one.size for one in sweep.crossings()] == [100_000_000.0]


def test_speed_up_counts_more_rows_as_more_work():
    weak = [made("a", (1.0, 1.0), workers=count, rows=10 * count) for count in (1, 2, 4)]
    (scaling,) = findings.scalings(weak)
    assert [one.value for one in scaling.ways["a"].values()] == [1, 2, 4]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page with every kind of picture: the file, and the folder of its PNGs."""
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("page")
    every = [*sizes(), *sizes(suite="other"), made("<script>alert(1)</script>", case="<b>&amp;"), made(case="<b>&amp;")]
    every += [made("peer", (2.0, 2.1, 1.9)), made(), made("gone", (), refused="it is not installed", rows=None)]
    every += [made("a", (4 / count, 4.1 / count), case="strong", workers=count) for count in (1, 2, 4)]
    every += [made(case="limits", way="disk", suite="gpu", bytes=10**9), made("cudf", suite="gpu", bytes=10**9)]
    every += [made(suite="memory", extra={"predicted": [100.0 * n], "measured": [90.0]}, case=f"{n}") for n in (1, 2)]
    results.write(every, folder / "now.jsonl")
    before = [dataclasses.replace(one, seconds=tuple(0.5 * second for second in one.seconds)) for one in sizes()]
    results.write(before, folder / "before.jsonl")
    done = bench(
        "report", folder / "now.jsonl", "-o", folder / "r.html", "--baseline", folder / "before.jsonl", "--png", folder
    )
    assert done.returncode == 0, done.stderr
    return folder / "r.html"


class Outline(html.parser.HTMLParser):
    """What a page has of tags, ids and addresses."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)


@pytest.fixture(scope="module")
def outline(page):
    return Outline(page.read_text(encoding="utf-8"))


def test_the_page_needs_nothing_else(outline):
    assert not [tag for tag, _ in outline.tags if tag in ("script", "iframe", "object", "embed", "img")]
    addresses = [given[key] for _, given in outline.tags for key in ("href", "src", "xlink:href") if given.get(key)]
    assert all(one.startswith(("#", "data:")) for one in addresses)


def test_the_page_forbids_scripts_and_foreign_styles(outline):
    (policy,) = [given["content"] for _, given in outline.tags if "http-equiv" in given]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert not [tag for tag, given in outline.tags if "style" in given]


def test_every_picture_has_words_in_its_place(outline):
    pictures = [given for tag, given in outline.tags if tag == "svg"]
    ids = {given.get("id") for _, given in outline.tags}
    assert len(pictures) >= 7
    for one in pictures:
        assert one["role"] == "img"
        assert set(one["aria-labelledby"].split()) <= ids


def test_no_id_stands_twice_and_every_link_leads_somewhere(outline):
    ids = [given["id"] for _, given in outline.tags if "id" in given]
    assert len(ids) == len(set(ids))
    links = [given["href"] for tag, given in outline.tags if tag == "a"]
    assert {one.removeprefix("#") for one in links} <= set(ids)


def test_names_of_results_are_no_html(page):
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_the_page_says_what_wins_where_and_what_has_become_slower(page):
    text = page.read_text(encoding="utf-8")
    assert "Of 2 cases with a peer, ailab_dataproc is faster than the fastest peer in 1, slower in 0" in text
    assert "load, fastest: ailab_dataproc, pandas up to" in text
    assert "strong, speed-up with workers: a 4.00 times with 4 (100% of ideal)." in text
    assert "8 worse and 0 better" in text


def test_the_page_says_that_no_gpu_was_measured(tmp_path):
    pytest.importorskip("matplotlib")
    results.write([made(seconds=(1.0,))], tmp_path / "a.jsonl")
    assert bench("report", tmp_path / "a.jsonl", "-o", tmp_path / "p.html").returncode == 0
    assert "Not run: these results hold no lines of the suite" in (tmp_path / "p.html").read_text()
    assert "1 way was measured once" in (tmp_path / "p.html").read_text()


def test_the_pictures_are_files_too(page):
    found = {one.name for one in page.parent.glob("*.png")}
    assert {
        "toy-load-throughput.png",
        "toy-load-memory.png",
        "toy-strong-speed-up.png",
        "memory-predicted.png",
    } <= found


@chromium.needed
def test_a_browser_shows_the_page_with_all_pictures_and_without_complaint(page, tmp_path):
    shot = tmp_path / "shot.png"
    words = ["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--screenshot={shot}"]
    words += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1000,3000", page.as_uri()]
    done = subprocess.run([chromium.PROGRAM, *words], capture_output=True, text=True, check=False, timeout=120)
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    dump = [one for one in words if not one.startswith("--screenshot")]
    shown = subprocess.run(
        [chromium.PROGRAM, "--dump-dom", *dump], capture_output=True, text=True, check=False, timeout=120
    )
    assert shown.stdout.count("<svg") == page.read_text(encoding="utf-8").count("<svg")
    assert shot.stat().st_size > 50_000
