"""How rows are arranged: order, shuffle, splits cut from one pool, keys, parts of one source."""

from __future__ import annotations

import csv
import io
import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import CLICKS, clicks
from test_prepare import SMALL, digests, small, version

from ailab_dataproc.columns import column
from ailab_dataproc.dataset import Dataset, Source
from ailab_dataproc.errors import InvalidData, InvalidDefinition, VersionConflict
from ailab_dataproc.loading import load
from ailab_dataproc.preparation import ranges
from ailab_dataproc.preparation.hashing import hash_rows
from ailab_dataproc.preparation.ranges import divide
from ailab_dataproc.preparation.readers import reader
from ailab_dataproc.preparation.tasks import Layout
from ailab_dataproc.splitting import by_hash, by_value

HASHES = {
    "numbers": ["0xe220a8397b1dcdaf", "0xd300120a5ea35cac", "0x379c1e9f8d23af2a"],
    "texts": [
        "0xe220a8397b1dcdaf",
        "0xad46c9385f27f420",
        "0xc8ac09a7a9ff8044",
        "0xe3fd80c617209dba",
        "0x6156a3ace563593f",
    ],
}
FILES = {f"{letter}.csv": clicks(100, start=i * 100) for i, letter in enumerate("abcd")}


def users(data_dir, split="train", **options):
    return load("test/clicks", data_dir=data_dir, split=split, backend="arrow", **options)["user"].to_pylist()


@pytest.mark.parametrize(("runner", "workers"), [("threads", 1), ("threads", 4)])
def test_a_shuffle_is_the_same_on_every_runner(define, data_dir, tmp_path, runner, workers):
    small(define(FILES, order="shuffled"), str(tmp_path / "reference"))
    small(define(FILES, order="shuffled"), data_dir, runner=runner, workers=workers)
    assert digests(version(data_dir)) == digests(version(tmp_path / "reference"))


@pytest.mark.slow
def test_a_shuffle_in_processes_is_the_same(define, data_dir, tmp_path):
    small(define(FILES, order="shuffled"), str(tmp_path / "reference"))
    small(define(FILES, order="shuffled"), data_dir, runner="processes", workers=2)
    assert digests(version(data_dir)) == digests(version(tmp_path / "reference"))


def test_a_shuffle_does_not_depend_on_the_order_in_which_sources_are_named(define, data_dir, tmp_path):
    small(define(FILES, order="shuffled"), str(tmp_path / "reference"))
    places = [str(tmp_path / "sources" / name) for name in reversed(FILES)]
    small(define(FILES, order="shuffled", splits={"train": places}), data_dir)
    assert digests(version(data_dir)) == digests(version(tmp_path / "reference"))


def test_a_shuffle_keeps_every_row_and_mixes_them(define, data_dir):
    small(define(FILES, order="shuffled"), data_dir)
    found = users(data_dir)
    assert sorted(found) == list(range(400))
    steps = np.abs(np.diff(found))
    assert np.median(steps) > 60  # of rows in order it would be 1, of a perfect shuffle 117
    assert abs(np.corrcoef(np.arange(400), found)[0, 1]) < 0.2


def test_rows_of_a_shuffle_stay_whole(define, data_dir, tmp_path):
    small(define(FILES, order="shuffled"), data_dir)
    small(define(FILES), str(tmp_path / "plain"))
    by_user = lambda folder: load("test/clicks", data_dir=folder, backend="arrow").sort_by("user").to_pylist()  # noqa: E731
    assert by_user(data_dir) == by_user(str(tmp_path / "plain"))


def test_another_seed_gives_another_order(define, data_dir, tmp_path):
    small(define(FILES, order="shuffled"), data_dir)
    small(define(FILES, order="shuffled", seed=1), str(tmp_path / "other"))
    assert users(data_dir) != users(str(tmp_path / "other"))


@pytest.mark.parametrize("change", [{"order": "shuffled"}, {"order": "shuffled", "seed": 3}])
def test_another_arrangement_of_a_version_is_a_conflict(define, data_dir, change):
    small(define(FILES), data_dir)
    with pytest.raises(VersionConflict, match="its arrangement differs"):
        small(define(FILES, **change), data_dir)


