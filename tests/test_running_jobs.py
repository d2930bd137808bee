"""How a job runs on a worker: its process, log, limits and end; on real processes, and on a real cluster over TCP."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from pathlib import Path

import cloudpickle
import psutil
import pytest
from lab import lab

from ailab_dataproc import storage
from ailab_dataproc.errors import ClusterFailed
from ailab_dataproc.jobs.carried import Carried
from ailab_dataproc.jobs.code import unpack  # noqa: F401 - the zips below are what it reads
from ailab_dataproc.jobs.following import read_log
from ailab_dataproc.jobs.logs import Cap, Log
from ailab_dataproc.jobs.memory import Ceiling
from ailab_dataproc.jobs.record import ASKED, CANCEL, CODE, ENDED, WORK, Asked, Beat, Ended, Started, Work
from ailab_dataproc.jobs.redacting import Redactor
from ailab_dataproc.jobs.running import run_job

pytest.importorskip("distributed")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="orphans that leave their session are found on Linux only")


class Made:
    """A job's folder as a submitter writes it, and what has become of it."""

    def __init__(self, folder: Path, files=None, function=None, values=(), **asked):
        folder.mkdir(mode=0o700, parents=True)
        self.path = folder
        self.folder = storage.folder(folder)
        self.asked = Asked(
            id=f"20261123-120000-{folder.name}-{os.urandom(3).hex()}",
            **{"name": "test", "user": "me", "created": "", "cluster": "", "entry": "test"} | asked,
        )
        self.folder.write(ASKED, self.asked.to_bytes())
        if files:
            content = io.BytesIO()
            with zipfile.ZipFile(content, "w") as archive:
                for name, text in files.items():
                    archive.writestr(name, textwrap.dedent(text))
            self.folder.write(CODE, content.getvalue())
        if function is not None:
            self.folder.write(WORK, cloudpickle.dumps(Work(function=function, args=values)))

    def run(self, carried=None) -> Ended:
        run_job(str(self.path), carried or Carried())
        return self.ended

    @property
    def ended(self) -> Ended:
        return Ended.of(self.folder.read(ENDED))

    def log(self, attempt=1) -> str:
        place = self.path / f"attempts/{attempt:02d}/log"
        return b"".join(file.read_bytes() for file in sorted(place.glob("*.txt"))).decode(errors="replace")

    def result(self):
        return cloudpickle.loads((self.path / f"attempts/{self.ended.attempt:02d}/result.pkl").read_bytes())

    @contextlib.contextmanager
    def running(self, carried=None):
        """Run it beside the block, which ends when it has ended."""
        thread = threading.Thread(target=run_job, args=[str(self.path), carried or Carried()])
        thread.start()
        try:
            yield self
        finally:
            thread.join(60)
            assert not thread.is_alive()

    def said(self, text: str) -> str:
        """The log, once it holds a text."""
        return wait_for(lambda: text in (log := self.log()) and log)

    @property
    def started(self) -> Started:
        return Started.of(self.folder.read("attempts/01/started.json"))

    @property
    def beat(self) -> Beat:
        return Beat.of(self.folder.read("attempts/01/beat.json"))


