"""What can be wrong with a load: one sentence each, in Python and at the command line (exit code 2, no traceback)."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from click.testing import CliRunner

import ailab_dataproc as adp
from ailab_dataproc.cli import cli
from ailab_dataproc.columns import column
from ailab_dataproc.errors import AilabError, BackendRefused, DamagedData, InvalidRequest, UnknownName
from ailab_dataproc.sizing import Machine
from ailab_dataproc.testing import prepare_tables

NAME = "testing/tables"
WHERE = f"{NAME}:1.0.0: "
SCHEMA = pa.schema([column("price", pa.float64()), column("word", pa.string()), column("mail", pa.string(), pii=True)])
FREE = {"columns": ["price", "word"]}
# What is asked, the class and the sentence; and the same at the command line, where it can be asked there.
BAD = {
    "an unknown column": (
        {"columns": ["prize"]},
        UnknownName,
        f"{WHERE}no column 'prize'. Did you mean 'price'?",
        ["--columns", "prize"],
    ),
    "no columns": (
        {"columns": []},
        InvalidRequest,
        f"{WHERE}columns=[] asks for nothing. Name at least one column.",
        ["--columns", ","],
    ),
    "a filter of another type": (
        FREE | {"filters": [("price", ">", "3")]},
        InvalidRequest,
        f"{WHERE}filters: '3' can't be compared with 'price', a column of double (wanted a number).",
        None,
    ),
    "a filter's text of another type": (
        FREE | {"filters": [("word", "==", 3)]},
        InvalidRequest,
        f"{WHERE}filters: 3 can't be compared with 'word', a column of string (wanted a text).",
        None,
    ),
    "a filter on an unknown column": (
        FREE | {"filters": [("wort", "==", "a")]},
        UnknownName,
        f"{WHERE}filters: no column 'wort'. Did you mean 'word'?",
        ["--filter", "wort == a"],
    ),
    "more than all": (
        FREE | {"split": "train[:120%]"},
        InvalidRequest,
        f"{WHERE}split 'train[:120%]' asks for 120%, wanted -100% to 100%.",
        ["--split", "train[:120%]"],
    ),
    "a slice the wrong way round": (
        FREE | {"split": "train[80%:20%]"},
        InvalidRequest,
        f"{WHERE}split 'train[80%:20%]' ends (row 2) before it starts (row 8). Swap the bounds.",
        ["--split", "train[80%:20%]"],
    ),
    "a slice by a word": (
        FREE | {"split": "train[abc]"},
        InvalidRequest,
        f"{WHERE}split 'train[abc]' has the bound 'abc', wanted rows such as 1000, per cent such as 80%, or shards "
        "such as 3shard.",
        ["--split", "train[abc]"],
    ),
    "a row that isn't there": (
        FREE | {"split": "train[5:11]"},
        InvalidRequest,
        f"{WHERE}split 'train[5:11]' asks for row 11, but the split has 10 rows.",
        ["--split", "train[5:11]"],
    ),
    "one row as a bound": (
        FREE | {"split": "train[5]"},
        InvalidRequest,
        f"{WHERE}split 'train[5]' can't be read. Write it as 'train[:80%]', 'train[1000:2000]', 'train[1shard:3shard]' "
        "or 'train+test'.",
        ["--split", "train[5]"],
    ),
    "no split": (
        FREE | {"split": ""},
        InvalidRequest,
        f"{WHERE}split '' can't be read. Write it as 'train[:80%]', 'train[1000:2000]', 'train[1shard:3shard]' or "
        "'train+test'.",
        ["--split", ""],
    ),
    "a split that is no text": (
        FREE | {"split": None},
        InvalidRequest,
        f"{WHERE}split None is no text. Write it as 'train[:80%]', 'train[1000:2000]', 'train[1shard:3shard]' or "
        "'train+test'.",
        None,
    ),
    "an unknown split": (
        FREE | {"split": "trian"},
        UnknownName,
        f"{WHERE}no split 'trian'. Did you mean 'train'?",
        ["--split", "trian"],
    ),
    "rows twice": (
        FREE | {"split": "train[:50%]+train[:50%]"},
        InvalidRequest,
        f"{WHERE}split 'train[:50%]+train[:50%]' names rows 0 to 5 of 'train' twice. Make its parts disjoint.",
        ["--split", "train[:50%]+train[:50%]"],
    ),
    "personal data": (
        {},
        InvalidRequest,
        f"{WHERE}'mail' holds personal data (PII). Leave out with columns=[…], or pass allow_pii=True if you may.",
        [],
    ),
    "personal data in a filter": (
        FREE | {"filters": pc.field("mail") == "a"},
        InvalidRequest,
        f"{WHERE}'mail' holds personal data (PII). Leave them out of filters=, or pass allow_pii=True if you may.",
        ["--filter", "mail == a"],
    ),
    "an unknown version": (
        FREE | {"version": "1.0.7"},
        UnknownName,
        f"{NAME}: no version '1.0.7'. Did you mean '1.0.0'?",
        None,
    ),
    "an unknown backend": (
        FREE | {"backend": "pandsa"},
        UnknownName,
        "no backend 'pandsa'. Did you mean 'pandas' or 'polars'?",
        ["--backend", "pandsa"],
    ),
    "both limit and sample": (
        FREE | {"limit": 1, "sample": 0.5},
        InvalidRequest,
        "limit=1 and sample=0.5: wanted one of them. sample= takes a number of rows too.",
        ["--limit", "1", "--sample", "0.5"],
    ),
    "a sample of nothing": (
        FREE | {"sample": 0},
        InvalidRequest,
        "sample=0: wanted a number of rows such as 1000, or a part of them such as 0.01.",
        ["--sample", "0"],
    ),
}
SPOKEN = {"columns=[…]": "--columns", "pass allow_pii=True": "give --allow-pii"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Ten rows in two shards."""
    folder = str(tmp_path_factory.mktemp("bad"))
    rows = pa.table([[float(i) for i in range(10)], ["a"] * 10, ["m"] * 10], schema=SCHEMA)
    prepare_tables(folder, {"train": [rows.slice(0, 5), rows.slice(5)]})
    return folder