def test_a_plain_order_after_a_shuffled_one_is_a_conflict(define, data_dir):
    small(define(FILES, order="shuffled"), data_dir)
    with pytest.raises(VersionConflict, match="its arrangement differs"):
        small(define(FILES), data_dir)


def test_shards_of_a_shuffle_have_about_the_wanted_size(define, data_dir):
    small(define({"a.csv": clicks(2000)}, order="shuffled"), data_dir)
    rows = json.loads((version(data_dir) / "manifest.json").read_text())["splits"]["train"]
    assert sum(rows) == 2000
    assert len(rows) > 10
    assert max(rows) < 2 * sum(rows) / len(rows)


def pooled(tmp_path, shares=None, columns="user"):
    shares = shares or {"train": 0.75, "test": 0.25}
    return by_hash(columns, shares, sources=str(tmp_path / "sources" / "*.csv"))


@pytest.mark.parametrize("order", ["source", "shuffled"])
def test_splits_by_hash_share_out_every_row_once(define, data_dir, tmp_path, order):
    report = small(define(FILES, splits=pooled(tmp_path), order=order), data_dir)
    train, test = users(data_dir), users(data_dir, "test")
    assert sorted(train + test) == list(range(400))
    assert report.rows == {"train": len(train), "test": len(test)}
    assert 70 < len(test) < 130
    if order == "source":
        assert train == sorted(train)


def test_rows_stay_in_their_split_when_others_are_added(define, tmp_path):
    few, many = str(tmp_path / "few"), str(tmp_path / "many")
    small(define({"a.csv": FILES["a.csv"]}, splits=pooled(tmp_path)), few)
    small(define(FILES, splits=pooled(tmp_path)), many)
    assert set(users(few)) <= set(users(many))
    assert set(users(few, "test")) <= set(users(many, "test"))


def test_rows_with_one_key_stay_together(define, data_dir, tmp_path):
    text = "user,price,word\n" + "".join(f"{i % 10},{i / 4},w{i}\n" for i in range(200))
    small(define({"a.csv": text}, splits=pooled(tmp_path, {"train": 0.5, "test": 0.5})), data_dir)
    assert not set(users(data_dir)) & set(users(data_dir, "test"))


def test_the_manifest_tells_the_arrangement(define, data_dir, tmp_path):
    small(define(FILES, splits=pooled(tmp_path), key="user", order="shuffled"), data_dir)
    told = json.loads((version(data_dir) / "manifest.json").read_text())["arrangement"]
    assert told == "shuffled (seed 0); split by a hash of user (train 0.75, test 0.25); key: user"


def test_splits_by_value_follow_the_column(define, data_dir, tmp_path):
    text = "user,price,word\n1,0,jp\n2,0,de\n3,0,us\n4,0,jp\n"
    rule = by_value("word", {"train": ["jp", "us"], "test": "de"}, sources=str(tmp_path / "sources" / "*.csv"))
    small(define({"a.csv": text}, splits=rule), data_dir)
    assert (users(data_dir), users(data_dir, "test")) == ([1, 3, 4], [2])


def test_a_value_that_no_split_names_is_told(make, tmp_path):
    rule = by_value("word", {"train": ["jp"]}, sources=str(tmp_path / "sources" / "*.csv"))
    with pytest.raises(InvalidData, match=r"row 2 of a.csv has word='fr', which no split names"):
        make({"a.csv": "user,price,word\n1,0,jp\n2,0,fr\n"}, splits=rule)