def wait_for(found, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(0.05)
    raise AssertionError("it didn't come")


def alive(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


@pytest.fixture
def script(tmp_path):
    """A job of one script, and of further files."""

    def made(text, files=None, **asked):
        number = len(list(tmp_path.iterdir()))
        return Made(tmp_path / f"job{number}", {"train.py": text, **(files or {})}, script="train.py", **asked)

    return made


@pytest.fixture
def call(tmp_path):
    """A job of a function."""

    def made(function, *args, **asked):
        return Made(tmp_path / f"job{len(list(tmp_path.iterdir()))}", function=function, values=args, **asked)

    return made


# What a job gives back


def test_a_function_gives_its_result(call):
    job = call(lambda x: x + 1, 41)
    assert job.run().outcome == "succeeded"
    assert job.result() == 42


def test_the_size_of_a_result_is_told(call):
    job = call(bytes, 1000)
    assert job.run().result == (job.path / "attempts/01/result.pkl").stat().st_size


def test_a_function_is_named_in_the_code_that_was_sent(tmp_path):
    job = Made(
        tmp_path / "job", {"mylab/__init__.py": "", "mylab/jobs.py": "def count(): return 3"}, "mylab.jobs:count"
    )
    assert job.run().error == ""
    assert job.result() == 3


def test_modules_of_a_source_folder_are_found(tmp_path):
    job = Made(tmp_path / "job", {"src/deep.py": "def count(): return 3"}, "deep:count")
    assert job.run().error == ""


def test_a_script_gets_its_arguments(script):
    job = script("import sys; print(sys.argv[1:])", args=("--days", "3"))
    job.run()
    assert job.log() == "['--days', '3']\n"


def test_a_script_runs_as_main(script):
    job = script("if __name__ == '__main__': print('main')")
    job.run()
    assert job.log() == "main\n"


def test_a_script_in_a_folder_imports_its_neighbours_and_the_root(tmp_path):
    files = {"jobs/train.py": "import near, far", "jobs/near.py": "", "far.py": ""}
    assert Made(tmp_path / "job", files, script="jobs/train.py").run().error == ""


def test_a_script_that_starts_processes_by_spawn_runs(script):
    job = script("""
        import multiprocessing
        def double(x):
            return 2 * x
        if __name__ == "__main__":
            with multiprocessing.get_context("spawn").Pool(2) as pool:
                print(pool.map(double, range(3)))
    """)
    job.run()
    assert job.log() == "[0, 2, 4]\n"


def test_a_job_that_has_ended_never_runs_again(call):
    job = call(lambda: print("once"))
    job.run()
    before = sorted(job.path.rglob("*"))
    job.run()
    assert sorted(job.path.rglob("*")) == before


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("(x for x in [1])", "generator"),
        ("(lambda: (yield))()", "generator"),
        ("__import__('threading').Lock()", "a lock that can't be pickled"),
        ("__import__('dask.bag').bag.from_sequence([1])", "Dask Bag"),
        ("{'all': __import__('dask.bag').bag.from_sequence([1])}", "Dask Bag"),
        ("(lambda: [await x for x in []])()", ""),
    ],
)
def test_a_result_that_means_nothing_elsewhere_is_refused(tmp_path, value, said):
    if not said:
        value, said = "coroutine()", "coroutine"
    files = {"made.py": f"async def coroutine(): pass\ndef make(): return {value}"}
    job = Made(tmp_path / "job", files, "made:make", retries=2)
    ended = job.run()
    assert said in ended.error
    assert ended.attempt == 1


def test_a_class_of_the_project_in_a_result_is_the_projects_own(tmp_path, monkeypatch):
    files = {"shapes_of_mine.py": "class Shape: pass\ndef make(): return Shape()"}
    job = Made(tmp_path / "job", files, "shapes_of_mine:make")
    job.run()
    (tmp_path / "shapes_of_mine.py").write_text(files["shapes_of_mine.py"])
    monkeypatch.syspath_prepend(str(tmp_path))
    import shapes_of_mine

    assert isinstance(job.result(), shapes_of_mine.Shape)


# How a job fails


def test_an_exception_is_told_with_its_place(script):
    ended = script("x = 1\n\nraise ValueError('bad thing')").run()
    assert (ended.outcome, ended.error) == ("failed", "ValueError: bad thing (train.py, line 3)")


def test_a_traceback_begins_in_the_jobs_own_code(script):
    ended = script("raise ValueError('bad thing')").run()
    assert ended.traceback == (
        'Traceback (most recent call last):\n  File "train.py", line 1, in <module>\n'
        "    raise ValueError('bad thing')\nValueError: bad thing\n"
    )


def test_the_log_ends_with_the_traceback(script):
    job = script("print('last words')\nraise ValueError('bad thing')")
    assert job.run().traceback
    assert job.log() == "last words\n" + job.ended.traceback


def test_the_original_exception_is_kept(call):
    def fail():
        raise KeyError("a", 1)

    job = call(fail)
    job.run()
    error = cloudpickle.loads((job.path / "attempts/01/error.pkl").read_bytes())
    assert (type(error), error.args) == (KeyError, ("a", 1))


