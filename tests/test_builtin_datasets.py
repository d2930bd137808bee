"""The datasets that come with the package: each read here without preparing it."""

import csv
import random
import runpy
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ailab_dataproc import urls
from ailab_dataproc.dataset import Dataset, Source
from ailab_dataproc.errors import InvalidData, InvalidDefinition

DATASETS = Path(__file__).parents[1] / "ailab_dataproc" / "datasets"
OPEN_BANDIT = Path(__file__).parents[2] / "shared" / "data" / "open_bandit"
AD_LOG, DIGITS = "products/ad_log/impressions", "image_classification/digits"
PYTHON, BANDIT = "text_generation/python_reference", "products/open_bandit/mens"


def define(name: str) -> dict:
    return runpy.run_path(str(DATASETS / f"{name}.py"))


def read(dataset: Dataset, source: Source) -> pa.Table:
    return pa.Table.from_batches(dataset.read(source), dataset.schema)


def read_split(name: str, split: str) -> pa.Table:
    dataset = define(name)["dataset"]
    return read(dataset, Source(dataset.splits[split][0], split))


@pytest.fixture(scope="module")
def ad_log() -> Dataset:
    return define(AD_LOG)["dataset"]


@pytest.fixture(scope="module")
def part(ad_log) -> pa.Table:
    return read(ad_log, next(iter(ad_log.sources("train", "synthetic:rows=1_000_000,seed=0"))))


@pytest.mark.parametrize("name", [AD_LOG, DIGITS, PYTHON, BANDIT])
def test_each_definition_is_named_by_its_path_and_filled_in(name):
    dataset = define(name)["dataset"]
    assert dataset.name == name
    assert all([dataset.owner, dataset.license, dataset.citation, dataset.description])
    assert dataset.version in dataset.release_notes
    assert all(b"description" in field.metadata for field in dataset.schema)


def test_the_generator_gives_the_same_part_twice_in_any_order(ad_log):
    parts = list(ad_log.sources("train", "synthetic:rows=600_000,seed=3"))
    forward = [read(ad_log, one) for one in parts]
    backward = [read(ad_log, one) for one in reversed(parts)][::-1]
    assert all(a.equals(b) for a, b in zip(forward, backward, strict=True))
    assert [one.num_rows for one in forward] == [250_000, 250_000, 100_000]
    times = pa.concat_tables(forward)["timestamp"].to_numpy()
    assert (np.diff(times.astype("datetime64[us]").astype(np.int64)) >= 0).all()


def test_the_generators_parts_sort_by_url_and_have_identities_of_their_own(ad_log):
    parts = list(ad_log.sources("train", "synthetic:rows=300_000_000,seed=0"))
    assert len(parts) == 1200
    assert [one.url for one in parts] == sorted(one.url for one in parts)
    assert len({one.identity for one in parts}) == 1200


@pytest.mark.parametrize("rows", [1, 65_536, 250_000, 250_001])
def test_the_generator_gives_exactly_the_rows_asked_for_in_small_batches(ad_log, rows):
    batches = [b for one in ad_log.sources("x", f"synthetic:rows={rows},seed=0") for b in ad_log.read(one)]
    assert sum(batch.num_rows for batch in batches) == rows
    assert all(batch.schema.equals(ad_log.schema) and 0 < batch.num_rows <= 65_536 for batch in batches)
    for batch in batches:
        batch.validate(full=True)


def test_another_seed_gives_other_rows(ad_log):
    one, two = (read(ad_log, *ad_log.sources("x", f"synthetic:rows=1000,seed={seed}")) for seed in (0, 1))
    assert not any(one[name].equals(two[name]) for name in one.column_names)


def test_the_ad_log_is_skewed_but_reaches_its_tail(part):
    shown = np.sort(np.bincount(part["item"].to_numpy(), minlength=20_000))[::-1]
    assert shown[:200].sum() > 0.3 * part.num_rows
    assert (shown > 0).sum() > 15_000
    assert pc.count_distinct(part["user"]).as_py() > 50_000
    assert pc.count_distinct(part["referrer"]).as_py() > 10_000


def test_clicks_are_rare_and_can_be_learnt(part):
    clicked = part["clicked"].to_numpy()
    position = part["position"].to_numpy()
    assert 0.02 < clicked.mean() < 0.04
    assert clicked[position == 1].mean() > 2 * clicked[position == 8].mean()
    assert (pc.is_valid(part["dwell_seconds"]).to_numpy() == clicked).all()


def test_the_ad_log_has_nulls_lists_and_words_in_japanese(part):
    lengths = pc.list_value_length(part["recent_items"])
    assert pc.min_max(lengths).as_py() == {"min": 0, "max": 10}
    assert any(not text.isascii() for text in part["query"].unique().to_pylist())
    assert {field.name for field in part.schema if part[field.name].null_count} == {"referrer", "dwell_seconds"}