def test_a_split_that_gets_no_row_has_an_empty_shard(make, data_dir, tmp_path):
    rule = by_value("word", {"train": ["jp"], "test": ["de"]}, sources=str(tmp_path / "sources" / "*.csv"))
    make({"a.csv": "user,price,word\n1,0,jp\n"}, splits=rule, formats=("parquet", "tfrecord"))
    assert users(data_dir, "test") == []


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda: by_hash("user", {"train": 0.5}, sources="x"), "sum to 0.5, wanted 1"),
        (lambda: by_hash("user", {"train": 1.5, "test": -0.5}, sources="x"), "share 1.5, wanted a number from 0 to 1"),
        (lambda: by_hash((), {"train": 1.0}, sources="x"), "no columns"),
        (lambda: by_value("word", {"train": ["a"], "test": ["a"]}, sources="x"), "both name the value 'a'"),
        (lambda: by_value("word", {"train": []}, sources="x"), "'train' names no value"),
    ],
)
def test_a_rule_that_cannot_be_right_is_refused(wrong, told):
    with pytest.raises(InvalidDefinition, match=told):
        wrong()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"splits": by_hash("usr", {"train": 1.0}, sources="x")}, "no column 'usr'. Did you mean 'user'"),
        ({"splits": by_hash("price", {"train": 1.0}, sources="x")}, "'price' is float, which can't be a key"),
        ({"key": "price"}, "'price' is float, which can't be a key"),
        ({"key": "word"}, "key column 'word' is nullable"),
        ({"order": "sorted"}, "no order 'sorted'"),
    ],
    ids=str,
)
def test_an_arrangement_that_does_not_fit_the_schema_is_refused(define, given, told):
    with pytest.raises(InvalidDefinition, match=told):
        define(**given)


def test_a_value_of_another_type_than_its_column_is_refused(make, tmp_path):
    rule = by_value("user", {"train": ["one"]}, sources=str(tmp_path / "sources" / "*.csv"))
    with pytest.raises(InvalidDefinition, match=r"\['one'\] doesn't fit column 'user', int64"):
        make(splits=rule)


@pytest.mark.parametrize("order", ["source", "shuffled"])
def test_a_key_that_is_there_twice_names_both_sources(define, data_dir, order):
    files = FILES | {"e.csv": clicks(3, start=205)}
    told = (
        r"^test/clicks: the key user=205 is in row 6 of c.csv and in row 1 of e.csv; 3 rows repeat a key. "
        r"Mend the sources, or drop rows in read\(\).$"
    )
    with pytest.raises(InvalidData, match=told):
        small(define(files, key="user", order=order), data_dir)
    assert not list(Path(data_dir).rglob("*.*"))


def test_a_key_that_is_there_twice_in_one_source_is_found(define, data_dir):
    with pytest.raises(
        InvalidData, match=r"row 6 of a.csv and in row \d+ of a.csv \(from byte [\d,]+\); 1 row repeats"
    ):
        small(define({"a.csv": FILES["a.csv"] + "5,0.25,x\n"}, key=("user",)), data_dir)


def test_keys_of_several_columns_differ_where_one_column_does(define, data_dir):
    schema = CLICKS.set(2, column("word", pa.string()))
    text = "user,price,word\n1,0,a\n1,0,b\n2,0,a\n"
    assert small(define({"a.csv": text}, schema=schema, key=("user", "word")), data_dir).rows == {"train": 3}


def test_a_personal_key_is_not_shown(define, data_dir):
    schema = CLICKS.set(0, column("user", pa.int64(), pii=True))
    with pytest.raises(InvalidData, match="the key user=<not shown: PII> is in row 1"):
        small(define({"a.csv": "user,price,word\n7,0,a\n7,0,b\n"}, schema=schema, key="user"), data_dir)


def test_a_key_writes_the_same_shards_as_none(define, data_dir, tmp_path):
    small(define(FILES, key="user"), data_dir)
    small(define(FILES), str(tmp_path / "other"))
    assert digests(version(data_dir)) == digests(version(tmp_path / "other"))


def test_the_hash_of_a_value_is_for_ever():
    assert [hex(one) for one in hash_rows([pa.array([0, 1, -1])])] == HASHES["numbers"]
    assert [hex(one) for one in hash_rows([pa.array(["", "a", "wörd", "longer than eight bytes", None])])] == HASHES[
        "texts"
    ]


def test_the_hash_of_a_value_does_not_depend_on_how_it_is_stored():
    texts = pa.array(["x", "", "ä" * 30, None, "abcdefgh"] * 3)
    want = hash_rows([texts]).tolist()
    assert hash_rows([texts.cast(pa.large_string())]).tolist() == want
    assert hash_rows([texts.dictionary_encode()]).tolist() == want
    assert hash_rows([texts.slice(4, 7)]).tolist() == want[4:11]
    numbers = pa.array([1, 2, None, 100], pa.int8())
    assert hash_rows([numbers]).tolist() == hash_rows([numbers.cast(pa.uint64())]).tolist()