@pytest.mark.parametrize("body", ["self.lock = __import__('threading').Lock()", "super().__init__()"])
def test_an_exception_that_cannot_be_pickled_is_told_all_the_same(script, body):
    job = script(f"""
        class Bad(Exception):
            def __init__(self, a, b):
                {body}
            def __str__(self):
                return "the text"
        raise Bad(1, 2)
    """)
    assert job.run().error.startswith("Bad: the text")
    assert not (job.path / "attempts/01/error.pkl").exists()


def test_a_syntax_error_shows_its_line(script):
    assert "SyntaxError" in script("x = = 1").run().error


def test_a_missing_module_is_named_with_what_to_do(script):
    error = script("import mylab_that_is_not").run().error
    assert error.startswith("ModuleNotFoundError: No module named 'mylab_that_is_not': it is neither in the code")


def test_a_missing_module_of_a_named_function_is_told(tmp_path):
    job = Made(tmp_path / "job", {"made.py": "import mylab_that_is_not\ndef f(): pass"}, "made:f")
    assert "'mylab_that_is_not': it is neither in the code" in job.run().error


@pytest.mark.parametrize("code", ["sys.exit()", "sys.exit(0)", "raise SystemExit", "os._exit(0)"])
def test_a_script_that_ends_itself_with_zero_succeeds(script, code):
    assert script(f"import os, sys\n{code}").run().outcome == "succeeded"


def test_the_exit_code_of_a_script_is_kept(script):
    ended = script("import sys; sys.exit(3)").run()
    assert (ended.outcome, ended.code, ended.error) == ("failed", 3, "it called sys.exit(3)")


def test_the_text_of_sys_exit_is_told_and_logged(script):
    job = script("import sys; sys.exit('no data')")
    assert job.run().error == "it called sys.exit: no data"
    assert job.log().startswith("no data\n")


def test_os_exit_is_a_failure_with_its_code(script):
    ended = script("import os; os._exit(7)").run()
    assert (ended.outcome, ended.code) == ("failed", 7)


def test_a_function_that_ends_its_process_has_no_result(call):
    assert "before its function returned" in call(lambda: os._exit(0)).run().error


def test_a_crash_is_told_with_its_signal_and_shown_with_its_line(script):
    job = script("import faulthandler\nprint('before')\nfaulthandler._sigsegv()")
    ended = job.run()
    assert (ended.code, ended.error.split(".")[0]) == (-11, "killed by signal 11 (SIGSEGV)")
    assert "before\n" in job.log()
    assert 'train.py", line 3' in job.log()


def test_an_interrupt_is_a_failure(script):
    assert script("raise KeyboardInterrupt").run().error.startswith("KeyboardInterrupt")


def test_a_kill_from_outside_is_taken_for_lack_of_memory(script):
    ended = script("import os, signal; os.kill(os.getpid(), signal.SIGKILL)").run()
    assert ended.code == -9
    assert "out of memory" in ended.error


def test_a_failure_is_tried_again(script, tmp_path):
    job = script(
        f"""
        import os
        if not os.path.exists({str(tmp_path / "tried")!r}):
            open({str(tmp_path / "tried")!r}, "w")
            raise ValueError
    """,
        retries=2,
    )
    ended = job.run()
    assert (ended.outcome, ended.attempt) == ("succeeded", 2)


def test_a_job_fails_after_its_last_attempt(script):
    ended = script("raise ValueError", retries=1).run()
    assert (ended.outcome, ended.attempt) == ("failed", 2)


# What a job prints


def test_all_that_is_printed_and_logged_is_in_the_log(script):
    job = script("""
        import logging, os, subprocess, sys
        print("printed")
        logging.getLogger("mine").info("logged")
        os.write(1, b"by C\\n")
        subprocess.run(["echo", "by a subprocess"])
        print("an error", file=sys.stderr)
        sys.stdout.write("without an end")
    """)
    job.run()
    assert [text in job.log() for text in ("printed\n", "INFO mine: logged", "by C\n", "by a subprocess\n")] == [
        True
    ] * 4
    assert job.log().endswith("an error\nwithout an end")


