"""Statistics of prepared versions: the same on every runner, silent about persons, readable on a page."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from ailab_dataproc.cli import cli
from ailab_dataproc.columns import column
from ailab_dataproc.errors import DamagedData, NotPrepared, UnknownName
from ailab_dataproc.manifest import open_prepared
from ailab_dataproc.preparing import prepare
from ailab_dataproc.statistics import read_statistics
from ailab_dataproc.storage import folder
from ailab_dataproc.verify import verify_version

PERSONAL = pa.schema(
    [
        column("mail", pa.string(), "mail address", pii=True),
        column("salary", pa.int64(), "a year", pii=True, nullable=True),
        column("team", pa.string(), "team"),
        column("score", pa.float64(), "of the test", nullable=True, unit="points"),
    ]
)


@pytest.fixture
def people(define, tmp_path):
    """A dataset of persons in 5 sources, and how it is prepared."""
    sources = tmp_path / "people"
    sources.mkdir()
    for number in range(5):
        rows = range(number * 400, number * 400 + 400)
        table = pa.table(
            {
                "mail": [f"secret{i}@example.org" for i in rows],
                "salary": [None if i % 5 == 0 else 7_654_321 + i for i in rows],
                "team": [["blau", "grün"][i % 3 == 0] for i in rows],
                "score": [float("nan") if i % 100 == 1 else i / 8 for i in rows],
            }
        )
        pq.write_table(table, sources / f"{number}.parquet")
    return define(files={}, schema=PERSONAL, name="test/people", splits={"train": f"{sources}/*.parquet"})


def prepared_in(data_dir, dataset, **options):
    prepare(dataset, data_dir=data_dir, **{"runner": "inline", "formats": ("parquet",)} | options)
    return open_prepared(folder(data_dir), dataset.name)


def page(data_dir, *words):
    done = CliRunner().invoke(cli, ["stats", *words, "--data-dir", data_dir], env={"COLUMNS": "80"})
    return done.output


def test_a_version_tells_the_numbers_of_its_rows(people, data_dir):
    found = read_statistics(prepared_in(data_dir, people))["splits"]["train"]
    frame = pq.read_table(Path(data_dir) / "test/people/1.0.0/parquet").to_pandas()
    score = found["columns"]["score"]
    assert found["rows"] == len(frame) == 2000
    assert (score["nan"], score["unit"], score["pii"]) == (20, "points", False)
    assert score["mean"] == pytest.approx(frame["score"].mean(), rel=1e-13)
    team = found["columns"]["team"]
    assert (team["min"], team["max"], team["lengths"]) == ("blau", "grün", {"min": 4, "mean": 4.0, "max": 4})
    assert team["approximate"]["frequent"] == [
        {"value": name, "rows": rows} for name, rows in frame["team"].value_counts().items()
    ]


def test_of_personal_data_only_counts_and_lengths_are_told(people, data_dir):
    prepared = prepared_in(data_dir, people)
    columns = read_statistics(prepared)["splits"]["train"]["columns"]
    assert columns["salary"] == {
        "type": "int64",
        "unit": "",
        "pii": True,
        "count": 1600,
        "nulls": 400,
        "approximate": {"distinct": pytest.approx(1600, rel=0.1), "distinct_of_rows": 2000},
    }
    assert set(columns["mail"]) == {"type", "unit", "pii", "count", "nulls", "lengths", "approximate"}
    text = prepared.folder.read("statistics.json").decode() + page(data_dir, "test/people")
    assert "secret" not in text
    assert "7654" not in text.replace(",", "")


def test_every_runner_and_any_number_of_workers_give_the_same_file(people, tmp_path):
    ways = [{"runner": "inline"}, {"runner": "threads", "workers": 1}, {"runner": "threads", "workers": 4}]
    files = [
        prepared_in(str(tmp_path / str(number)), people, **way).folder.read("statistics.json")
        for number, way in enumerate(ways)
    ]
    assert files[0] == files[1] == files[2]


def test_verify_knows_the_statistics(people, data_dir):
    prepared = prepared_in(data_dir, people)
    assert list(verify_version(prepared)) == []
    file = Path(prepared.folder.path("statistics.json"))
    file.write_bytes(file.read_bytes().replace(b"2000", b"2001"))
    assert [fault.path for fault in verify_version(prepared)] == ["statistics.json"]
    with pytest.raises(DamagedData, match="not the file that the manifest was written with"):
        read_statistics(prepared)
    file.unlink()
    assert [fault.what for fault in verify_version(prepared)] == ["is missing"]
    with pytest.raises(DamagedData, match="missing"):
        read_statistics(prepared)


def test_a_version_from_before_the_statistics_says_so(people, data_dir):
    prepared = prepared_in(data_dir, people)
    file = Path(prepared.folder.path("manifest.json"))
    manifest = json.loads(file.read_text())
    del manifest["files"]["statistics.json"]
    file.write_text(json.dumps(manifest))
    older = open_prepared(folder(data_dir), "test/people")
    with pytest.raises(NotPrepared, match="before statistics were kept"):
        read_statistics(older)
    Path(prepared.folder.path("statistics.json")).unlink()
    assert "before statistics were kept" in page(data_dir, "test/people")


def test_an_empty_split_has_statistics(define, data_dir):
    dataset = define(files={"a.csv": "user,price,word\n"}, allow_empty=True)
    found = read_statistics(prepared_in(data_dir, dataset))["splits"]["train"]
    assert found["rows"] == 0
    assert {one["count"] for one in found["columns"].values()} == {0}
    assert "no rows" in page(data_dir, "test/clicks")


def test_dictionaries_count_by_their_values(define, data_dir, tmp_path):
    kind = pa.dictionary(pa.int32(), pa.string())
    pq.write_table(pa.table({"x": pa.array(["b", "a", "b"]).cast(kind)}), tmp_path / "d.parquet")
    schema = pa.schema([column("x", kind)])
    dataset = define(files={}, schema=schema, splits={"train": str(tmp_path / "d.parquet")})
    found = read_statistics(prepared_in(data_dir, dataset))["splits"]["train"]["columns"]["x"]
    assert found["approximate"]["frequent"] == [{"value": "b", "rows": 2}]


def test_times_that_python_cannot_hold_are_no_error(define, data_dir, tmp_path):
    kind = pa.timestamp("s")
    table = pa.table({"x": pa.array([-(10**12), 10**12]).cast(kind), "y": ["b", "a"]})
    pq.write_table(table.cast(pa.schema([("x", pa.timestamp("ms")), ("y", pa.string())])), tmp_path / "d.parquet")
    schema = pa.schema([column("x", kind), column("y", pa.string())])
    dataset = define(files={}, schema=schema, splits={"train": str(tmp_path / "d.parquet")})
    found = read_statistics(prepared_in(data_dir, dataset))["splits"]["train"]["columns"]
    assert (found["x"]["min"], found["x"]["max"]) == ("-29719-04-05T22:13:20", "33658-09-27T01:46:40")
    assert (found["y"]["min"], found["y"]["max"]) == ("a", "b")


def test_split_and_columns_choose(people, data_dir):
    prepared = prepared_in(data_dir, people)
    found = read_statistics(prepared, split="train", columns=["team", "mail"])
    assert list(found["splits"]["train"]["columns"]) == ["team", "mail"]
    with pytest.raises(UnknownName, match="no split 'tran'"):
        read_statistics(prepared, split="tran")
    with pytest.raises(UnknownName, match="Did you mean 'team'"):
        read_statistics(prepared, columns=["teams"])


def test_the_page_has_bars_and_fits_into_80_columns(people, data_dir):
    prepared_in(data_dir, people)
    text = page(data_dir, "test/people")
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert "test/people:1.0.0 train: 2,000 rows" in text
    assert "mail  string  PII •••" in text
    assert "blau  ████████████████████ ≈ 66.7%" in text or "blau  ████████████████████ ≈ 66.6%" in text
    assert "no nulls, 20 NaN" in text
    assert "400 nulls (20.0%)" in text


def test_the_page_as_json_is_what_the_function_tells(people, data_dir):
    prepared = prepared_in(data_dir, people)
    assert json.loads(page(data_dir, "test/people", "--json")) == read_statistics(prepared)