def tangled(rng, rows):
    """Rows whose texts hold quotes, delimiters and line ends."""
    text = lambda: "".join(rng.choice('ab"\n,é ') for _ in range(rng.randint(0, 6)))  # noqa: E731
    return [{"a": i, "b": text(), "c": rng.choice(["x", '"', "\n", ""])} for i in range(rows)]


TANGLED = pa.schema([column("a", pa.int64()), column("b", pa.string()), column("c", pa.string())])


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_parts_of_a_text_file_hold_its_lines_once(tmp_path, monkeypatch, seed, kind):
    rng = random.Random(seed)
    rows = tangled(rng, rng.randint(1, 200))
    path = tmp_path / f"a.{kind}"
    if kind == "csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, TANGLED.names, lineterminator=rng.choice(["\n", "\r\n"]))
        writer.writeheader()
        writer.writerows(rows)
        path.write_bytes(text.getvalue().encode())
    else:
        path.write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.setattr(ranges, "_WINDOW", rng.choice([16, 64, 1000]))
    dataset = Dataset(name="t/x", version="1.0.0", schema=TANGLED, splits={"train": str(path)})
    source = Source(str(path), "train", path.stat().st_size)
    parts = divide(dataset, source, Layout(shard_bytes=2 * rng.choice([20, 50, 200])))
    read = reader(TANGLED)
    found = [batch for part in parts for batch in read(part)]
    assert pa.Table.from_batches(found).to_pylist() == rows
    assert len(parts) > 1 or source.size < 400


def test_a_quote_inside_of_a_field_keeps_a_file_whole(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b,c\n" + '1,5" pipe,x\n' * 100)
    assert ranges.csv_bounds(str(path), 100, b",") is None


@pytest.mark.parametrize("file", ["a.csv", "a.jsonl", "a.parquet"])
def test_a_huge_source_is_read_by_several_tasks(define, data_dir, tmp_path, file):
    rows = [{"user": i, "price": i / 4, "word": f"w{i}"} for i in range(1000)]
    table = pa.Table.from_pylist(rows, CLICKS)
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=100)
    text = "user,price,word\n" + "".join(f"{r['user']},{r['price']},{r['word']}\n" for r in rows)
    content = {"a.csv": text, "a.jsonl": "\n".join(map(json.dumps, rows)), "a.parquet": sink.getvalue()}[file]
    dataset = define({file: content})
    source = Source(str(tmp_path / "sources" / file), "train", (tmp_path / "sources" / file).stat().st_size)
    assert len(divide(dataset, source, SMALL)) > 3
    small(dataset, data_dir, runner="threads", workers=2)
    assert load("test/clicks", data_dir=data_dir, backend="arrow").to_pylist() == rows


def test_a_read_by_line_gets_the_lines_of_its_part(define, data_dir):
    seen = []

    def read(source):
        with source.open() as file:
            lines = [line.decode().rstrip("\n") for line in file]
        seen.append(source.part)
        yield pa.table({"user": [int(line) for line in lines]})

    schema = pa.schema([column("user", pa.int64())])
    text = "\n".join(map(str, range(1000)))
    small(define({"a.txt": text}, schema=schema, read=read, by_line=True), data_dir)
    assert users(data_dir) == list(range(1000))
    small(define({"a.txt": text}, schema=schema, read=read, version="1.0.1"), data_dir)
    assert users(data_dir) == list(range(1000))


def test_an_error_in_a_part_says_where_the_part_begins(define, data_dir):
    text = clicks(400).replace("\n399,", "\nx,")
    with pytest.raises(InvalidData, match=r"row \d+ of a.csv \(from byte [\d,]+\) has user='x', want int64"):
        small(define({"a.csv": text}), data_dir)


def test_rows_that_are_shuffled_from_parts_are_all_there(define, data_dir):
    small(define({"a.csv": clicks(1000)}, order="shuffled", key="user"), data_dir)
    assert Counter(users(data_dir)) == Counter(range(1000))