def rows(frame):
    """How many rows a frame has; a lazy one is computed."""
    return len(frame.compute() if hasattr(frame, "compute") else frame)


def refused(kind, told, action):
    with pytest.raises(AilabError) as caught:
        action()
    assert type(caught.value) is kind
    assert str(caught.value) == told


def batches(name, **given):
    """The batches of a load."""
    return list(adp.batches(name, batch_size=2, **given))


@pytest.mark.parametrize("call", [adp.load, adp.plan, batches], ids=["load", "plan", "batches"])
@pytest.mark.parametrize("case", BAD)
def test_a_bad_load_is_told_in_one_sentence(place, case, call):
    given, kind, told, _ = BAD[case]
    if "backend" in given and call is batches:
        pytest.skip("batches has no backend")
    refused(kind, told, lambda: call(NAME, data_dir=place, **given))


@pytest.mark.parametrize("case", [case for case, (*_, words) in BAD.items() if words is not None])
def test_at_the_command_line_it_is_one_line_and_exit_code_2(place, case):
    *_, told, words = BAD[case]
    columns = [] if "--columns" in words or case == "personal data" else ["--columns", "price,word"]
    found = CliRunner().invoke(cli, ["plan", NAME, "--data-dir", place, *columns, *words])
    for python, spoken in SPOKEN.items():
        told = told.replace(python, spoken)
    assert (found.exit_code, found.stdout, found.stderr) == (2, "", f"error: {told}\n")


def test_a_version_that_is_not_there_is_told_those_that_are(place):
    refused(
        UnknownName, f"{NAME}: no version '7.3.2'. There is: 1.0.0.", lambda: adp.load(f"{NAME}:7.3.2", data_dir=place)
    )


@pytest.mark.parametrize("kind", ["arrow", "numpy", "pandas"])
def test_what_does_not_fit_into_memory_is_refused_with_the_sizes(place, monkeypatch, kind):
    monkeypatch.setattr(Machine, "here", classmethod(lambda cls: Machine(memory=100, cpus=1)))
    with pytest.raises(BackendRefused, match=r"^backend '\w+': needs .+ B .*memory .+ B") as caught:
        adp.load(NAME, data_dir=place, backend=kind, **FREE)
    assert "\n" not in str(caught.value)


def test_a_slice_of_no_rows_is_a_frame_of_no_rows(place):
    found = adp.load(NAME, split="train[5:5]", data_dir=place, backend="arrow", **FREE)
    assert (found.num_rows, found.column_names) == (0, ["price", "word"])  # as a worker without rows needs it


@pytest.fixture
def shard(tmp_path):
    """The second of two shards."""
    rows = pa.table([[float(i) for i in range(3000)], ["a"] * 3000, ["m"] * 3000], schema=SCHEMA)
    prepare_tables(tmp_path, {"train": [rows.slice(0, 5), rows.slice(5)]})
    return sorted(Path(tmp_path).rglob("train-*.parquet"))[1]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"filters": [("price", ">", 100)]},
        {"filters": [("price", ">", 100)], "limit": 9},
        {"sample": 0.5},
        {"backend": "dask"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda shard: shard.unlink(), "the shard is missing. Run verify, and restore or prepare the version again."),
        (
            lambda shard: shard.write_bytes(shard.read_bytes()[:-9]),
            r"the shard has [\d,]+ bytes, the index says [\d,]+\.",
        ),
        (
            lambda shard: shard.write_bytes(b"x" * shard.stat().st_size),
            r"the shard can't be read \(.+\)\. Run verify\.",
        ),
    ],
    ids=["missing", "cut", "overwritten"],
)
def test_a_bad_shard_is_named(shard, tmp_path, given, harm, told):
    harm(shard)
    with pytest.raises(DamagedData, match=f"^{re.escape(str(shard))}: {told}") as caught:
        rows(adp.load(NAME, data_dir=str(tmp_path), **{"backend": "arrow"} | FREE | given))
    assert "\n" not in str(caught.value)


def test_a_bad_shard_is_named_at_the_command_line(shard, tmp_path):
    shard.unlink()
    given = ["head", NAME, "--data-dir", str(tmp_path), "--columns", "price", "--split", "train[2990:]"]
    found = CliRunner().invoke(cli, given)
    assert found.exit_code == 2
    assert (
        found.stderr == f"error: {shard}: the shard is missing. Run verify, and restore or prepare the version again.\n"
    )
