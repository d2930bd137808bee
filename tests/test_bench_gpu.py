"""The gpu suite without a GPU: its cases and answers on the CPUs, its refusal, the node's script, the report's part."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.gpus import look

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
ROWS = 20_000
GPUS = 3
NO_GPU = pytest.mark.skipif(bool(look()[0]), reason="there is a GPU")

for library in ("psutil", "duckdb", "pandas", "polars", "dask", "torch", "apache_beam"):
    pytest.importorskip(library)
# The scripts import each other by their bare names; other tests must not find them by these.
sys.path.insert(0, str(BENCHMARKS))
import clock  # noqa: E402
import gpu  # noqa: E402
import gpu_findings  # noqa: E402
import results  # noqa: E402
import tpch_queries  # noqa: E402

sys.path.remove(str(BENCHMARKS))

# What `gpu_node.sh` doesn't ask for on a node; the import fails as if it weren't installed.
ELSEWHERE = ("apache_beam", "duckdb", "tensorflow", "tensorflow_datasets", "matplotlib", "jinja2", "datasketches")
BLOCK = f"""
import sys
class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {ELSEWHERE!r}:
            raise ModuleNotFoundError(f"no {{name}} here", name=name)
sys.meta_path.insert(0, Gone())
"""


def script(*words: object, path: str = str(ROOT)) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": path, "PYTHON": sys.executable}
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False, env=environment)


def suite(*words: object) -> subprocess.CompletedProcess[str]:
    return script(sys.executable, BENCHMARKS / "gpu.py", *words)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """What `gpu_node.sh pack` makes."""
    folder = tmp_path_factory.mktemp("packed")
    done = script("bash", BENCHMARKS / "gpu_node.sh", "pack", folder, ROWS)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def measured(packed, tmp_path_factory):
    """One round of the limits and of what is read from the disk, by the script on its own."""
    output = tmp_path_factory.mktemp("measured") / "gpu.jsonl"
    given = ("--cpu-only", "--folder", packed, "--rows", ROWS, "--rounds", 1)
    done = suite(*given, "--only", "disk", "--output", output)
    assert done.returncode == 0, done.stderr
    return results.read(output)


def data(packed):
    return packed / f"gpu-{ROWS}"


@pytest.mark.parametrize("point", list(gpu.over(0, 1 << 20)), ids=lambda one: f"{one.case}, {one.way}")
def test_a_way_on_the_cpus_gives_what_duckdb_gives(point, packed):
    line = gpu.measure(point, data(packed))
    assert line["seconds"] > 0
    assert line["bytes"] > 0
    assert line["rows"] or point.case == "limits"


def test_an_answer_that_is_off_is_refused(packed, tmp_path):
    place = shutil.copytree(data(packed), tmp_path / "data")
    told = json.loads((place / "answers.json").read_text())
    told["answers"]["sort"][0][0] += 1
    (place / "answers.json").write_text(json.dumps(told))
    point = next(one for one in gpu.over(0, 1 << 20) if one.case == "sort")
    with pytest.raises(clock.WrongAnswer, match=r"row 0: 20000\.0, wanted 20001"):
        gpu.measure(point, place)


def test_too_few_shards_for_spilling_are_refused_before_a_gpu_is_touched(packed):
    point = next(one for one in gpu.over(GPUS, 1 << 20) if one.given.get("third") and not one.workers)
    point = dataclasses.replace(point, given={**point.given, "backend": "pandas"})
    with pytest.raises(InvalidRequest, match=r"wanted a 12th of it at most\. Take a larger --scale"):
        gpu.measure(point, data(packed))


def test_every_case_has_ways_on_the_cpus_and_on_gpus():
    cases = {}
    for one in gpu.over(GPUS, 1 << 20):
        cases.setdefault(one.case, set()).add(one.given["device"])
    assert set(cases) == {"limits", "spilling", *gpu.CASES, *(f"TPC-H {name}" for name in tpch_queries.QUERIES)}
    assert set(map(frozenset, cases.values())) == {frozenset({"cpu", "gpu"})}


def test_dask_cudf_is_measured_over_1_2_and_all_gpus():
    found = [one.workers for one in gpu.over(GPUS, 1 << 20) if one.case == "join" and one.workers]
    assert found == [1, 2, 3]


def test_without_its_library_a_way_on_gpus_is_refused_with_the_pip_line():
    one = next(one for one in gpu.over(GPUS, 1 << 20) if one.way == "cudf" and one.case == "to tensors")
    assert (one.needs, one.extra) == (("cudf", "torch"), "dask,gpu,torch")


@NO_GPU
def test_without_a_gpu_one_sentence_says_what_is_missing(tmp_path):
    done = suite("--output", tmp_path / "gpu.jsonl")
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("gpu: no GPU visible (")
    assert "--cpu-only" in done.stderr
    assert not (tmp_path / "gpu.jsonl").exists()


def test_a_read_tells_the_bytes_of_the_files_and_its_part_of_the_limit(measured):
    limits, rest = gpu_findings.split(measured)
    assert len(rest) == 3
    for one in rest:
        assert 0 < one.number("stored_bytes") < one.bytes
        assert gpu_findings.share(one, limits) > 0


def test_a_node_needs_neither_beam_nor_duckdb(packed, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(BLOCK)
    given = ("--cpu-only", "--rounds", 1, "--only", "sort", "--output", tmp_path / "gpu.jsonl")
    done = script("bash", BENCHMARKS / "gpu_node.sh", "run", packed, *given, path=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [one.refused for one in results.read(tmp_path / "gpu.jsonl")] == [None] * 3


def test_make_wants_a_folder_that_keeps_the_data():
    done = suite("--make", "--rows", ROWS)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --make: no folder was given")


def made_up() -> list[results.Result]:
    """Of every way on three GPUs: a line, on which GPUs are ten times as fast."""
    found = []
    for number, one in enumerate(gpu.over(GPUS, 10**9)):
        gpus = one.given["device"] == "gpu"
        seconds = 0.01 if one.case == "limits" else (0.02 if gpus else 0.2) * (1 + number % 7 / 7) / (one.workers or 1)
        size = 4 * 10**10 if one.way == "device to device" else 5 * 10**8
        extra = dict(one.given) | ({"stored_bytes": [10**8] * 3} if one.case.startswith("read") else {})
        extra |= {"device_memory": [10**9] * 3} if gpus else {}
        extra |= {"predicted": [1.2e9], "measured": [1e9]} if one.way == "cudf" and one.case.startswith("read") else {}
        told = {"suite": "gpu", "case": one.case, "way": one.way, "workers": one.workers, "rows": 10**7, "bytes": size}
        found.append(results.Result(**told, seconds=(seconds, 1.1 * seconds, seconds), extra=extra, date="2026-11-23"))
    return found


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report of made-up results."""
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("page")
    results.write(made_up(), folder / "gpu.jsonl")
    done = script(
        sys.executable, BENCHMARKS / "report.py", folder / "gpu.jsonl", "-o", folder / "r.html", "--png", folder
    )
    assert done.returncode == 0, done.stderr
    return folder / "r.html"