def test_a_job_chooses_its_own_logging(script):
    job = script("import logging; logging.basicConfig(format='mine: %(message)s'); logging.warning('x')")
    job.run()
    assert job.log() == "mine: x\n"


def test_bytes_that_are_no_text_are_kept(script):
    job = script("import os; os.write(1, bytes(range(256)) + b'\\rbar\\n')")
    job.run()
    assert (job.path / "attempts/01/log/000001.txt").read_bytes() == bytes(range(256)) + b"\rbar\n"


def test_a_line_of_ten_megabytes_is_kept(script):
    job = script("print('x' * 10_000_000)")
    job.run()
    assert job.log() == "x" * 10_000_000 + "\n"


def test_many_lines_are_kept_in_order(script):
    job = script("import sys; sys.stdout.write(''.join(f'{i}\\n' for i in range(1_000_000)))")
    job.run()
    assert job.log() == "".join(f"{i}\n" for i in range(1_000_000))


def test_a_log_is_seen_while_the_job_runs(script, tmp_path):
    job = script(
        f"import os, time\nprint('here')\nwhile not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.05)"
    )
    with job.running():
        assert job.said("here") == "here\n"
        (tmp_path / "go").touch()


def test_a_huge_log_keeps_its_head_and_its_tail(tmp_path):
    tmp_path.joinpath("log").mkdir()
    log = Log(storage.folder(tmp_path / "log"), Cap(head=600_000, tail=600_000))
    for number in range(100):
        log.add(b"%09d\n" % number * 10_000)
        log.write()
    kept = b"".join(file.read_bytes() for file in sorted((tmp_path / "log").iterdir()))
    assert len(kept) < 2_000_000
    assert kept.startswith(b"000000000\n")
    assert kept.endswith(b"000000099\n")
    assert b"[ailab: the log is longer than 1,200,000 bytes" in kept


def test_a_huge_log_can_be_read_while_its_middle_goes(tmp_path):
    place = tmp_path / "attempts/01/log"
    place.mkdir(parents=True)
    log = Log(storage.folder(place), Cap(head=300_000, tail=300_000))

    def fill():
        for _ in range(300):
            log.add(b"%09d\n" % 1 * 30_000)
            log.write()

    thread = threading.Thread(target=fill)
    thread.start()
    while thread.is_alive():
        read_log(storage.folder(tmp_path))
    assert read_log(storage.folder(tmp_path)).startswith("000000001\n")


def test_output_that_is_not_stored_takes_no_more_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("ailab_dataproc.jobs.logs._PATIENCE", 0.0)
    tmp_path.joinpath("log").mkdir()
    log = Log(storage.folder(tmp_path / "log"))
    for _ in range(100):
        log.add(b"x" * 1_000_000)
    log.write()
    kept = b"".join(file.read_bytes() for file in sorted((tmp_path / "log").iterdir()))
    assert len(kept) < 20_000_000
    assert b"bytes are missing here" in kept


# Secrets

SECRET = "s3cr3t/value+of=mine"  # noqa: S105 - that is what is hidden


def test_a_secret_is_a_variable_of_the_job(call):
    job = call(lambda: os.environ["TOKEN"][::-1], secrets=("TOKEN",))
    job.run(Carried({"TOKEN": SECRET}))
    assert job.result() == SECRET[::-1]


def test_no_file_of_a_job_holds_a_secret(script):
    job = script(
        """
        import os, json
        from urllib.parse import quote
        token = os.environ["TOKEN"]
        print(token, token[:5], end="", flush=True); print(token[5:])
        json.dump({"done": 1, "total": 2, "what": token}, open(os.environ["AILAB_JOB_PROGRESS"], "w"))
        print(quote(token, safe=""))
        raise ValueError(token)
    """,
        secrets=("TOKEN",),
    )
    job.run(Carried({"TOKEN": SECRET}))
    written = b"".join(file.read_bytes() for file in job.path.rglob("*") if file.is_file() and file.name != CODE)
    assert SECRET.encode() not in written
    assert b"s3cr3t" not in written
    assert job.log().startswith("*** ***\n***\n")


