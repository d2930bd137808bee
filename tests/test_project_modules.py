"""What is a project's own works in Dask tasks of its job: on a real cluster, whose workers don't have the project."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_running_jobs import Made, client, cluster, start  # noqa: F401 - fixtures

import ailab_dataproc
from ailab_dataproc.jobs.record import CODE

MODULES = {
    "mylab/__init__.py": "from .shapes import Shape\nfrom . import config, model",
    "mylab/config.py": """
        import mylab.model
        from . import shapes
        RATE = 10
        def model():
            return mylab.model.fit.__name__
    """,
    "mylab/lazy.py": "WORD = 'late'",
    "mylab/shapes.py": """
        import dataclasses, enum, mylab
        class Shape:
            def __init__(self, side):
                self.side = side
            def area(self):
                return self.side ** 2
        class Color(enum.Enum):
            RED = 1
        @dataclasses.dataclass(frozen=True, slots=True)
        class Point:
            x: int
        class Bad(Exception):
            def __init__(self, text, code):
                super().__init__(text, code)
                self.code = code
    """,
    "mylab/model.py": """
        import dataclasses, functools, mylab.config
        from mylab import shapes as known
        from mylab.shapes import *
        calls = 0
        def fit(x):
            return x * mylab.config.RATE, mylab.config.model()
        def red():
            return known.Color.RED
        def moved(point):
            return dataclasses.replace(point, x=2)
        def fail():
            raise Bad("a", 7)
        def late():
            import mylab.lazy as one
            from .lazy import WORD
            return one.WORD + WORD
        def add(a, b):
            return a + b
        def increased(a):
            return a + 1
        @functools.lru_cache
        def cached(x):
            return x
        def decorated(function):
            @functools.wraps(function)
            def inner(*args):
                return function(*args)
            return inner
        @decorated
        def wrapped(x):
            return x
        def closure(n):
            return lambda x: add(n, x) + known.Shape(1).area()
        async def waiting(x):
            return x + 1
        def count():
            global calls
            calls += 1
            return calls
        def frame(x):
            return x * mylab.config.RATE
        def numbered(x, partition_info=None):
            return x * 0 + partition_info["number"]
        def nested():
            from distributed import get_client
            return get_client().submit(increased, 4).result()
        def missing():
            import mylab.nothing
        def by_name():
            import importlib
            return importlib.import_module("mylab.lazy").WORD
        class Counter:
            n = 0
            def up(self):
                self.n += 1
                return self.n
    """,
    "elsewhere/broken.py": """
        import os
        if "AILAB_JOB" not in os.environ:
            raise RuntimeError("only there")
        def f():
            return 1
        class Held:
            x = 1
    """,
    "elsewhere/placed.py": "from beside import one\ndef f(): return one()",
    "elsewhere/beside.py": "def one(): return 1",
}

# What a script asks of its cluster, by the sentence that it proves, and the answer.
FACTS = {
    "modules that import each other": ("client.submit(model.fit, 2).result()", (20, "fit")),
    "a mapped function": ("client.gather(client.map(model.increased, [1, 2]))", [2, 3]),
    "a lambda of the script": ("client.submit(lambda x: mylab.model.fit(x), 3).result()", (30, "fit")),
    "an object that a task gives back": ("type(client.submit(Shape, 2).result()) is Shape", True),
    "an object that a task is given": ("client.submit(lambda s: isinstance(s, Shape), Shape(4)).result()", True),
    "an object in a list": ("client.submit(lambda s: isinstance(s[0], Shape), [Shape(4)]).result()", True),
    "an object that was scattered": ("client.submit(lambda s: s.area(), client.scatter(Shape(2))).result()", 4),
    "an object between tasks": ("client.submit(Shape.area, client.submit(Shape, 3)).result()", 9),
    "an object that another worker gets": (
        "[client.submit(operator.attrgetter('side'), client.submit(Shape, 3, workers=one), workers=two).result()"
        " for one, two in [workers()]][0]",
        3,
    ),
    "a method": ("client.submit(Shape(5).area).result()", 25),
    "a class of the script": ("client.submit(Mine(5).twice).result()", 50),
    "an object of a class of the script": ("type(client.submit(Mine, 5).result()) is Mine", True),
    "a member of an enum": ("client.submit(model.red).result() is Color.RED", True),
    "a key that is a member of an enum": ("client.submit(lambda d: d[Color.RED], {Color.RED: 3}).result()", 3),
    "a frozen dataclass": ("client.submit(model.moved, Point(1)).result() == Point(2)", True),
    "an exception": ("caught(Bad, model.fail)", "Bad: ('a', 7)"),
    "an import within a function": ("client.submit(model.late).result()", "latelate"),
    "a partial": ("client.submit(functools.partial(model.add, 1), 2).result()", 3),
    "a cached function": ("client.submit(model.cached, 2).result()", 2),
    "a decorated function": ("client.submit(model.wrapped, 2).result()", 2),
    "a function that is asked to go by value": ("client.submit(functions.ByValue(model.fit), 2).result()", (20, "fit")),
    "a closure": ("client.submit(model.closure(3), 2).result()", 6),
    "a coroutine": ("client.submit(model.waiting, 2).result()", 3),
    "state of a module": (
        "[client.submit(model.count, pure=False, workers=workers()[0]).result() for _ in range(2)]",
        [1, 2],
    ),
    "a module as an argument": ("client.submit(lambda m: m.RATE, mylab.config).result()", 10),
    "partitions": ("frame.map_partitions(model.frame).a.sum().compute()", 450),
    "numbers of partitions": ("frame.map_partitions(model.numbered, meta={'a': int}).a.max().compute()", 2),
    "values of a column": ("frame.a.apply(model.increased, meta=('a', int)).sum().compute()", 55),
    "a shuffle": ("len(frame.map_partitions(model.frame).shuffle('a').compute())", 10),
    "a delayed function": ("dask.delayed(model.fit)(dask.delayed(model.increased)(1)).compute()", (20, "fit")),
    "a function on all workers": ("set(client.run(model.increased, 2).values())", {3}),
    "an actor": ("client.submit(model.Counter, actor=True).result().up().result()", 1),
    "a task that submits another": ("client.submit(model.nested).result()", 5),
    "a folder that the script put into sys.path": ("client.submit(placed.f).result()", 1),
    "a cluster of the job's own": ("own_cluster()", (20, "fit")),
    # What can't work says so.
    "a module that isn't there": (
        "caught(ImportError, model.missing)",
        "ModuleNotFoundError: No module named 'mylab.nothing'",
    ),
    "a module that fails on the worker": ("caught(RuntimeError, broken.f)", "RuntimeError: only there"),
    "an object of a module that fails on the worker": (
        "caught(RuntimeError, lambda s: s.x, broken.Held())",
        "RuntimeError: only there",
    ),
    "importlib": ("caught(ImportError, model.by_name)", "ModuleNotFoundError: No module named 'mylab'"),
}
SCRIPT = """
    import functools, operator, sys
    from pathlib import Path
    sys.path.append(str(Path(__file__).parent / "elsewhere"))
    import broken, dask, dask.dataframe, mylab, pandas, placed
    from distributed import Client, LocalCluster
    from ailab_dataproc import functions
    from mylab import model
    from mylab.shapes import Bad, Color, Point, Shape

    class Mine(Shape):
        def twice(self):
            return 2 * self.area()

    def caught(kind, *task):
        try:
            return client.submit(*task).result()
        except kind as error:
            return f"{type(error).__name__}: {error}"

    def workers():
        return sorted(client.scheduler_info()["workers"])

    def own_cluster():
        with LocalCluster(n_workers=1, processes=False, dashboard_address=None) as made, Client(made) as own:
            return own.submit(model.fit, 2).result()

    frame = dask.dataframe.from_pandas(pandas.DataFrame({"a": range(10)}), npartitions=3)
    for fact in FACTS:
        with Client() as client:
            try:
                print(fact, eval(fact), sep=" = ", flush=True)
            except Exception as error:
                print(fact, repr(error), sep=" = ", flush=True)
