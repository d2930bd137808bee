"""diff: what two versions tell of their difference, how far columns have moved, and that no personal value is told."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from conftest import CLICKS, clicks
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

import ailab_dataproc as adp
from ailab_dataproc.cli import cli
from ailab_dataproc.columns import column
from ailab_dataproc.comparing.columns import drift
from ailab_dataproc.comparing.drift import by_chance, stability_index
from ailab_dataproc.deprecating import deprecate
from ailab_dataproc.errors import DamagedData, InvalidRequest, NotPrepared, UnknownName
from ailab_dataproc.preparation.profile import Profile
from ailab_dataproc.preparation.summary import merge
from ailab_dataproc.settings import Settings

NAME = "test/clicks"
TWICE = pa.schema([column("user", pa.int64(), "who clicked"), column("price", pa.float64(), "bid", unit="USD")])


def told(*words, **environment):
    return CliRunner().invoke(cli, ["diff", *words], env={"COLUMNS": "100", **environment})


def statistics(field, *values):
    """What preparation keeps of values, each in a task of its own, and how many they are."""
    schema = pa.schema([field])
    parts = []
    for one in values:
        profile = Profile(schema)
        profile.add(pa.record_batch([pa.array(one, field.type)], schema=schema))
        parts.append(profile.to_bytes())
    return merge(schema, parts)[field.name], sum(map(len, values))


def largest_gap(old, new):
    """The Kolmogorov-Smirnov distance of all rows."""
    places = np.union1d(old, new)
    below = [np.searchsorted(np.sort(one), places, side="right") / len(one) for one in (old, new)]
    return np.abs(below[0] - below[1]).max()


def moved(type_, old, new, **declared):
    """The drift from old values to new ones."""
    field = column("x", type_, "x", **declared)
    return drift("train", (field, field), [statistics(field, old), statistics(field, new)])


# --- what is declared and counted


def test_schema_rows_sources_and_notes_are_compared(make, data_dir):
    make({"a.csv": clicks(10), "b.csv": clicks(10)}, version="1.0.0", release_notes={"1.0.0": "First."})
    notes = {"1.0.0": "First.", "1.1.0": "Never prepared.", "1.2.0": "No words."}
    make(
        {"b.csv": "user,price\n1,2\n2,3\n", "c.csv": "user,price\n3,4\n"},
        version="1.2.0",
        schema=TWICE,
        release_notes=notes,
    )
    found = adp.diff(NAME, "1.0.0", "1.2.0", data_dir=data_dir)
    assert found.rows == {"train": (20, 3)}
    assert found.release_notes == {"1.2.0": "No words.", "1.1.0": "Never prepared."}
    assert {one.name: (one.kind, one.what.get("type")) for one in found.columns} == {
        "price": ("changed", ("float", "double")),
        "word": ("removed", ("string", None)),
    }
    assert found.columns[0].what["unit"] == ("JPY", "USD")
    assert found.sources.added == ["train: c.csv"]
    assert found.sources.removed == ["train: a.csv"]
    assert found.sources.changed == ["train: b.csv"]
    assert found.changed == ["schema", "sources"]


def test_splits_that_come_and_go_are_told(make, data_dir, tmp_path):
    source = str(tmp_path / "sources/a.csv")
    make(splits={"train": source, "test": source})
    make(splits={"train": source, "valid": source}, version="1.1.0")
    assert adp.diff(NAME, data_dir=data_dir).rows == {"train": (20, 20), "test": (20, None), "valid": (None, 20)}
    assert "added" in told(NAME, "--data-dir", data_dir).stdout


def test_by_default_the_two_newest_are_compared(make, data_dir):
    for version in ("1.9.0", "1.10.0", "1.11.0"):
        make(version=version)
    found = adp.diff(NAME, data_dir=data_dir)
    assert (found.old, found.new) == ("1.10.0", "1.11.0")
    assert adp.diff(NAME, "1.9.*", data_dir=data_dir).old == "1.9.0"


def test_the_same_rows_have_not_moved(make, data_dir):
    make(version="1.0.0")
    make(version="1.1.0")
    found = adp.diff(NAME, data_dir=data_dir)
    assert {one.psi for one in found.drift} == {0.0}
    assert (found.columns, found.changed, found.sources.same) == ([], [], 1)


def test_what_is_deprecated_and_what_it_was_made_from_is_told(make, data_dir):
    make(version="1.0.0")
    make(version="1.1.0")
    for version, origin in (("1.0.0", "1.0.0"), ("2.0.0", "1.1.0")):
        adp.map_partitions(
            same, f"{NAME}:{origin}", name="test/copy", version=version, data_dir=data_dir, format="arrow"
        )
    deprecate("test/copy:1.0.0", "wrong rows", Settings(data_dir=data_dir))
    found = adp.diff("test/copy", data_dir=data_dir)
    assert found.deprecated == {"1.0.0": "wrong rows"}
    assert [one.split(" by ")[0] for one in found.made_from] == [f"{NAME}:1.0.0", f"{NAME}:1.1.0"]
    text = " ".join(told("test/copy", "--data-dir", data_dir).stdout.split())
    assert "! 1.0.0 is deprecated: wrong rows" in text
    assert f"made from {NAME}:1.0.0 by" in text


def same(table):
    return table


# --- drift


def test_a_column_that_moved_stands_first(make, data_dir):
    make({"a.csv": clicks(1000)}, version="1.0.0")
    lines = [f"{i},{50 + i / 4},{'' if i % 5 == 3 else f'wörd {i}'}" for i in range(1000)]
    make({"a.csv": "\n".join(["user,price,word", *lines])}, version="1.1.0")
    found = adp.diff(NAME, data_dir=data_dir)
    assert [one.column for one in found.drift if one.level != "stable"] == ["price"]
    assert found.drift[0].mean_shift == pytest.approx(50 / np.std(np.arange(1000) / 4))


@hypothesis(max_examples=60, deadline=None)
@given(
    old=st.lists(st.integers(-50, 50), min_size=1, max_size=80),
    new=st.lists(st.integers(-50, 50), min_size=1, max_size=80),
    type_=st.sampled_from([pa.int64(), pa.float64()]),
)
def test_the_true_kolmogorov_smirnov_distance_lies_within_the_bounds(old, new, type_):
    found = moved(type_, old, new).ks
    truth = largest_gap(old, new)
    assert found.least - 1e-3 <= truth <= found.most + 1e-3  # a histogram tells whole rows
    assert found.least - 1e-9 <= found.value <= found.most + 1e-9


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.5, 3.0])
def test_of_many_sampled_rows_the_distance_lies_within_the_bounds_too(shift):
    random = np.random.default_rng(3)
    old, new = random.normal(size=200_000), random.normal(size=200_000) + shift
    found = moved(pa.float64(), old, new).ks
    truth = largest_gap(old, new)
    assert found.least <= truth <= found.most
    assert found.value == pytest.approx(truth, abs=0.05)


def test_shares_that_are_counted_give_the_index_by_its_formula():
    found = moved(pa.string(), ["a"] * 60 + ["b"] * 40, ["a"] * 30 + ["b"] * 70)
    assert found.exact
    assert found.psi == pytest.approx((0.3 - 0.6) * math.log(0.3 / 0.6) + (0.7 - 0.4) * math.log(0.7 / 0.4))
    assert found.level == "moved much"
    assert {one.name: (one.old, one.new) for one in found.bins} == {'"a"': (0.6, 0.3), '"b"': (0.4, 0.7)}


def test_of_numbers_the_index_is_near_that_of_all_rows():
    random = np.random.default_rng(5)
    old, new = random.lognormal(1, 0.5, 200_000), random.lognormal(1.25, 0.5, 200_000)
    edges = np.quantile(old, [0.05, 0.25, 0.5, 0.75, 0.95])
    shares = [np.bincount(np.searchsorted(edges, one), minlength=6) / len(one) for one in (old, new)]
    found = moved(pa.float64(), old, new)
    assert not found.exact
    assert found.psi == pytest.approx(stability_index(*shares), rel=0.15)


def test_booleans_nulls_and_nan_are_exact():
    found = moved(pa.bool_(), [True] * 30 + [False] * 70, [True] * 50 + [None] * 50, nullable=True)
    assert {one.name: (one.old, one.new) for one in found.bins} == {
        "true": (0.3, 0.5),
        "false": (0.7, 0.0),
        "null": (0.0, 0.5),
    }
    bins = {one.name: one.new for one in moved(pa.float64(), [1.0] * 4, [float("nan"), 1.0, 1.0, 1.0]).bins}
    assert bins["NaN"] == 0.25


def test_what_chance_alone_may_do_is_no_drift():
    found = moved(pa.string(), list("abcd" * 10), list("aaabbccd" * 5))
    assert 0.1 < found.psi < found.by_chance
    assert found.level == "stable"


@pytest.mark.parametrize(("bins", "point"), [(2, 3.841), (4, 7.815), (7, 12.592), (12, 19.675)])  # of any table
def test_what_chance_may_do_is_near_the_chi_square(bins, point):
    assert by_chance(bins, 1000, 500) == pytest.approx(point * (1 / 1000 + 1 / 500), rel=0.03)


def test_values_that_only_one_version_lists_count_with_what_the_other_may_hold():
    words = [f"w{i}" for i in range(1000)]
    assert moved(pa.string(), words * 30, words[::-1] * 30).level == "stable"
    assert moved(pa.string(), words * 30, [*words, *["unknown"] * 500] * 30).moved_most.name == '"unknown"'


@pytest.mark.parametrize(
    ("type_", "old", "new"),
    [
        (pa.timestamp("us", "UTC"), range(0, 10**9, 10**6), range(10**9, 2 * 10**9, 10**6)),
        (pa.timestamp("ns"), range(1, 10**6, 10**3), range(10**9 + 1, 2 * 10**9, 10**6)),
        (pa.date32(), range(1000), range(500, 1500)),
        (pa.duration("ms"), range(1000), range(500, 1500)),
        (pa.decimal128(10, 2), range(1000), range(500, 1500)),
        (pa.uint64(), range(2**63, 2**63 + 10**6, 10**3), range(2**63 + 10**6, 2**63 + 2 * 10**6, 10**3)),
        (pa.float16(), np.arange(1000, dtype="float16"), np.arange(500, 1500, dtype="float16")),
    ],
    ids=str,
)
def test_times_and_all_numbers_are_compared(type_, old, new):
    values = [one if isinstance(one, np.ndarray) else list(one) for one in (old, new)]
    found = moved(type_, *values)
    assert found.level == "moved much"
    assert found.ks.value == pytest.approx(1 if min(values[1]) > max(values[0]) else 0.5, abs=0.06)
    assert moved(type_, values[0], values[0]).psi == 0


def test_one_value_that_became_another_has_moved():
    found = moved(pa.float64(), [1.0] * 100, [0.5] * 100)
    assert (found.level, found.ks.value, found.mean, found.mean_shift) == ("moved much", 1.0, (1.0, 0.5), None)


def test_infinities_do_no_harm():
    found = moved(pa.float64(), [*range(100), float("inf")], [float("-inf"), *range(50, 150)])
    assert math.isfinite(found.psi)
    assert 0 <= found.ks.least <= found.ks.most <= 1


@pytest.mark.parametrize("values", [[[1, 2]], [b"x"], ["long" * 100]], ids=str)
def test_where_no_values_are_kept_that_is_told(values):
    found = moved(pa.array(values).type, values * 30, values * 30)
    assert found.note
    assert found.psi == 0


def test_a_column_without_a_value_has_lost_all():
    assert moved(pa.int64(), list(range(100)), [None] * 100, nullable=True).level == "moved much"


def test_another_type_is_compared_where_both_are_numbers():
    fields = [column("x", one, "x") for one in (pa.int32(), pa.float64(), pa.string())]
    told = [
        statistics(field, [kind(i) for i in range(100)]) for field, kind in zip(fields, (int, float, str), strict=True)
    ]
    assert drift("train", tuple(fields[:2]), told[:2]).ks.value == pytest.approx(0, abs=0.06)
    assert drift("train", tuple(fields[1:]), told[1:]).note == "double and string"


# --- personal data


def test_no_value_of_a_column_that_is_personal_in_either_version_is_told(make, data_dir):
    people = "user,price,word\n" + "\n".join(f"{i},{i},secret{i % 3}" for i in range(100))
    make({"a.csv": people}, version="1.0.0")
    schema = pa.schema([*list(CLICKS)[:2], column("word", pa.string(), "searched for", nullable=True, pii=True)])
    make({"a.csv": people.replace("secret1", "secret2")}, version="1.1.0", schema=schema)
    found = adp.diff(NAME, data_dir=data_dir)
    word = next(one for one in found.drift if one.column == "word")
    assert word.note == "personal data"
    text = json.dumps(found.to_dict()) + told(NAME, "--columns", "word", "--data-dir", data_dir).stdout
    assert "secret" not in text
    assert "pii: false → true" in text


# --- pages and errors


def test_the_json_has_what_the_function_returns(make, data_dir):
    make(version="1.0.0")
    make({"a.csv": clicks(30)}, version="1.1.0")
    found = json.loads(told(NAME, "--json", "--data-dir", data_dir).stdout)
    assert found == json.loads(json.dumps(adp.diff(NAME, data_dir=data_dir).to_dict()))
    assert found["rows"] == {"train": [20, 30]}
    assert found["drift"][0]["moved_most"]["name"]


@pytest.mark.parametrize("width", [50, 80, 160])
def test_the_page_fits_the_terminal(make, data_dir, width):
    make({"a.csv": clicks(500)}, version="1.0.0")
    make({"a.csv": clicks(500, start=400)}, version="1.1.0")
    lines = told(NAME, "--data-dir", data_dir, COLUMNS=str(width)).stdout.splitlines()
    assert max(map(len, lines)) <= width
    assert any(line.startswith("price  train  moved much  PSI") for line in lines)


def test_only_some_columns_are_compared_where_asked(make, data_dir):
    make(version="1.0.0")
    make(version="1.1.0")
    assert {one.column for one in adp.diff(NAME, columns=["price"], data_dir=data_dir).drift} == {"price"}
    done = told(NAME, "--columns", "prize", "--data-dir", data_dir)
    assert (done.exit_code, done.stderr) == (2, "error: test/clicks: no column 'prize'. Did you mean 'price'?\n")


def test_a_version_from_before_the_statistics_is_compared_without_drift(make, data_dir):
    make(version="1.0.0")
    make(version="1.1.0")
    file = Path(data_dir, NAME, "1.0.0/manifest.json")
    manifest = json.loads(file.read_text())
    del manifest["files"]["statistics.json"], manifest["files"]["sources.parquet"]
    file.write_text(json.dumps(manifest))
    found = adp.diff(NAME, data_dir=data_dir)
    assert (found.drift, found.sources) == ([], None)
    assert "before statistics were kept" in found.problem
    assert "kept no list" in told(NAME, "--data-dir", data_dir).stdout


def test_a_damaged_list_of_sources_is_named(make, data_dir):
    make(version="1.0.0")
    make(version="1.1.0")
    file = Path(data_dir, NAME, "1.0.0/sources.parquet")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DamagedData, match=r"1.0.0/sources.parquet: is not the file"):
        adp.diff(NAME, data_dir=data_dir)


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["test/clikcs"], UnknownName, "Did you mean 'test/clicks'"),
        ([f"{NAME}:1.0.0"], InvalidRequest, "wanted the name alone"),
        ([NAME, "1.0.0", "1.*"], InvalidRequest, "1.0.0 twice. Name two versions"),
        ([NAME, "7.*"], UnknownName, r"no version matches '7.\*'. There is: 1.0.0"),
        ([NAME, "1.0.0", "newest"], InvalidRequest, "isn't major.minor.patch"),
        ([NAME], InvalidRequest, "1.0.0 is the first version there is"),
        (["products/ad_log/impressions"], NotPrepared, "nothing is prepared"),
    ],
    ids=str,
)
def test_what_cannot_be_compared_is_refused_in_one_sentence(make, data_dir, words, error, message):
    make(version="1.0.0")
    with pytest.raises(error, match=message):
        adp.diff(*words, data_dir=data_dir)
    done = told(*words, "--data-dir", data_dir)
    assert (done.exit_code, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


def test_in_a_bucket_a_few_small_files_are_read(define, bucket, gcs):
    for version in ("1.0.0", "1.1.0"):
        adp.prepare(define(version=version), data_dir=bucket, runner="inline", formats=("parquet",))
    requests = gcs.count()
    assert len(adp.diff(NAME).drift) == 3
    assert requests["list"] == 3
    assert requests["read"] <= 12, "manifests, statistics and sources"


def test_no_row_is_read(make, data_dir):
    make(version="1.0.0")
    make(version="1.1.0")
    for shard in Path(data_dir).rglob("*-of-*.parquet"):
        shard.unlink()
    assert len(adp.diff(NAME, data_dir=data_dir).drift) == 3


def test_a_thousand_columns_are_compared(make, data_dir, tmp_path):
    schema = pa.schema([column(f"c{i}", pa.float64(), "x") for i in range(1000)])
    for number, version in enumerate(("1.0.0", "1.1.0")):
        file = tmp_path / f"{version}.parquet"
        pq.write_table(pa.table({f"c{i}": np.arange(100.0) + i * number for i in range(1000)}), file)
        make({}, version=version, schema=schema, splits={"train": str(file)})
    found = adp.diff(NAME, data_dir=data_dir)
    assert len(found.drift) == 1000
    assert found.drift[-1].psi == 0
