"""What an author's tests find: `DatasetTests` is run by pytest as an author runs it, and its sentences are read."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from dataclasses import dataclass, field

import pytest

from ailab_dataproc.backends import BACKENDS
from ailab_dataproc.backends.pandas import Pandas

DEFINITION = '''"""Clicks of a shop: one row a click."""

import pyarrow as pa

from ailab_dataproc import Dataset, by_hash, column

{body}

GIVEN = dict(
    name="shop/clicks",
    version="1.0.0",
    owner="shop",
    description=__doc__,
    schema=pa.schema([
        column("click", pa.int64(), "number"),
        column("user", pa.string(), "who", pii=True),
        column("price", pa.float64(), "price", unit="JPY", nullable=True),
    ]),
    key="click",
    splits=by_hash("user", {{"train": 0.7, "test": 0.3}}, sources="{folder}/clicks.csv"),
    release_notes={{"1.0.0": "First version."}},
)
dataset = Dataset(**{{**GIVEN, **{changes}}})
'''
ROWS = "".join(f"{i},secret{i % 40},{'' if i % 7 == 0 else i / 3}\n" for i in range(200))
READ = """
def read(source):
    with source.open() as file:
        lines = file.read().decode().split()[1:]
    for line in {lines}:
        click, user, price = line.split(",")
        yield {{"click": {click}, "user": user, "price": float(price) if price else None}}
"""
QUICK = 'formats = ("parquet",)\n    backends = ("pandas",)'


@dataclass
class Run:
    """What an author's tests came to; a plugin of the pytest that runs them."""

    counts: Counter = field(default_factory=Counter)
    told: str = ""

    def pytest_runtest_logreport(self, report):
        """Note a test's outcome, and what is said beside it."""
        if report.when == "call" or report.outcome != "passed":
            self.counts["error" if report.failed and report.when != "call" else report.outcome] += 1
            said = report.longrepr[2] if report.skipped else report.longreprtext
            self.told += " ".join(said.split()) + "\n"