"""


@pytest.fixture(scope="module")
def answers(cluster, tmp_path_factory):  # noqa: F811
    from distributed import Client

    facts = [fact for fact, _ in FACTS.values()]
    with Client(cluster.address) as one:
        job = Made(
            tmp_path_factory.mktemp("facts") / "job",
            MODULES | {"train.py": SCRIPT.replace("FACTS", repr(facts))},
            script="train.py",
        )
        start(one, job).result(240)
    return dict(line.split(" = ", 1) for line in job.log().splitlines() if " = " in line)


@pytest.mark.parametrize("what", FACTS)
def test_in_a_task(what, answers):
    asked, answer = FACTS[what]
    assert answers[asked] == str(answer)


def numbers(n: int) -> dict[str, str]:
    script = """
        import helpers, time
        from distributed import Client
        with Client() as client:
            for _ in range(20):
                made = client.submit(helpers.Number).result()
                print(*client.gather(client.map(helpers.scaled, range(3))), type(made) is helpers.Number, made.n)
                time.sleep(0.05)
    """
    text = f"import more\nclass Number:\n    n = {n}\ndef scaled(x):\n    return x * more.FACTOR"
    return {"train.py": script, "helpers.py": text, "more.py": f"import helpers\nFACTOR = {n}"}


def test_versions_of_a_module_of_two_jobs_at_the_same_time_do_not_mix(client, tmp_path):  # noqa: F811
    jobs = [Made(tmp_path / f"job{n}", numbers(n), script="train.py") for n in (10, 100)]
    for future in [start(client, job) for job in jobs]:
        future.result(180)
    assert [set(job.log().splitlines()) for job in jobs] == [{"0 10 20 True 10"}, {"0 100 200 True 100"}]


def test_a_copy_of_this_package_beside_the_script_is_no_part_of_the_project(client, tmp_path):  # noqa: F811
    root = Path(ailab_dataproc.__file__).parent
    copy = {f"tools/ailab_dataproc/{one.relative_to(root)}": one.read_text() for one in root.rglob("*.py")}
    script = """
        import ailab_dataproc, helpers
        with ailab_dataproc.connect() as client:
            made = client.submit(helpers.wrong).result()
            print(type(made) is ailab_dataproc.errors.InvalidRequest, client.submit(helpers.place).result())
    """
    helpers = """
        from ailab_dataproc.errors import InvalidRequest
        def wrong():
            return InvalidRequest("x")
        def place():
            return InvalidRequest.__module__
    """
    files = copy | {"tools/train.py": script, "tools/helpers.py": helpers}
    job = Made(tmp_path / "job", files, script="tools/train.py")
    start(client, job).result(180)
    assert job.log() == "True ailab_dataproc.errors\n"


def test_workers_learn_no_module_under_its_plain_name(client, tmp_path):  # noqa: F811
    start(client, Made(tmp_path / "job", numbers(10), script="train.py")).result(180)
    import sys as here

    assert set(client.run(lambda: "helpers" in here.modules).values()) == {False}


def test_workers_let_go_of_modules_of_jobs_that_have_ended(client, tmp_path):  # noqa: F811
    import sys as here

    for n in range(3):
        start(client, Made(tmp_path / f"job{n}", numbers(n), script="train.py")).result(180)
    place = str(tmp_path)
    found = client.run(lambda: {n.split("/")[-1][:4] for n in here.modules if place in n})
    assert set().union(*found.values()) <= {"job1", "job2"}
    assert all(len(one) <= 1 for one in found.values())


def test_a_module_that_importlib_does_not_find_is_told_with_what_to_do(client, tmp_path):  # noqa: F811
    files = {"train.py": "import helpers\nfrom distributed import Client\nClient().submit(helpers.late).result()"}
    files["helpers.py"] = "import importlib\ndef late():\n    return importlib.import_module('more').x"
    job = Made(tmp_path / "job", files | {"more.py": "x = 1"}, script="train.py")
    start(client, job).result(180)
    assert "as importlib does, and workers have the project's modules for `import` only" in job.ended.error


def test_a_scheduler_runs_no_module_of_a_project(client, tmp_path):  # noqa: F811
    files = {"train.py": "import helpers\nfrom distributed import Client\nprint(Client().submit(helpers.f).result())"}
    mark = tmp_path / "mark"
    files["helpers.py"] = f"import os\nopen({str(mark)!r}, 'a').write(f'{{os.getpid()}} ')\ndef f(): return 1"
    job = Made(tmp_path / "job", files, script="train.py")
    start(client, job).result(180)
    assert job.log() == "1\n"
    assert str(client.run_on_scheduler(__import__("os").getpid)) not in mark.read_text().split()


def test_a_job_whose_code_is_gone_is_told_and_no_worker_ends(client, tmp_path):  # noqa: F811
    files = {"helpers.py": "def f(): return 1\nclass Held: pass", "train.py": """
        import helpers, time
        from pathlib import Path
        from distributed import Client
        print("ready", flush=True)
        while not Path("/%s").exists():
            time.sleep(0.1)
        with Client() as client:
            for task in ([helpers.f], [lambda held: held.x, helpers.Held()]):
                try:
                    client.submit(*task).result()
                except Exception as error:
                    print(type(error).__name__, str(error).partition("(")[0])
    """ % (tmp_path / "go")}  # fmt: skip
    job = Made(tmp_path / "job", files, script="train.py")
    before = set(client.scheduler_info()["workers"])
    future = start(client, job)
    job.said("ready")
    (job.path / CODE).unlink()
    (tmp_path / "go").touch()
    future.result(180)
    _, *lines = job.log().splitlines()
    told = [line for line in lines if line.startswith("ClusterFailed") and "can't read the code of the job" in line]
    assert (told, len(told)) == (lines, 2)
    assert set(client.scheduler_info()["workers"]) == before