def test_a_secret_is_found_wherever_the_pieces_meet():
    text = f"a {SECRET}{SECRET[:7]} {SECRET} b".encode()
    for first in range(len(text)):
        redactor = Redactor([SECRET])
        out = redactor.feed(text[:first]) + redactor.feed(text[first:]) + redactor.flush()
        assert out == f"a ***{SECRET[:7]} *** b".encode()


def test_a_secret_within_base64_is_found():
    text = base64.b64encode(f"user:{SECRET}".encode())
    out = Redactor([SECRET]).text(text.decode())
    assert "***" in out
    assert base64.b64encode(SECRET[3:-3].encode()).decode()[2:-4] not in out


def test_each_line_of_a_key_is_a_secret():
    key = "-----BEGIN KEY-----\nabcdefghijklmnopqrstuvwxyz\n-----END KEY-----"
    assert Redactor([key]).text("x abcdefghijklmnopqrstuvwxyz y") == "x *** y"


def test_what_is_carried_is_never_shown():
    assert repr(Carried({"TOKEN": SECRET}, {"token": SECRET}, {"token": SECRET})) == "Carried()"


def test_options_of_the_data_reach_the_settings_of_a_job(script):
    job = script("import ailab_dataproc.settings as s; print(s.load_settings().storage_options['endpoint_url'])")
    job.run(Carried(data_options={"endpoint_url": "http://here"}))
    assert job.log() == "http://here\n"


# The surroundings of a job


def test_settings_of_the_submitter_hold_in_the_job(script):
    job = script(
        "import ailab_dataproc.settings as s; print(s.load_settings().data_dir)", settings={"data_dir": "/their/data"}
    )
    job.run()
    assert job.log() == "/their/data\n"


def test_variables_of_the_job_are_set(script):
    job = script("import os; print(os.environ['MINE'], os.environ['AILAB_JOB'])", environment={"MINE": "1"})
    job.run()
    assert job.log() == f"1 {job.asked.id}\n"


def test_a_job_has_as_many_threads_as_cores(script):
    job = script("import os; print(os.environ['OMP_NUM_THREADS'])", cores=3)
    job.run()
    assert job.log() == "3\n"


def test_a_job_that_asked_for_no_gpu_sees_none(script):
    job = script("import os; print(repr(os.environ['CUDA_VISIBLE_DEVICES']))")
    job.run()
    assert job.log() == "''\n"


def test_a_job_sees_as_many_gpus_as_it_asked_for(script, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5,7")
    job = script("import os; print(os.environ['CUDA_VISIBLE_DEVICES'])", gpus=2)
    job.run()
    assert job.log() == "2,5\n"


def test_progress_is_in_the_beat(script, tmp_path):
    job = script(f"""
        import json, os, time
        with open("p", "w") as file:
            json.dump({{"done": 3, "total": 10, "what": "epochs"}}, file)
        os.replace("p", os.environ["AILAB_JOB_PROGRESS"])
        while not os.path.exists({str(tmp_path / "go")!r}): time.sleep(0.05)
    """)
    with job.running():
        wait_for(lambda: (job.path / "attempts/01/beat.json").exists() and job.beat.done)
        (tmp_path / "go").touch()
    assert (job.beat.done, job.beat.total, job.beat.what) == (3, 10, "epochs")


def test_files_of_a_job_are_private(call):
    job = call(print, "x")
    job.run()
    made = [*(job.path / "attempts").rglob("*"), job.path / ENDED]
    assert {path.stat().st_mode & 0o077 for path in made} == {0}


def test_nothing_is_left_on_the_worker(call, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "here"))
    call(lambda: Path("a").mkdir(mode=0o500)).run()
    assert list((tmp_path / "here").iterdir()) == []


# How a job is ended


def test_cancel_lets_the_job_clean_up(script):
    job = script("""
        import time
        try:
            print("begun")
            time.sleep(100)
        finally:
            print("cleaned up")
    """)
    with job.running():
        job.said("begun")
        job.folder.write(CANCEL, b"{}")
    assert (job.ended.outcome, job.ended.error) == ("cancelled", "it was cancelled")
    assert "cleaned up\n" in job.log()