def test_the_report_draws_gb_a_second_beside_the_limits_for_each_kind_of_case(page):
    kinds = ("from-files", "in-memory", "tpc-h", "spilling")
    assert {f"gpu-{kind}-limits.png" for kind in kinds} <= {one.name for one in page.parent.glob("*.png")}
    text = page.read_text()
    assert "device to device: 4,000 GB/s" in text
    assert "GPUs, the library's own read_parquet" in text


def test_the_report_draws_the_speed_up_over_gpus(page):
    assert (page.parent / "gpu-join-speed-up.png").exists()


def test_the_report_says_how_gpus_stand_beside_cpus_and_what_spilling_costs(page):
    text = page.read_text()
    assert "The fastest way on GPUs beats the fastest on the CPUs of the same machine in 16 of 16 cases" in text
    assert "Spilling with cudf: rows three times as large as the pool take" in text
    assert "Not run:" not in text


def test_the_report_says_that_nothing_was_measured_on_a_gpu(measured, tmp_path):
    pytest.importorskip("matplotlib")
    results.write(measured, tmp_path / "gpu.jsonl")
    script(sys.executable, BENCHMARKS / "report.py", tmp_path / "gpu.jsonl", "-o", tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert "Measured on CPUs only." in text
    assert "that were measured on a GPU" in text


def test_over_the_bus_the_bytes_of_the_files_count():
    limit = results.Result(suite="gpu", case="limits", way="host to device, pinned", bytes=10**9, seconds=(0.1,))
    extra = {"limit": limit.way, "stored_bytes": [10**8]}
    read = results.Result(suite="gpu", case="read", way="cudf", bytes=10**9, seconds=(0.05,), extra=extra)
    assert gpu_findings.share(read, [limit]) == pytest.approx(0.2)
