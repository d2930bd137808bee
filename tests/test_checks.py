"""Checks of a definition: what they find in the rows, what stops a preparation, what is kept and told."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import json
import linecache
import logging
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import ailab_dataproc as adp
from ailab_dataproc import checks, storage
from ailab_dataproc.checked import read_checks
from ailab_dataproc.columns import column
from ailab_dataproc.errors import CheckFailed, InvalidData, InvalidDefinition, NotPrepared, SourceFailed, UnknownName
from ailab_dataproc.manifest import open_prepared
from ailab_dataproc.preparation.options import Options
from ailab_dataproc.preparation.pipeline import prepare_dataset
from ailab_dataproc.preparation.tasks import Layout
from ailab_dataproc.splitting import by_hash

DAY = dt.timedelta(days=1)
NUMBERS = pa.schema([column("id", pa.int64()), column("x", pa.float64(), nullable=True), column("word", pa.string())])
SMALL = Layout(shard_bytes=4000, chunk_rows=64)


def content(table):
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def numbers(rows=100, start=0):
    """Rows of `NUMBERS`: x is null in every fifth row and -1 in every tenth; each word occurs in ten rows."""
    ids = np.arange(start, start + rows)
    x = np.where(ids % 10 == 7, -1.0, ids)
    columns = [pa.array(ids), pa.array(x, mask=ids % 5 == 4), pa.array([f"w{i // 10}" for i in ids])]
    return content(pa.table(columns, names=NUMBERS.names))


@pytest.fixture
def checked(define, data_dir):
    """Prepare with checks; returns the results by name. Options of the preparation may be given too."""

    def run(*given, files=None, schema=NUMBERS, options=None, **more):
        dataset = define({"a.parquet": numbers()} if files is None else files, schema=schema, checks=given, **more)
        made = Options(**{"runner": "inline", "formats": ("parquet",)} | (options or {}))
        report = prepare_dataset(dataset, storage.folder(data_dir), made)
        found = read_checks(open_prepared(storage.folder(data_dir), f"{dataset.name}:{dataset.version}"))
        assert report.checks == found or report.reused
        return {one["name"]: one for one in report.checks}

    return run


@pytest.fixture
def items(make):
    """A prepared dataset that others refer to: the words w0 to w7."""
    words = pa.schema([column("word", pa.string(), nullable=True)])
    return make({"items.csv": "word\n" + "".join(f"w{i}\n" for i in range(8))}, schema=words, name="test/items")


def _even(batch):
    return batch.column("x").to_numpy() % 2 == 0


NAN = float("nan")
UTC = pa.timestamp("s", "UTC")
TIMES = [dt.datetime(2026, 10, day, tzinfo=dt.UTC) for day in (1, 2, 3)]
# Type, values, check, how many are looked at, and the numbers of the rows that fail.
ROWS = {
    "integers in a range": (pa.int64(), [-1, 0, 5, None, 6], checks.between("x", 0, 5), 4, [0, 4]),
    "a bound itself left out": (pa.int8(), [0, 1, 5], checks.between("x", 0, 5, include_min=False), 3, [0]),
    "an upper bound left out": (pa.int8(), [0, 1, 5], checks.between("x", 0, 5, include_max=False), 3, [2]),
    "integers beyond floats": (pa.int64(), [2**60, 2**60 + 1], checks.between("x", max=2**60), 2, [1]),
    "unsigned integers": (pa.uint64(), [2**64 - 1, 1], checks.between("x", max=2**63), 2, [0]),
    "NaN is in no range": (pa.float64(), [1.0, NAN, None], checks.between("x", 0), 2, [1]),
    "floats by their type": (pa.float32(), [0.1, 0.2], checks.between("x", max=0.1), 2, [1]),
    "half floats": (pa.float16(), np.array([0.1, 7], np.float16), checks.between("x", 0, 5), 2, [1]),
    "decimals": (pa.decimal128(6, 2), [Decimal("1.50"), Decimal("1.49")], checks.between("x", "1.50"), 2, [1]),
    "times": (UTC, TIMES, checks.between("x", "2026-10-02T00:00Z"), 3, [0]),
    "dates": (pa.date32(), [dt.date(2026, 1, 1), dt.date(2025, 1, 1)], checks.between("x", "2026-01-01"), 2, [1]),
    "spans": (pa.duration("s"), [DAY, 3 * DAY], checks.between("x", max=2 * DAY), 2, [1]),
    "texts in order": (pa.string(), ["a", "c"], checks.between("x", "a", "b"), 2, [1]),
    "allowed texts": (pa.string(), ["a", "b", None, "c"], checks.one_of("x", ["a", "b"]), 3, [3]),
    "allowed numbers": (pa.int32(), [1, 2, 3], checks.one_of("x", {1, 2}), 3, [2]),
    "allowed dictionary values": (
        pa.dictionary(pa.int8(), pa.string()),
        ["a", None, "b", "a"],
        checks.one_of("x", ["a"]),
        3,
        [2],
    ),
    "a pattern of a dictionary": (pa.dictionary(pa.int8(), pa.string()), ["a", "b"], checks.matches("x", "a"), 2, [1]),
    "no nulls": (pa.int64(), [1, None, 3], checks.not_null("x"), 3, [1]),
    "NaN is no null": (pa.float64(), [NAN, None], checks.not_null("x"), 2, [1]),
    "a whole pattern": (pa.string(), ["ab", "abc", "ab\n", "", None], checks.matches("x", "ab|ba"), 4, [1, 2, 3]),
    "lengths in characters": (pa.string(), ["靴靴", "abc", ""], checks.length("x", 1, 2), 3, [1, 2]),
    "lengths of bytes": (pa.binary(), [b"12", b"123"], checks.length("x", max=2), 2, [1]),
    "lengths of lists": (pa.list_(pa.int32()), [[1], [], None, [1, 2]], checks.length("x", 1, 1), 3, [1, 3]),
    "an expression": (pa.int64(), [1, None, 4], checks.satisfies("large", pc.field("x") > 3), 2, [0]),
    "a function": (pa.int64(), [1, 2, 4], checks.satisfies("even", _even), 3, [0]),
    "unique numbers": (pa.int64(), [1, 2, 1, None, None, 2], checks.unique("x"), 4, [2, 5]),
    "unique texts": (pa.large_string(), ["a", "b", "a"], checks.unique("x"), 3, [2]),
    "unique times": (UTC, [*TIMES, TIMES[0]], checks.unique("x"), 4, [3]),
}


@pytest.mark.parametrize("case", ROWS)
def test_a_check_fails_for_just_the_rows_that_are_wrong(checked, case):
    type_, values, check, looked, wrong = ROWS[case]
    schema = pa.schema([column("x", type_, nullable=True)])
    table = pa.table([pa.array(values, type_)], schema=schema)
    with pytest.raises(CheckFailed, match=f"{len(wrong)} of {looked} rows.* row {wrong[0] + 1} of a.parquet"):
        checked(check, files={"a.parquet": content(table)}, schema=schema)
    warned = next(iter(checked(_warning(check), files={"a.parquet": content(table)}, schema=schema).values()))
    assert (warned["result"], warned["rows"], warned["failed"]) == ("warned", looked, len(wrong))
    assert warned["first"][0]["row"] == wrong[0] + 1
    right = table.take([i for i in range(len(table)) if i not in wrong])
    given = {"files": {"b.parquet": content(right)}, "schema": schema, "version": "1.0.1"}
    passed = next(iter(checked(check, **given).values()))
    assert (passed["result"], passed["failed"], passed["first"]) == ("passed", 0, [])


def _warning(check):
    return dataclasses.replace(check, level="warn")


def test_the_error_names_check_number_share_place_and_value(checked):
    with pytest.raises(CheckFailed) as raised:
        checked(checks.between("x", 0), checks.unique("id"), checks.one_of("word", ["w1"]))
    told = str(raised.value)
    assert "test/clicks: check 'x at least 0' fails (so does 'word one of w1'): 10 of 80 rows (12.50%): " in told
    assert "row 8 of a.parquet has x=-1.0; row 18 of a.parquet has x=-1.0; row 28" in told
    assert "\n" not in told


def test_a_failed_check_leaves_nothing_visible_and_the_next_try_goes_on(checked, data_dir):
    with pytest.raises(CheckFailed):
        checked(checks.between("x", 0))
    with pytest.raises((NotPrepared, UnknownName)):
        open_prepared(storage.folder(data_dir), "test/clicks")
    written = {one: one.stat().st_mtime_ns for one in Path(data_dir).rglob("*.parquet")}
    assert written
    found = checked(checks.between("x", 0, tolerate=0.2))["x at least 0"]
    assert (found["result"], found["failed"], found["tolerate"]) == ("passed", 10, 0.2)
    again = {one.stat().st_mtime_ns for one in Path(data_dir).rglob("train-*.parquet")}
    assert again <= set(written.values())  # no shard was written again


def test_mended_sources_pass(checked):
    with pytest.raises(CheckFailed):
        checked(checks.between("id", max=98))
    assert checked(checks.between("id", max=98), files={"a.parquet": numbers(99)})["id at most 98"]["failed"] == 0


@pytest.mark.parametrize(
    ("tolerate", "result"), [(0, "warned"), (9, "warned"), (10, "passed"), (0.124, "warned"), (0.125, "passed")]
)
def test_a_threshold_is_a_number_of_rows_or_an_exact_share(checked, tolerate, result):
    assert checked(checks.between("x", 0, tolerate=tolerate, level="warn"))["x at least 0"]["result"] == result


def test_a_share_is_not_bent_by_floats(checked):
    table = content(pa.table({"x": [-1] * 29 + [1] * 71}))
    schema = pa.schema([column("x", pa.int64())])
    found = checked(checks.between("x", 0, tolerate=0.29), files={"a.parquet": table}, schema=schema)
    assert 0.29 * 100 < 29
    assert found["x at least 0"]["result"] == "passed"


def test_a_warning_is_one_line_of_the_report(define, data_dir):
    dataset = define({"a.parquet": numbers()}, schema=NUMBERS, checks=[checks.between("x", 0, level="warn")])
    report = adp.prepare(dataset, data_dir=data_dir, runner="inline", formats=("parquet",))
    lines = [line for line in str(report).splitlines() if line.startswith("warning")]
    assert lines == [
        "warning: check 'x at least 0' fails: 10 of 80 rows (12.50%): row 8 of a.parquet has x=-1.0; "
        "row 18 of a.parquet has x=-1.0; row 28 of a.parquet has x=-1.0"
    ]


def test_results_are_by_split(checked, tmp_path):
    files = {"a.parquet": numbers(), "b.parquet": numbers(50, 100)}
    splits = {"train": str(tmp_path / "sources/a.parquet"), "test": str(tmp_path / "sources/b.parquet")}
    given = [checks.between("x", 0, level="warn"), checks.unique("word", level="warn"), checks.rows_between(150, 150)]
    found = checked(*given, files=files, splits=splits)
    assert found["x at least 0"]["splits"] == {"train": {"rows": 80, "failed": 10}, "test": {"rows": 40, "failed": 5}}
    assert found["word unique"]["splits"] == {"train": {"rows": 100, "failed": 90}, "test": {"rows": 50, "failed": 45}}
    assert found["rows 150"]["result"] == "passed"


def test_a_check_of_one_split_passes_over_the_others(checked, tmp_path):
    files = {"a.parquet": numbers(), "b.parquet": numbers(5)}
    splits = {"train": str(tmp_path / "sources/a.parquet"), "test": str(tmp_path / "sources/b.parquet")}
    given = [
        checks.between("x", 0, split="test"),
        checks.unique("id", split="train"),
        checks.rows_between(5, 5, split="test"),
    ]
    found = checked(*given, files=files, splits=splits)
    assert [one["rows"] for one in found.values()] == [4, 100, 5]
    with pytest.raises(CheckFailed, match="'id unique' fails: 5 of 105 rows"):
        checked(checks.unique("id"), files=files, splits=splits, version="1.0.1")


def test_too_few_rows_stop_the_preparation(checked):
    with pytest.raises(CheckFailed, match="check 'rows at least 101' fails: there are 100 rows"):
        checked(checks.rows_between(101))


@pytest.mark.parametrize("type_", [UTC, pa.timestamp("ns", "Asia/Tokyo"), pa.timestamp("us"), pa.date32()], ids=str)
def test_the_newest_time_must_be_near_a_given_one(checked, type_):
    schema = pa.schema([column("at", type_, nullable=True)])
    values = [dt.date(2026, 10, 1), dt.date(2026, 10, 3), None]
    table = pa.table(
        [
            pa.array(values, pa.date32())
            .cast(pa.timestamp("s"))
            .cast(pa.timestamp("us"))
            .cast(pa.timestamp("us", getattr(type_, "tz", None)))
            .cast(type_)
        ],
        names=["at"],
    )
    zone = "Z" if getattr(type_, "tz", None) else ""
    as_of = "2026-10-05" if pa.types.is_date(type_) else f"2026-10-05T00:00{zone or ''}"
    given = {"files": {"a.parquet": content(table)}, "schema": schema}
    with pytest.raises(CheckFailed, match=r"the newest is 2026-10-03.* against 2026-10-05"):
        checked(checks.fresh("at", DAY, as_of=as_of), **given)
    assert checked(checks.fresh("at", 2 * DAY, as_of=as_of), **given).popitem()[1]["result"] == "passed"


def test_the_clock_may_warn_only_and_is_recorded(checked):
    table = content(pa.table({"at": pa.array([dt.datetime(2020, 1, 1)])}))
    schema = pa.schema([column("at", pa.timestamp("us"))])
    found = checked(checks.fresh("at", DAY, level="warn"), files={"a.parquet": table}, schema=schema)
    told = found["at within 1 day of the preparation"]
    assert told["result"] == "warned"
    assert f"against {dt.datetime.now(dt.UTC):%Y-%m-%d}" in told["found"]


def test_a_foreign_key_is_looked_up_in_another_dataset(checked, items):
    with pytest.raises(CheckFailed, match=r"20 of 100 rows \(20.00%\): row 81 of a.parquet has word='w8'; row 91 of"):
        checked(checks.references("word", "test/items:1.0.0"))
    found = checked(checks.references("word", "test/items:1.0.0", tolerate=20)).popitem()[1]
    origin = open_prepared(storage.folder(str(Path(items.location).parents[2])), "test/items").manifest
    assert found["referenced"] == {"name": "test/items", "version": "1.0.0", "fingerprint": origin.fingerprint}
    made = open_prepared(storage.folder(str(Path(items.location).parents[2])), "test/clicks").manifest
    assert made.provenance["checked_against"] == [found["referenced"]]


def test_what_refers_to_nothing_is_told_before_a_row_is_read(checked, items):
    with pytest.raises(NotPrepared, match="test/nothing: nothing is prepared"):
        checked(checks.references("word", "test/nothing:1.0.0"))
    with pytest.raises(UnknownName, match=r"test/items:1.0.0: no column 'wort'. Did you mean 'word'"):
        checked(checks.references("word", "test/items:1.0.0", "wort"))
    with pytest.raises(InvalidDefinition, match=r"column 'id' is int64, and 'word' of test/items:1.0.0 is string"):
        checked(checks.references("id", "test/items:1.0.0", "word"))


def test_keys_of_other_widths_refer_to_each_other(checked, make):
    other = pa.schema([column("number", pa.int16())])
    make({"n.csv": "number\n" + "".join(f"{i}\n" for i in range(90))}, schema=other, name="test/numbers")
    found = checked(checks.references("id", "test/numbers:1.0.0", "number", level="warn")).popitem()[1]
    assert (found["failed"], found["first"][0]["row"]) == (10, 91)


ALL = (
    checks.between("x", 0, level="warn"),
    checks.matches("word", "w[0-9]", level="warn"),
    checks.unique("id", level="warn"),
    checks.unique("word", level="warn"),
    checks.references("word", "test/items:1.0.0", level="warn"),
    checks.satisfies("id above x", pc.field("id") > pc.field("x"), level="warn"),
    checks.rows_between(1, 10, level="warn"),
)


def sources(count=4):
    """Files of which the last one repeats rows of the first."""
    return {f"s{i}.parquet": numbers(300, 300 * i if i < count - 1 else 50) for i in range(count)}


LOCAL = [
    (runner, workers, how) for runner, workers in (("inline", None), ("threads", 3)) for how in ("source", "pooled")
]


@pytest.mark.parametrize(
    ("runner", "workers", "arrangement"), [*LOCAL, ("threads", 2, "shuffled"), ("processes", 2, "shuffled")]
)
def test_the_results_are_the_same_on_every_runner(checked, items, tmp_path, arrangement, runner, workers):
    given = {"order": "shuffled"} if arrangement == "shuffled" else {}
    if arrangement == "pooled":
        paths = [str(tmp_path / "sources" / name) for name in sources()]
        given["splits"] = by_hash("id", {"train": 0.8, "test": 0.2}, sources=paths)
    options = {"runner": runner, "workers": workers, "layout": SMALL}
    found = checked(*ALL, files=sources(), options=options, **given)
    failed = {name: one["failed"] for name, one in found.items()}
    assert failed == {
        "x at least 0": 120,
        "word matches w[0-9]": 1050,
        "id unique": 300,
        "word unique": 1110,
        "word in word of test/items:1.0.0": 1090,
        "id above x": 840,
        "rows 1 to 10": 1,
    }
    places = {name: [(one["source"], one["row"]) for one in told["first"]] for name, told in found.items()}
    assert places["x at least 0"] == [("s0.parquet", 8), ("s0.parquet", 18), ("s0.parquet", 28)]
    assert places["word in word of test/items:1.0.0"][0] == ("s0.parquet", 81)
    assert sum(one["failed"] for one in found["id unique"]["splits"].values()) == 300


def test_an_empty_source_and_no_rows_at_all_pass(checked):
    empty = content(NUMBERS.empty_table())
    found = checked(*ALL[:4], files={"a.parquet": empty, "b.parquet": numbers(3)}, allow_empty=True)
    assert [one["rows"] for one in found.values()] == [3, 3, 3, 3]
    found = checked(*ALL[:4], files={"a.parquet": empty}, allow_empty=True, version="1.0.1")
    assert [(one["rows"], one["result"]) for one in found.values()] == [(0, "passed")] * 4


def test_checks_change_no_byte_of_a_shard(checked, make, data_dir, items):
    report = make({"a.parquet": numbers()}, schema=NUMBERS, name="test/plain")
    checked(*ALL)
    plain = [one.read_bytes() for one in sorted(Path(report.location).rglob("parquet/*.parquet"))]
    assert plain == [one.read_bytes() for one in sorted(Path(data_dir, "test/clicks").rglob("parquet/*.parquet"))]


def test_a_version_stays_usable_when_checks_change_and_claims_nothing(checked):
    checked(checks.between("x", 0, tolerate=0.5))
    found = checked(checks.between("x", 0), checks.unique("id"))
    assert found["x at least 0"]["result"] == "failed"  # judged anew, by what was counted
    assert found["id unique"]["result"] == "not run"
    assert checked() == {}


def test_the_report_of_a_version_that_is_there_names_checks_that_were_not_run(define, data_dir):
    given = {"data_dir": data_dir, "runner": "inline", "formats": ("parquet",)}
    adp.prepare(define({"a.parquet": numbers()}, schema=NUMBERS), **given)
    told = str(adp.prepare(define({"a.parquet": numbers()}, schema=NUMBERS, checks=[checks.unique("id")]), **given))
    assert "not checked: 'id unique' was not run on this version. Bump the version to run it." in told


def test_the_version_is_the_same_with_a_first_check_in_its_file(tmp_path, data_dir, monkeypatch):
    place = tmp_path / "my_datasets" / "test" / "some.py"
    place.parent.mkdir(parents=True)
    (tmp_path / "a.csv").write_text("x\n1\n")
    text = (
        "import pyarrow as pa\nfrom ailab_dataproc import Dataset, column{}\n\n\ndef read(source):\n"
        "    yield pa.table({{'x': [1]}})\n\n\ndataset = Dataset(name='test/some', version='1.0.0', "
        f"schema=pa.schema([column('x', pa.int64())]), splits={{{{'train': '{tmp_path}/a.csv'}}}}, read=read{{}})\n"
    )
    monkeypatch.setenv("AILAB_DATASETS", str(tmp_path / "my_datasets"))
    code = "import ailab_dataproc as adp; print(adp.prepare('test/some', runner='inline', formats=('parquet',)))"
    for given in (("", ""), (", checks", ", checks=[checks.between('x', 0)]")):
        place.write_text(text.format(*given))
        environment = os.environ | {"AILAB_DATA_DIR": data_dir}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert "already prepared" in done.stdout
    assert "not checked: 'x at least 0'" in done.stdout


PERSONAL = pa.schema(
    [column("user", pa.string(), pii=True), column("age", pa.int64(), pii=True), column("id", pa.int64())]
)


PEOPLE = "user,age,id\nsecret-ada,7700991,1\nsecret-ada,7700992,2\nsecret-bob,7700993,3\n"


def personal(level):
    """Checks of personal columns, all of which fail."""
    return [
        checks.between("age", 7700000, 7700500, level=level),
        checks.one_of("user", ["secret-eve"], level=level),
        checks.matches("user", "[a-z]+", level=level),
        checks.length("user", max=3, level=level),
        checks.unique("user", level=level),
        checks.references("user", "test/items:1.0.0", "word", level=level),
        checks.satisfies("young", pc.field("age") < pc.field("id"), level=level),
    ]


def told_anywhere(data_dir, caplog, capfd):
    """All that was printed, logged or left in files but the shards."""
    kept = [one for one in Path(data_dir).rglob("*") if one.is_file() and one.suffix != ".parquet"]
    return "".join([*(one.read_bytes().decode("latin-1") for one in kept), caplog.text, *capfd.readouterr()])


def test_a_warning_tells_no_personal_value(define, data_dir, items, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    dataset = define({"a.csv": PEOPLE}, schema=PERSONAL, checks=personal("warn"))
    report = adp.prepare(dataset, data_dir=data_dir, runner="threads", formats=("parquet",))
    assert [one["failed"] for one in report.checks] == [3, 3, 3, 3, 1, 3, 3]
    assert report.checks[0]["first"] == [{"source": "a.csv", "row": row, "values": {}} for row in (1, 2, 3)]
    assert report.checks[-1]["first"][0]["values"] == {"id": "1"}
    told = f"{report} {json.dumps(report.to_dict())} {told_anywhere(data_dir, caplog, capfd)}"
    assert "secret" not in told
    assert "7700" not in told


@pytest.mark.parametrize("number", range(7))
def test_an_error_tells_no_personal_value(define, data_dir, items, caplog, capfd, number):
    caplog.set_level(logging.DEBUG)
    dataset = define({"a.csv": PEOPLE}, schema=PERSONAL, checks=[personal("fail")[number]])
    with pytest.raises(CheckFailed, match=r" of 3 rows .*: row [12] of a.csv") as raised:
        adp.prepare(dataset, data_dir=data_dir, runner="threads", formats=("parquet",))
    told = f"{raised.value} {getattr(raised.value, '__notes__', '')} {told_anywhere(data_dir, caplog, capfd)}"
    assert "secret" not in told
    assert "7700" not in told


def test_what_an_author_raises_over_personal_values_is_not_told(checked):
    def loud(batch):
        raise ValueError(f"bad {batch.column('user')[0]}")

    files = {"a.csv": "user,age,id\nsecret-ada,991,1\n"}
    for test in (loud, pc.field("user").cast(pa.int64()) > 0):
        with pytest.raises(SourceFailed, match=r"check 'loud' raised .*message not shown: PII") as raised:
            checked(checks.satisfies("loud", test), files=files, schema=PERSONAL)
        assert "secret" not in str(raised.value) + repr(raised.value.__notes__)


def test_a_function_that_raises_or_answers_wrongly_is_named(checked):
    def raises(batch):
        raise ValueError("no idea")

    with pytest.raises(SourceFailed, match=r"check 'odd' raised ValueError: no idea \(test_checks.py, line"):
        checked(checks.satisfies("odd", raises))
    with pytest.raises(InvalidData, match="check 'odd' gave 1 values of int64 for 100 rows, wanted true or false"):
        checked(checks.satisfies("odd", lambda batch: [1]))


def test_a_function_of_a_notebook_that_raises_is_named(checked, monkeypatch):
    cell, text = {"__name__": "__main__"}, "def odd(batch):\n    return 1 / 0\n"
    monkeypatch.setitem(linecache.cache, "cell 3", (len(text), None, text.splitlines(keepends=True), "cell 3"))
    exec(compile(text, "cell 3", "exec"), cell)  # noqa: S102 - as a notebook does
    with pytest.raises(SourceFailed, match=r"check 'whole' raised .* \((cell 3|odd\(\)), line 2\)"):
        checked(checks.satisfies("whole", cell["odd"]))


DEFINITION = """
import os, time
import numpy as np, pyarrow as pa
from ailab_dataproc import Dataset, Source, checks, column