def test_cancel_ends_a_job_that_minds_no_signal(script):
    job = script(
        """
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("begun")
        time.sleep(100)
    """,
        retries=3,
    )
    with job.running():
        job.said("begun")
        job.folder.write(CANCEL, b"{}")
    assert (job.ended.outcome, job.ended.attempt, job.ended.code) == ("cancelled", 1, -9)


def test_a_job_that_is_cancelled_before_it_begins_never_runs(call):
    job = call(print, "x")
    job.folder.write(CANCEL, b"{}")
    assert job.run().outcome == "cancelled"
    assert not (job.path / "attempts").exists()


def test_a_job_that_takes_too_long_is_ended_and_not_tried_again(script):
    ended = script("import time; time.sleep(100)", time_limit=1, retries=2).run()
    assert (ended.outcome, ended.attempt) == ("failed", 1)
    assert ended.error.startswith("it took longer than its time limit of 1 seconds")


def test_a_job_that_takes_too_much_memory_is_ended_with_a_sentence(script):
    job = script("import time; x = b'x' * 300_000_000; time.sleep(100)", memory=200_000_000, retries=2)
    ended = job.run()
    assert (ended.outcome, ended.attempt) == ("failed", 1)
    assert "of the 200.0 MB that were asked for" in ended.error
    assert "memory=" in ended.error


def test_memory_of_a_whole_process_tree_counts(script):
    job = script(
        """
        import subprocess, sys
        subprocess.run([sys.executable, "-c", "import time; x = b'x' * 300_000_000; time.sleep(100)"])
    """,
        memory=200_000_000,
    )
    assert "that were asked for" in job.run().error


@LINUX
def test_memory_that_processes_share_counts_once(script):
    job = script(
        """
        import os, time
        x = b'x' * 150_000_000
        for _ in range(4):
            if not os.fork():
                time.sleep(2)
                os._exit(0)
        time.sleep(2.5)
    """,
        memory=400_000_000,
    )
    ended = job.run()
    assert (ended.outcome, ended.memory < 300_000_000) == ("succeeded", True)


@LINUX
def test_a_mapped_file_takes_no_memory(script, tmp_path):
    (tmp_path / "data").write_bytes(b"x" * 300_000_000)
    job = script(
        f"""
        import mmap, time
        with open({str(tmp_path / "data")!r}, "rb") as file:
            data = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        assert data[::4096].count(b"x")
        time.sleep(2)
    """,
        memory=200_000_000,
    )
    assert job.run().outcome == "succeeded"


def test_a_job_without_a_limit_ends_when_its_worker_has_no_more():
    ceiling = Ceiling()
    assert ceiling.exceeded(1, 5 * 10**9, None, 8 * 10**9) == ""
    assert "its worker has 8.0 GB for all that runs on it" in ceiling.exceeded(2, 6 * 10**9, None, 8 * 10**9)


def test_the_largest_job_without_a_limit_makes_room():
    ceiling = Ceiling()
    ceiling.exceeded(1, 5 * 10**9, None, 8 * 10**9)
    assert ceiling.exceeded(2, 10**9, 2 * 10**9, 4 * 10**9) == ""
    assert ceiling.exceeded(3, 10**9, None, 4 * 10**9) == ""


def test_a_job_whose_threads_do_not_end_can_be_cancelled(script):
    job = script("import threading, time\nthreading.Thread(target=time.sleep, args=[100]).start()\nprint('begun')")
    with job.running():
        job.said("begun")
        job.folder.write(CANCEL, b"{}")
    assert job.ended.outcome == "cancelled"


def test_a_function_that_has_returned_has_succeeded(call):
    job = call(lambda: threading.Thread(target=time.sleep, args=[100]).start(), time_limit=1)
    assert job.run().outcome == "succeeded"


def test_a_script_may_close_its_output(script):
    assert script("import sys; sys.stdout.close(); sys.stderr.close()").run().outcome == "succeeded"