def test_traffic_has_a_daily_cycle(ad_log):
    log = read(ad_log, *ad_log.sources("x", "synthetic:rows=100_000,seed=0"))
    hours = np.bincount(pc.hour(log["timestamp"]).to_numpy(), minlength=24)
    assert hours[21] > 5 * hours[3] > 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("synthetic:row=5", "Did you mean 'rows'"),
        ("synthetic:rows=0", "wanted 1 or more"),
        ("synthetic:rows=-5", "wanted a whole number"),
        ("synthetic:rows=many", "wanted a whole number"),
        ("synthetic:seed=1", "missing"),
        ("synthetic:rows=5,rows=6", "twice"),
        ("data/*.csv", "wanted synthetic:rows"),
    ],
)
def test_a_text_that_asks_for_no_rows_is_refused_with_a_sentence(ad_log, text, says):
    with pytest.raises(InvalidDefinition, match=says):
        list(ad_log.sources("train", text))


def test_digits_are_those_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    train, test = read_split(DIGITS, "train"), read_split(DIGITS, "test")
    assert (train.num_rows, test.num_rows) == (1437, 360)
    both = pa.concat_tables([train, test]).combine_chunks()
    images = pc.list_flatten(both["image"]).to_numpy().reshape(-1, 8, 8)
    wanted = datasets.load_digits()
    assert (images == wanted.images).all()
    assert (both["label"].to_numpy() == wanted.target).all()
    assert np.bincount(both["label"].to_numpy()).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_the_python_reference_has_no_empty_text_and_splits_that_share_nothing():
    train, test = read_split(PYTHON, "train"), read_split(PYTHON, "test")
    for table in (train, test):
        assert table.num_rows > 100
        assert all(text.strip() for text in table["text"].to_pylist())
        assert table["characters"].to_pylist() == [len(text) for text in table["text"].to_pylist()]
    for name in ("topic", "text"):
        assert not set(train[name].to_pylist()) & set(test[name].to_pylist())


def test_the_paragraphs_of_a_topic_are_its_text():
    import pydoc_data.topics

    joined: Counter[str] = Counter()
    for row in read_split(PYTHON, "train").to_pylist():
        joined[row["topic"]] += len("".join(row["text"].split()))
    assert joined == {name: len("".join(pydoc_data.topics.topics[name].split())) for name in joined}


def test_the_python_reference_is_found_and_never_run():
    assert len(urls.expand("package://pydoc_data/topics.py")) == 1
    parse = define(PYTHON)["parse"]
    assert parse(b"import x\ntopics = {'a': r'''b\n\nc'''}", "t") == {"a": "b\n\nc"}
    for code in (b"topics = {'a': open('b')}", b"x = 1", b"topics = ["):
        with pytest.raises(InvalidData, match=r"t: .*topics\.py"):
            parse(code, "t")


@pytest.mark.parametrize("split", ["random", "bts"])
def test_open_bandit_has_the_values_of_its_file(split):
    path = OPEN_BANDIT / f"{split}_men_men.csv"
    if not path.exists():
        pytest.skip(f"{path} is absent: the project ships no Open Bandit data")
    table = read(define(BANDIT)["dataset"], Source(str(path), split))
    with path.open(newline="") as file:
        wanted = list(csv.DictReader(file))
    assert table.num_rows == len(wanted) == 10_000
    for i in [*range(20), *random.Random(0).sample(range(10_000), 200)]:
        row, line = table.slice(i, 1).to_pylist()[0], wanted[i]
        assert row["timestamp"].isoformat(" ") == line["timestamp"]
        assert (row["item_id"], row["position"]) == (int(line["item_id"]), int(line["position"]))
        assert row["click"] is (line["click"] == "1")
        assert row["propensity_score"] == float(line["propensity_score"])
        assert all(row[f"user_feature_{k}"] == line[f"user_feature_{k}"] for k in range(4))
        assert row["user_item_affinity"] == [float(line[f"user-item_affinity_{k}"]) for k in range(34)]


def test_an_open_bandit_file_without_a_column_is_refused_by_name(tmp_path):
    dataset = define(BANDIT)["dataset"]
    names = [*dataset.schema.names[:-1], *(f"user-item_affinity_{k}" for k in range(34))]
    path = tmp_path / "log.csv"
    path.write_text(",".join(name for name in names if name != "click") + "\n")
    with pytest.raises(InvalidData, match=r"log\.csv: no column 'click'"):
        read(dataset, Source(str(path), "random"))
    path.write_text(",".join(names) + "\n2019-11-24 00:00:00+00:00,1,1,0,0.5,a,b,c,d" + ",0.0" * 33 + ",\n")
    with pytest.raises(InvalidData, match="'user-item_affinity_33' has rows without a value"):
        read(dataset, Source(str(path), "random"))
    path.write_text(",".join(names) + "\n2019-11-24 00:00:00+00:00,x,1,0,0.5,a,b,c,d" + ",0.0" * 34 + "\n")
    with pytest.raises(InvalidData, match=r"log\.csv: .*'x'"):
        read(dataset, Source(str(path), "random"))