def sources(split, text):
    return [Source(f"made://{i}", split, identity=str(i)) for i in range(6)]

def read(source):
    number = int(source.url[-1])
    if number == 4 and os.path.exists(os.environ["FUSE"]):
        time.sleep(1)
        os._exit(9)
    ids = np.arange(100) + (90 * number)
    yield pa.table({"id": ids, "x": np.where(ids % 10 == 7, -1, ids)})

def small(batch):
    return batch.column("id").to_numpy() < 500

dataset = Dataset(name="test/made", version="1.0.0", splits={"train": "made"}, sources=sources, read=read,
    schema=pa.schema([column("id", pa.int64()), column("x", pa.int64())]),
    checks=[checks.between("x", 0, level="warn"), checks.unique("id", level="warn"),
        checks.satisfies("small", small, columns=["id"], level="warn")])
"""


def test_a_preparation_that_was_killed_ends_with_the_same_results(tmp_path):
    place = tmp_path / "definitions" / "test" / "made.py"
    place.parent.mkdir(parents=True)
    place.write_text(DEFINITION)
    fuse = tmp_path / "fuse"
    code = "import ailab_dataproc as adp; adp.prepare('test/made', workers=2, formats=('parquet',))"
    found = []
    for folder, lit in (("killed", True), ("killed", False), ("whole", False)):
        fuse.touch() if lit else fuse.unlink(missing_ok=True)
        given = {"AILAB_DATASETS": str(place.parents[1]), "AILAB_DATA_DIR": str(tmp_path / folder), "FUSE": str(fuse)}
        environment = os.environ | given
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode != 0) == lit, done.stderr
        version = tmp_path / folder / "test/made/1.0.0"
        assert version.exists() != lit
        found += [] if lit else [(version / "checks.json").read_bytes()]
    assert found[0] == found[1]
    assert [one["failed"] for one in json.loads(found[0])["checks"]] == [60, 50, 50]


def test_a_repeated_value_names_both_rows(checked):
    files = {"a.parquet": numbers(10), "b.parquet": numbers(10, 9)}
    with pytest.raises(
        CheckFailed, match=r"1 of 20 rows \(5.00%\): row 1 of b.parquet has id=9, like row 10 of a.parq"
    ):
        checked(checks.unique("id"), files=files)


def test_checks_run_in_a_bucket(bucket, define):
    words = define(
        {"w.csv": "word\nw0\nw1\n"},
        schema=NUMBERS.field("word") and pa.schema([NUMBERS.field("word")]),
        name="test/items",
    )
    adp.prepare(words, runner="inline", formats=("parquet",))
    for level, order in (("fail", "source"), ("warn", "shuffled")):
        given = [checks.unique("word", level=level), checks.references("word", "test/items:1.0.0", level=level)]
        dataset = define({"a.parquet": numbers()}, schema=NUMBERS, checks=given, order=order)
        if level == "fail":
            with pytest.raises(CheckFailed, match=r"'word unique' fails .*: 90 of 100 rows"):
                adp.prepare(dataset, runner="inline", formats=("parquet",))
        else:
            report = adp.prepare(dataset, runner="inline", formats=("parquet",))
            assert [one["failed"] for one in report.checks] == [90, 80]


def test_the_checks_of_a_version_are_verified_with_it(checked, data_dir):
    from ailab_dataproc.errors import DamagedData

    checked(checks.unique("id"))
    prepared = open_prepared(storage.folder(data_dir), "test/clicks")
    place = Path(data_dir, "test/clicks/1.0.0/checks.json")
    place.write_bytes(place.read_bytes().replace(b"passed", b"failed"))
    with pytest.raises(DamagedData, match=r"checks\.json"):
        read_checks(prepared)


WRONG = {
    "no column 'prize'. Did you mean 'x'|no column 'prize'": lambda: checks.between("prize", 0),
    "no split 'dev'": lambda: checks.between("x", 0, split="dev"),
    "'a' can't be compared with 'x'": lambda: checks.between("x", "a"),
    "neither min nor max": lambda: checks.between("x"),
    "min=3 is larger than max=1": lambda: checks.between("x", 3, 1),
    "column 'x' is double, wanted text": lambda: checks.matches("x", "a"),
    "can't be read .*RE2's syntax": lambda: checks.matches("word", "(?=a)"),
    "values is 'abc', wanted a list": lambda: checks.one_of("word", "abc"),
    "names no value": lambda: checks.one_of("word", []),
    "column 'x' is double, wanted an integer": lambda: checks.unique("x"),
    "no columns": checks.unique,
    "column 'word' is string, wanted a timestamp": lambda: checks.fresh("word", DAY, as_of="2026-01-01"),
    "within=7, wanted": lambda: checks.fresh("word", 7),
    "Pin one, such as 'test/items:1.0.0'": lambda: checks.references("word", "test/items"),
    "version '1.x' isn't": lambda: checks.references("word", "test/items:1.x"),
    "'A b' can't be a dataset's name": lambda: checks.references("word", "A b"),
    "gives double, wanted true or false": lambda: checks.satisfies("sum", pc.field("x") + 1),
    "no column 'y'": lambda: checks.satisfies("y", pc.field("y") > 1),
    "test is 5, wanted an Expression or a function": lambda: checks.satisfies("five", 5),
    "no level 'error'": lambda: checks.between("x", 0, level="error"),
    "tolerate=1.0, wanted": lambda: checks.between("x", 0, tolerate=1.0),
    "tolerate=-1, wanted": lambda: checks.between("x", 0, tolerate=-1),
    "tolerate= counts rows": lambda: checks.rows_between(1, tolerate=3),
    "-1 is no bound": lambda: checks.length("word", -1),
    "wanted text, bytes or lists": lambda: checks.length("x", 1),
    "'unique' is no check": lambda: ["unique"],
    "NaN is no bound": lambda: checks.between("x", NAN),
    "no column '7'": lambda: checks.not_null(7),
}


@pytest.mark.parametrize("told", WRONG)
def test_a_check_that_cannot_be_right_is_refused_in_the_definition(define, told):
    with pytest.raises(InvalidDefinition, match=told):
        define({"a.parquet": b""}, schema=NUMBERS, checks=WRONG[told]())


def test_two_checks_of_one_name_are_refused(define):
    with pytest.raises(InvalidDefinition, match="two checks are named 'id unique'"):
        define({"a.parquet": b""}, schema=NUMBERS, checks=[checks.unique("id"), checks.unique("id", level="warn")])


def test_a_check_is_plain_json(define):
    dataset = define({"a.parquet": b""}, schema=NUMBERS, checks=[*ALL, checks.satisfies("even", _even)])
    told = json.loads(json.dumps([one.describe() for one in dataset.checks], allow_nan=False))
    assert told[0]["arguments"] == {"min": 0, "max": None, "include_min": True, "include_max": True}
    assert told[5]["columns"] == ["id", "x"]
    assert told[-1]["arguments"] == {"test": "test_checks._even"}


def test_describe_shows_what_checks_found(checked, data_dir, capsys):
    from click.testing import CliRunner

    from ailab_dataproc.cli import cli

    checked(checks.between("x", 0, level="warn"), checks.unique("id"))
    shown = CliRunner().invoke(cli, ["describe", "test/clicks", "--data-dir", data_dir]).output
    assert "x at least 0  warn   warned  10 of 80 rows (12.50%): row 8 of a.parquet has x=-1.0" in shown
    assert "id unique     fail   passed  none of 100 rows" in shown
    told = json.loads(CliRunner().invoke(cli, ["describe", "test/clicks", "--json", "--data-dir", data_dir]).output)
    assert [one["result"] for one in told["checks"]] == ["warned", "passed"]


def test_a_failed_check_is_one_line_at_the_command_line(tmp_path, monkeypatch, data_dir):
    from click.testing import CliRunner

    from ailab_dataproc.cli import cli

    place = tmp_path / "my_datasets" / "test" / "some.py"
    place.parent.mkdir(parents=True)
    (tmp_path / "a.csv").write_text("x\n1\n-1\n")
    place.write_text(
        "import pyarrow as pa\nfrom ailab_dataproc import Dataset, checks, column\ndataset = Dataset(name='test/some', "
        f"version='1.0.0', schema=pa.schema([column('x', pa.int64())]), splits={{'train': '{tmp_path}/a.csv'}}, "
        "checks=[checks.between('x', 0)])\n"
    )
    monkeypatch.setenv("AILAB_DATASETS", str(tmp_path / "my_datasets"))
    done = CliRunner().invoke(cli, ["prepare", "test/some", "--formats", "parquet", "--data-dir", data_dir])
    assert done.exit_code == 2
    assert done.output.count("\n") == 1
    assert "check 'x at least 0' fails: 1 of 2 rows (50.00%): row 2 of a.csv has x=-1." in done.output