LEAVE = {
    "nohup": "subprocess.Popen(['nohup', 'sleep', '1000'])",
    "a session": "subprocess.Popen(['sleep', '1000'], start_new_session=True)",
    "a daemon": "subprocess.run(['sh', '-c', '(setsid sleep 1000 &) &'])",
    "a deaf one": "subprocess.Popen(['sh', '-c', 'trap \"\" TERM HUP INT; while :; do sleep 1; done'])",
}


def sleeping(job: Made) -> list[int]:
    """The processes with the job's id in their environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("AILAB_JOB") == job.asked.id and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


@LINUX
@pytest.mark.parametrize("how", LEAVE)
def test_processes_that_outlive_a_job_are_ended_with_it(script, how):
    job = script(f"import subprocess\n{LEAVE[how]}")
    assert job.run().outcome == "succeeded"
    assert sleeping(job) == []


@LINUX
def test_a_killed_keeper_takes_all_with_it_and_is_told(script):
    job = script("""
        import subprocess
        subprocess.Popen(["setsid", "sleep", "1000"])
        print("begun")
        subprocess.run(["sleep", "1000"])
    """)
    with job.running():
        job.said("begun")
        os.kill(job.started.pid, signal.SIGKILL)
    assert "keeps the job's was killed" in job.ended.error
    wait_for(lambda: not sleeping(job))


# Workers that get lost


def lose(job: Made, number: int, host="elsewhere") -> None:
    """An attempt as a worker leaves it that was killed."""
    started = Started(attempt=number, worker=f"tcp://{host}:1", host=host, pid=1, at="")
    job.folder.write(f"attempts/{number:02d}/started.json", started.to_bytes())


def test_an_attempt_that_was_lost_is_followed_by_another(call):
    job = call(lambda: 42)
    lose(job, 1)
    ended = job.run()
    assert (ended.outcome, ended.attempt, job.result()) == ("succeeded", 2, 42)


def test_a_job_whose_worker_is_lost_too_often_is_lost(call):
    job = call(lambda: 42, restarts=1)
    lose(job, 1)
    lose(job, 2)
    ended = job.run()
    assert (ended.outcome, ended.attempt) == ("lost", 2)
    assert "lost 2 times, the last time tcp://elsewhere:1, with restarts=1" in ended.error


def test_a_worker_that_was_lost_after_the_end_of_an_attempt_loses_nothing(call):
    job = call(lambda: 42)
    job.run()
    (job.path / ENDED).unlink()
    assert job.run().attempt == 1


def test_an_attempt_ends_without_a_word_when_a_twin_runs(script):
    job = script("print('begun')\nimport time; time.sleep(100)")
    with job.running():
        job.said("begun")
        lose(job, 2)
    assert not (job.path / ENDED).exists()
    assert not (job.path / "attempts/01/ended.json").exists()
    assert sleeping(job) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_of_another_user_is_told(call):
    job = call(print)
    job.path.chmod(0)
    with pytest.raises(ClusterFailed, match="run as the same user"):
        job.run()
    job.path.chmod(0o700)


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ClusterFailed, match=r"none: the worker .* can't use the job's folder as the user"):
        run_job(str(tmp_path / "none"), Carried())


# In a bucket


@pytest.fixture
def bucket(tmp_path):
    """A job whose folder is in a bucket: fsspec's store in memory."""
    from fsspec.implementations.memory import MemoryFileSystem

    def made(function):
        local = Made(tmp_path / "job", function=function)
        place = storage.folder(f"memory://jobs/{tmp_path.name}")
        for name in (ASKED, WORK):
            place.write(name, local.folder.read(name))
        return place

    yield made
    MemoryFileSystem.store.clear()


def test_a_job_in_a_bucket_leaves_the_same_files(bucket):
    job = bucket(lambda: print("here") or 42)
    run_job(job.url, Carried())
    names = {f"attempts/01/{name}" for name in ("started.json", "beat.json", "ended.json", "result.pkl")}
    assert set(job.sizes()) == names | {"attempts/01/log/000001.txt", ASKED, WORK, ENDED}
    assert (job.read("attempts/01/log/000001.txt"), Ended.of(job.read(ENDED)).outcome) == (b"here\n", "succeeded")


