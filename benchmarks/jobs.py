"""What a job costs beside a plain Dask task: overhead and where it goes, many jobs at once, and listing them.

    python benchmarks/jobs.py [--rounds 15] [--jobs 200] [--listed 500] [--output benchmarks/results/jobs.jsonl]
    python benchmarks/jobs.py --show    # the tables of the README, from the results

A scheduler and two workers with two job slots each run as processes of their own on loopback. The task and the job do
the same: they return the time. They take turns, so that a noisy machine disturbs both alike; all numbers are medians.
Clients, workers and jobs read the same clock, which is why the parts of a job can be told.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from machine import stamp
from results import Result, read, write
from spread import median

import ailab_dataproc as adp

PROJECT = "import time\n\n\ndef now():\n    return time.time()\n"
CASES = {
    **dict.fromkeys(("task", "job", "python -c pass", "python -c import"), "one that does nothing"),
    "many": "many at once",
    **dict.fromkeys(("list_jobs", "jobs list"), "finished jobs"),
}
# The parts of a job, each up to a time that is known; what it means, for the table.
PARTS = {
    "submit": "`submit` packs the code, writes the job's folder and waits until the scheduler has the task",
    "task": "the scheduler gives the task to a worker, which reads the folder and starts the keeper",
    "start": "Python starts, the code is unpacked and imported, up to the first line of the function",
    "end": "the process ends, the worker notices, writes the log, the result and how it ended",
    "notice": "`result` sees that it has ended, and reads the result",
}


def main() -> None:
    """Measure, or show what has been measured.

    It is no suite of the harness: a fresh process for each number would start a cluster each time.
    """
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--jobs", type=int, default=200, help="at once")
    options.add_argument("--listed", type=int, default=500, help="finished jobs to list")
    options.add_argument("--output", type=Path, default=Path(__file__).parent / "results/jobs.jsonl")
    options.add_argument("--show", action="store_true", help="print the tables of results that are there")
    asked = options.parse_args()
    if not asked.show:
        write(_measured(asked.rounds, asked.jobs, asked.listed), asked.output)
    show(read(asked.output))


def _measured(rounds: int, jobs: int, listed: int) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="bench-jobs-") as work:
        project = Path(work, "project")
        project.mkdir()
        (project / "clock.py").write_text(PROJECT)
        os.environ["AILAB_JOBS_DIR"] = f"{work}/jobs"
        with _cluster(Path(work)) as address, adp.connect(address) as client:
            client.wait_for_workers(2)
            # One of each before, which is when workers import what they need.
            _task(client), _job(project)
            results = [*_overhead(client, project, rounds), _many(project, jobs)]
        return [*results, *_listing(Path(work), listed, rounds)]


def _result(way: str, seconds: list[float], rows: int | None = None, **extra: Any) -> Result:
    marks: dict[str, Any] = stamp()
    return Result(suite="jobs", case=CASES[way], way=way, rows=rows, seconds=tuple(seconds), extra=extra, **marks)


@contextlib.contextmanager
def _cluster(work: Path) -> Iterator[str]:
    """A scheduler and two workers; its address."""
    file = work / "scheduler.json"
    each = ["--no-nanny", "--nthreads", "2", "--resources", "JOB=2", "--no-dashboard", "--local-directory", str(work)]
    started = [_started(work, "scheduler", "--host", "tcp://127.0.0.1", "--port", "0", "--dashboard-address", ":0")]
    try:
        while not file.exists():
            time.sleep(0.05)
        started += [_started(work, "worker", *each) for _ in range(2)]
        yield json.loads(file.read_text())["address"]
    finally:
        for process in reversed(started):
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def _started(work: Path, kind: str, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", "--scheduler-file", f"{work}/scheduler.json"]
    with (work / f"{kind}.log").open("ab") as log:
        return subprocess.Popen([*command, *options], stdout=log, stderr=log, start_new_session=True)


def _overhead(client: Any, project: Path, rounds: int) -> list[Result]:
    tasks, jobs = [], []
    for number in range(rounds):
        tasks.append(_task(client))
        jobs.append(_job(project))
        print(f"round {number + 1}: task {tasks[-1] * 1e3:.0f} ms, job {jobs[-1]['seconds']:.2f} s", file=sys.stderr)
    python = [_python("pass") for _ in range(rounds)]
    return [
        _result("task", tasks),
        _result("job", [one["seconds"] for one in jobs], **{part: [one[part] for one in jobs] for part in PARTS}),
        _result("python -c pass", python),
        _result("python -c import", [_python("import ailab_dataproc") for _ in python]),
    ]


def _task(client: Any) -> float:
    begun = time.perf_counter()
    client.submit(time.time, pure=False).result()
    return time.perf_counter() - begun


def _job(project: Path) -> dict[str, float]:
    """Seconds of a job, in all and of its parts."""
    begun = time.time()
    job = adp.submit("clock:now", code=project)
    submitted = time.time()
    ran = job.result()
    over = time.time()
    status = job.status()
    started, ended = (datetime.fromisoformat(str(at)).timestamp() for at in (status.started, status.ended))
    times = [begun, submitted, started, ran, ended, over]
    return {"seconds": over - begun} | {
        part: later - earlier for part, earlier, later in zip(PARTS, times[:-1], times[1:], strict=True)
    }


def _python(code: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - begun


def _many(project: Path, jobs: int) -> Result:
    """So many jobs, all submitted before the first is waited for."""
    begun = time.perf_counter()
    submitted = [adp.submit("clock:now", code=project) for _ in range(jobs)]
    handed = time.perf_counter() - begun
    for job in submitted:
        job.result()
    seconds = time.perf_counter() - begun
    return _result("many", [seconds], jobs, slots=4, submitting=[handed])


def _listing(work: Path, jobs: int, rounds: int) -> list[Result]:
    """`list_jobs` of so many finished jobs, whose folders are copies; the cluster is gone."""
    first = next(Path(work, "jobs").glob("*/*/job.json")).parent
    for other in first.parent.iterdir():
        if other != first:
            _removed(other)
    for number in range(jobs - 1):
        _copied(first, number)
    here = []
    for _ in range(rounds):
        begun = time.perf_counter()
        found = adp.list_jobs()
        here.append(time.perf_counter() - begun)
    assert len(found) == jobs, len(found)  # noqa: S101
    command = [str(Path(sys.executable).with_name("ailab-dataproc")), "jobs", "list"]
    shell = []
    for _ in range(min(rounds, 5)):
        begun = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        shell.append(time.perf_counter() - begun)
    return [_result("list_jobs", here, jobs), _result("jobs list", shell, jobs)]


def _removed(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder)


def _copied(job: Path, number: int) -> None:
    """A copy of a job under another id of the same form."""
    import shutil

    other = job.with_name(f"{job.name[:-6]}{number:06x}")
    shutil.copytree(job, other)
    file = other / "job.json"
    file.write_text(file.read_text().replace(job.name, other.name))


def show(results: list[Result]) -> None:
    """The tables of docs/jobs.md."""
    of = {one.way: one for one in results}
    took = {way: median(one.seconds) for way, one in of.items()}
    print("| part of a job that does nothing | ms |\n| --- | ---: |")
    for part, words in PARTS.items():
        print(f"| {words} | {(of['job'].number(part) or 0) * 1e3:,.0f} |")
    print(f"| in all | {took['job'] * 1e3:,.0f} |")
    print(f"| a plain task, `client.submit(…).result()` | {took['task'] * 1e3:,.0f} |")
    print(f"| starting Python alone | {took['python -c pass'] * 1e3:,.0f} |")
    print(f"| starting Python with `import ailab_dataproc` | {took['python -c import'] * 1e3:,.0f} |\n")
    print(f"overhead: {took['job'] - took['task']:.2f} s")
    many = of["many"].rows or 0
    print(f"{many} jobs on {of['many'].extra['slots']} slots: {took['many']:.0f} s, {many / took['many']:.1f} a second")
    for way in ("list_jobs", "jobs list"):
        print(f"{way} of {of[way].rows} finished jobs: {took[way]:.2f} s")


if __name__ == "__main__":
    main()