def run_tests(folder, text):
    """Run a file of tests as an author does, in this process."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    file = folder / f"test_{uuid.uuid4().hex}.py"  # a name that no other module of this process has
    file.write_text(f"from ailab_dataproc.testing import DatasetTests\n\n\n{text}")
    found = Run()
    plain = [f"-pno:{one}" for one in ("cacheprovider", "timeout", "faulthandler", "terminal")]
    pytest.main([*plain, "-c", str(folder / "pytest.ini"), str(file)], plugins=[found])
    return found


@pytest.fixture
def author(tmp_path, monkeypatch):
    """Write a definition and a class of tests, and run them: `author(changes, attributes)`."""

    def run(changes="{}", attributes=QUICK, body="", dataset="shop/clicks", csv=ROWS):
        folder = tmp_path / "definitions" / "shop"
        folder.mkdir(parents=True)
        (tmp_path / "clicks.csv").write_text("click,user,price\n" + csv)
        (folder / "clicks.py").write_text(DEFINITION.format(folder=tmp_path, changes=changes, body=body))
        monkeypatch.setenv("AILAB_DATASETS", str(folder.parent))
        return run_tests(tmp_path, f"class TestClicks(DatasetTests):\n    dataset = {dataset!r}\n    {attributes}\n")

    return run


@pytest.mark.slow
def test_a_class_of_three_lines_tests_a_dataset(author):
    counts = author(attributes="").counts
    assert counts["passed"] >= 13
    assert set(counts) <= {"passed", "skipped"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ('{"owner": " "}', "shop/clicks: has no owner. Write owner='a person or a team'."),
        ('{"description": ""}', "shop/clicks: has no description. Say what one row is, and where it comes from."),
        ('{"release_notes": {"0.9.0": "x"}}', "shop/clicks: version 1.0.0 has no release note."),
        (
            '{"schema": pa.schema([column("click", pa.int64(), "n"), column("user", pa.string()), '
            'column("price", pa.float64(), "p", nullable=True)])}',
            "shop/clicks: column 'user' has no meaning. Write it: column(name, type, 'what a value says').",
        ),
    ],
)
def test_what_is_not_documented_is_told_in_a_sentence(author, changes, sentence):
    result = author(changes)
    assert result.counts == {"failed": 1, "passed": 11, "skipped": 1}, result.told
    assert sentence in result.told


def test_columns_may_be_left_undocumented(author):
    schema = '{"schema": pa.schema([column(n, t, nullable=n == "price") for n, t in SHORT])}'
    body = 'SHORT = (("click", pa.int64()), ("user", pa.string()), ("price", pa.float64()))'
    result = author(schema, f'{QUICK}\n    allow_undocumented = ("click", "user", "price")', body)
    assert result.counts == {"passed": 12, "skipped": 1}, result.told


@pytest.mark.parametrize(
    ("lines", "click"),
    [("set(lines)", "click"), ("lines", "int(click) + __import__('os').getpid() * 1000")],
    ids=["the order of a set", "the number of the process"],
)
def test_a_read_that_is_not_the_same_each_time_is_found(author, lines, click):
    result = author('{"read": read}', QUICK, READ.format(lines=lines, click=f"int({click})"))
    assert result.counts == {"failed": 1, "passed": 11, "skipped": 1}, result.told
    assert "preparing twice gave other bytes in parquet/" in result.told


def test_a_sample_that_cannot_be_prepared_is_told_once(author):
    result = author(csv="1,ada,2\nx,ada,3\n")
    assert result.counts == {"passed": 5, "error": 1, "skipped": 7}, result.told
    assert "row 2 of clicks.csv" in result.told


def test_a_repeated_key_is_told_without_personal_data(author):
    result = author('{"key": "user"}')
    assert result.counts["error"] == 1
    assert re.search(r"repeats? a key", result.told)
    assert "secret" not in result.told


def test_a_name_that_is_not_in_the_catalog_is_told_once(author):
    result = author(dataset="shop/click")
    assert result.counts == {"error": 1, "skipped": 12}, result.told
    assert "no dataset 'shop/click'. Did you mean 'shop/clicks'" in result.told


def test_a_class_without_a_dataset_is_told_what_to_write(tmp_path):
    result = run_tests(tmp_path, "class TestNothing(DatasetTests):\n    pass\n")
    assert result.counts["error"] == 1
    assert 'TestNothing: names no dataset. Write: dataset = "products/' in result.told


def test_a_split_without_rows_is_told_with_what_to_do(author):
    result = author(attributes=f"{QUICK}\n    limit = 1")
    assert re.search(r"no row of the first 1 is in split '(train|test)'. Raise `limit`", result.told)


def test_only_the_first_rows_are_read(author):
    body = READ.format(lines="lines", click="int(click)").replace("yield", "assert int(click) < 20_000\n        yield")
    rows = "".join(f"{i},u{i},1\n" for i in range(30_000))  # dicts come in batches of 10,000
    result = author('{"read": read}', f"{QUICK}\n    limit = 5_000", body, csv=rows)
    assert result.counts == {"passed": 12, "skipped": 1}, result.told


def test_small_sources_beside_the_test_take_the_place_of_the_definitions(author, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "small.csv").write_text("click,user,price\n" + ROWS)
    gone = '{"splits": {"train": "/nowhere/clicks-*.csv"}}'
    result = author(gone, f'{QUICK}\n    sources = {{"train": "data/small.csv"}}')
    assert result.counts == {"passed": 11, "skipped": 2}, result.told


def test_sources_that_are_nowhere_are_told_with_where_they_were_looked_for(author, tmp_path):
    result = author(attributes=f'{QUICK}\n    sources = {{"all": "data/small.csv"}}')
    assert f"sources: found no 'data/small.csv' in {tmp_path}" in result.told


def test_a_definition_itself_will_do(tmp_path):
    body = READ.format(lines="lines", click="int(click)")
    changes = '{"read": read, "description": "Clicks."}'
    text = DEFINITION.format(folder=tmp_path, changes=changes, body=body)
    (tmp_path / "clicks.csv").write_text("click,user,price\n" + ROWS)
    result = run_tests(tmp_path, f"{text}\n\nclass TestClicks(DatasetTests):\n    dataset = dataset\n    {QUICK}\n")
    assert result.counts == {"passed": 12, "skipped": 1}, result.told


class Lying(Pandas):
    """A backend that changes a value in a column."""

    column = "price"

    def to_arrow(self, frame, schema):
        """The frame with another first value."""
        table = super().to_arrow(frame, schema)
        place = schema.names.index(self.column)
        values = table[self.column].to_pylist()
        other = {"price": 0.125, "user": "somebody else"}[self.column]
        import pyarrow as pa

        return table.set_column(place, schema.field(place), pa.array([other, *values[1:]], schema.field(place).type))


class LyingOfUsers(Lying):
    """The same for personal data."""

    column = "user"


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("Lying", "column 'price' has other values on 'lying': row 1 is 0.125, wanted None"),
        ("LyingOfUsers", "column 'user' has other values on 'lying' (not shown: PII)"),
    ],
)
def test_a_backend_that_changes_a_value_is_found(author, monkeypatch, kind, sentence):
    from ailab_dataproc.backends import backend

    monkeypatch.setitem(BACKENDS, "lying", f"{__name__}:{kind}")
    backend.cache_clear()
    result = author(
        '{"splits": {"train": GIVEN["splits"].sources}}', 'formats = ("parquet",)\n    backends = ("lying",)'
    )
    assert result.counts["failed"] == 1
    assert sentence in result.told
    assert "secret" not in result.told


def test_what_a_backend_refuses_is_skipped_with_its_reason(author):
    pytest.importorskip("torch")
    schema = (
        '{"read": read, "schema": pa.schema([*GIVEN["schema"], '
        'column("more", pa.list_(pa.field("item", pa.int64())), "numbers")])}'
    )
    body = READ.format(lines="lines", click="int(click)").replace('"user": user', '"user": user, "more": [1, None]')
    result = author(schema, 'formats = ("parquet",)\n    backends = ("torch",)', body)
    assert result.counts == {"passed": 11, "skipped": 2}, result.told
    assert "Compared: click, user, price." in result.told