def test_a_store_that_fails_for_a_while_loses_nothing(bucket, monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem

    job = bucket(lambda: print("here") or time.sleep(1))
    original, failures = MemoryFileSystem.pipe_file, []

    def failing(self, path, value, **options):
        if "started" not in path and len(failures) < 3:
            failures.append(path)
            raise OSError("the store is away")
        return original(self, path, value, **options)

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", failing)
    run_job(job.url, Carried())
    log = job.read("attempts/01/log/000001.txt").decode()
    assert len(failures) == 3
    assert "here\n" in log
    assert "can't be written for now" in log
    assert Ended.of(job.read(ENDED)).outcome == "succeeded"


# On a cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with lab(tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.fixture
def client(cluster):
    from distributed import Client

    with Client(cluster.address) as made:
        yield made


def start(client, job: Made, carried=None):
    return client.submit(run_job, str(job.path), carried or Carried(), key=f"ailab-job-{job.asked.id}", pure=False)


def test_tasks_of_a_driver_run_on_its_own_worker(tmp_path):
    from distributed import Client

    (tmp_path / "lab").mkdir()
    with lab(tmp_path / "lab", workers=1) as made, Client(made.address) as client:
        text = "from distributed import Client\nprint(Client().submit(sum, [1, 2]).result())"
        job = Made(tmp_path / "job", {"train.py": text}, script="train.py")
        start(client, job).result(180)
        assert job.log() == "3\n"


def test_the_worker_of_a_job_is_told(client, call):
    job = call(print)
    start(client, job).result(180)
    assert job.ended.worker in client.scheduler_info()["workers"]


def test_a_task_that_is_released_ends_its_job(client, script):
    job = script("print('begun')\nimport time; time.sleep(100)")
    future = start(client, job)
    job.said("begun")
    client.cancel([future])
    wait_for(lambda: not sleeping(job))


def test_a_killed_worker_takes_the_whole_tree_with_it(tmp_path):
    from distributed import Client

    (tmp_path / "lab").mkdir()
    with lab(tmp_path / "lab", workers=1) as made, Client(made.address) as client:
        text = "import subprocess\nprint('begun')\nsubprocess.run(['setsid', 'sleep', '1000'])"
        job = Made(tmp_path / "job", {"train.py": text}, script="train.py")
        _future = start(client, job)
        job.said("begun")
        (worker,) = client.run(os.getpid).values()
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: not alive(job.started.pid))
        assert len(list((job.path / "attempts").iterdir())) == 2 or not sleeping(job)
        wait_for((job.path / "attempts/02").exists)
        job.folder.write(CANCEL, b"{}")
        wait_for((job.path / ENDED).exists)
    assert sleeping(job) == []


def test_a_frozen_worker_ends_its_job_when_the_cluster_has_given_up_on_it(tmp_path):
    from distributed import Client

    (tmp_path / "lab").mkdir()
    quick = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "2s"}
    with lab(tmp_path / "lab", workers=0) as made, Client(made.address) as client:
        made.add_worker("--no-nanny", env=quick)
        client.wait_for_workers(1, timeout=60)
        job = Made(tmp_path / "job", {"train.py": "print('begun')\nimport time; time.sleep(100)"}, script="train.py")
        _future = start(client, job)
        job.said("begun")
        os.kill(made.workers[0].pid, signal.SIGSTOP)
        wait_for(lambda: not sleeping(job))


def test_the_keeper_takes_the_standard_library_only():
    from ailab_dataproc.jobs import keeper

    status, ours = os.pipe()
    line = [sys.executable, "-I", "-S", keeper.__file__, str(ours), "1", "60", sys.executable, "-c", "exit(3)"]
    with subprocess.Popen(line, stdin=subprocess.PIPE, pass_fds=[ours]) as kept:
        os.close(ours)
        kept.stdin.write(b".")
        kept.stdin.flush()
        with open(status, "rb") as told:
            said = [json.loads(one) for one in told]
    assert said[-1]["code"] == 3
