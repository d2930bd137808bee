"""Batches: each row once, the same order everywhere, shared out over ranks, resumable, with a few shards in memory."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ailab_dataproc as adp
from ailab_dataproc.backends import shards
from ailab_dataproc.batching import order
from ailab_dataproc.columns import column
from ailab_dataproc.edge_cases import edge_cases
from ailab_dataproc.errors import BackendRefused, DamagedData, InvalidRequest, UnknownName
from ailab_dataproc.testing import assert_same, prepare_tables

SCHEMA = pa.schema([column("x", pa.int64()), column("word", pa.string(), nullable=True)])
SHARDS = (5, 7, 0, 3, 11, 2, 9, 4, 6, 13)
ROWS = sum(SHARDS)
NAME = "testing/tables"


def table(first, count):
    words = [None if i % 5 == 0 else f"wörd {i}" for i in range(first, first + count)]
    return pa.table([pa.array(range(first, first + count), pa.int64()), pa.array(words, pa.string())], schema=SCHEMA)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Ten small shards of rows 0, 1, 2, …, one of them empty; and the edge cases of all types in two."""
    folder = str(tmp_path_factory.mktemp("batches"))
    starts = np.cumsum((0, *SHARDS))
    prepare_tables(folder, {"train": [table(int(s), n) for s, n in zip(starts, SHARDS, strict=False)]})
    rows = edge_cases()
    prepare_tables(folder, {"train": [rows.slice(0, 3), rows.slice(3)]}, name="testing/edge")
    return folder


def batches(place, **given):
    return adp.batches(NAME, **({"data_dir": place, "batch_size": 4, "columns": ["x"]} | given))


def numbers(found):
    return [batch["x"].tolist() for batch in found]


def rows_of(found):
    return [row for batch in found for row in batch["x"].tolist()]


shuffles = st.booleans()
sizes = st.integers(1, 30)


def test_batches_come_in_the_order_of_the_shards(place):
    assert numbers(batches(place, batch_size=7)) == [list(range(i, min(i + 7, ROWS))) for i in range(0, ROWS, 7)]


@settings(deadline=None, max_examples=40)
@given(batch_size=sizes, world_size=st.integers(1, 7), seed=st.integers(0, 2**70), shuffle=shuffles)
def test_each_row_is_on_exactly_one_rank(place, batch_size, world_size, seed, shuffle):
    asked = {"batch_size": batch_size, "seed": seed, "shuffle": shuffle, "world_size": world_size}
    found = [rows_of(batches(place, rank=rank, **asked)) for rank in range(world_size)]
    assert sorted(row for rank in found for row in rank) == list(range(ROWS))
    assert max(map(len, found)) - min(map(len, found)) <= 1


@settings(deadline=None, max_examples=30)
@given(batch_size=sizes, world_size=st.integers(1, 7), shuffle=shuffles)
def test_without_the_remainder_all_ranks_give_as_many_full_batches(place, batch_size, world_size, shuffle):
    asked = {"batch_size": batch_size, "drop_remainder": True, "shuffle": shuffle, "world_size": world_size}
    found = [batches(place, rank=rank, **asked) for rank in range(world_size)]
    taken = [[len(batch["x"]) for batch in one] for one in found]
    assert taken == [[batch_size] * (ROWS // world_size // batch_size)] * world_size
    assert [len(one) for one in found] == [len(one) for one in taken]


@settings(deadline=None, max_examples=30)
@given(
    batch_size=sizes,
    seed=st.integers(0, 5),
    shuffle=shuffles,
    drop=st.booleans(),
    filters=st.sampled_from([None, [("x", ">", 9)], [("word", "is not", None)], [("x", "<", 0)]]),
    data=st.data(),
)
def test_resumed_batches_are_exactly_the_ones_that_were_left(place, batch_size, seed, shuffle, drop, filters, data):
    asked = {"batch_size": batch_size, "seed": seed, "shuffle": shuffle, "drop_remainder": drop, "filters": filters}
    whole = numbers(batches(place, epoch=3, **asked))
    stopped = data.draw(st.integers(0, len(whole)))
    first = batches(place, epoch=3, **asked)
    iterator = iter(first)
    for _ in range(stopped):
        next(iterator)
    state = json.loads(json.dumps(first.state_dict()))
    second = batches(place, **asked)
    second.load_state_dict(state)
    assert second.state_dict() == state
    assert numbers(second) == whole[stopped:]
    assert numbers(second) == numbers(batches(place, epoch=4, **asked))


@settings(deadline=None, max_examples=25)
@given(count=st.integers(0, 300), seed=st.integers(0, 2**64))
def test_a_permutation_holds_each_number_once(count, seed):
    assert sorted(order.permutation(count, (seed, 1)).tolist()) == list(range(count))


def test_the_order_of_a_seed_never_changes():
    assert order.permutation(12, (7, 3)).tolist() == [4, 2, 5, 8, 7, 3, 11, 10, 0, 1, 9, 6]


def test_the_order_is_the_same_in_any_number_of_threads(place, monkeypatch):
    wanted = numbers(batches(place, shuffle=True, seed=5))
    for count in (1, 16):
        monkeypatch.setattr("ailab_dataproc.batching.stream.threads", lambda parts, count=count: count)
        assert numbers(batches(place, shuffle=True, seed=5)) == wanted


def test_each_iteration_is_the_next_epoch(place):
    found = batches(place, shuffle=True)
    first, second = rows_of(found), rows_of(found)
    assert first != second
    assert sorted(first) == sorted(second) == list(range(ROWS))
    assert rows_of(batches(place, shuffle=True, epoch=1)) == second
    found.set_epoch(0)
    assert rows_of(found) == first


def test_another_seed_gives_another_order(place):
    assert rows_of(batches(place, shuffle=True, seed=1)) != rows_of(batches(place, shuffle=True, seed=2))


def test_without_a_shuffle_epochs_and_seeds_change_nothing(place):
    assert rows_of(batches(place, seed=1, epoch=7)) == list(range(ROWS))


def test_a_window_is_four_shards():
    windows = order.rows_of_windows(order.blocks_of_rank(np.array(SHARDS), None, 0, 1), order.WINDOW)
    assert windows.tolist() == [15, 26, 19]


def test_more_ranks_than_rows_leave_some_without_a_batch(place):
    found = [rows_of(batches(place, split="train[:3]", rank=rank, world_size=5)) for rank in range(5)]
    assert sorted(map(len, found)) == [0, 0, 1, 1, 1]


def test_a_rank_opens_only_its_own_shards(place, opened):
    assert rows_of(batches(place, rank=3, world_size=4)) == list(range(45, ROWS))
    assert sorted(opened) == [8, 9]


def test_resuming_opens_only_the_shards_that_are_left(place, opened):
    first = batches(place)
    iterator = iter(first)
    for _ in range(12):
        next(iterator)
    state = first.state_dict()
    del iterator
    wait_for_threads()
    opened.clear()
    second = batches(place)
    second.load_state_dict(state)
    assert rows_of(second) == list(range(48, ROWS))
    assert opened == [9]


def test_no_more_shards_are_read_than_a_few_ahead(place, opened):
    iterator = iter(batches(place, batch_size=1))
    next(iterator)
    time.sleep(0.3)
    assert len(opened) <= 6
    del iterator


def test_what_is_dropped_at_the_end_is_not_read(place, opened):
    assert rows_of(batches(place, batch_size=40, drop_remainder=True)) == list(range(40))
    assert max(opened) <= 7


@pytest.fixture
def opened(monkeypatch):
    """The numbers of the shards that were read."""
    found = []
    real = shards.read_part

    def noted(part, schema):
        found.append(int(part.path.split("train-")[1][:5]))
        return real(part, schema)

    monkeypatch.setattr("ailab_dataproc.batching.stream.read_part", noted)
    return found


def threads():
    return [one for one in threading.enumerate() if one.name.startswith("ailab-dataproc")]


def wait_for_threads():
    until = time.monotonic() + 20
    while threads() and time.monotonic() < until:
        time.sleep(0.01)


def test_an_iteration_that_is_left_ends_its_threads_and_is_known(place):
    wait_for_threads()
    found = batches(place, batch_size=1)
    for _batch in found:
        assert threads()
        break
    del _batch
    wait_for_threads()
    assert not threads()
    assert found.state_dict()["batch"] == 1


def test_a_process_ends_although_an_iteration_is_under_way(place):
    code = f"""import ailab_dataproc as adp
found = iter(adp.batches({NAME!r}, batch_size=1, columns=["x"], data_dir={place!r}))
print(next(found)["x"])"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[0]"
    assert not done.stderr


def test_an_interrupted_iteration_ends_at_once(place):
    code = f"""import ailab_dataproc as adp
found = adp.batches({NAME!r}, batch_size=1, columns=["x"], data_dir={place!r})
print("ready", flush=True)
while True:
    for batch in found:
        pass"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert told.rstrip().endswith("KeyboardInterrupt")


def test_a_damaged_shard_is_named_where_its_rows_would_come(tmp_path):
    prepare_tables(tmp_path, {"train": [table(i * 4, 4) for i in range(8)]})
    file = sorted(Path(tmp_path).rglob("*.parquet"))
    damaged = next(one for one in file if "train-00006" in one.name)
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    iterator = iter(batches(str(tmp_path)))
    assert [next(iterator)["x"][0] for _ in range(6)] == [0, 4, 8, 12, 16, 20]
    with pytest.raises(DamagedData, match="train-00006"):
        next(iterator)
    del iterator
    wait_for_threads()
    assert not threads()


def test_batches_across_shards_hold_all_types(place):
    wanted = edge_cases()
    found = adp.batches("testing/edge", batch_size=4, format="arrow", data_dir=place)
    assert_same(pa.concat_tables(found), wanted)


@pytest.mark.parametrize("format_", ["numpy", "pandas", "torch", "tf"])
def test_a_batch_is_what_the_backend_loads(place, format_):
    pytest.importorskip({"tf": "tensorflow"}.get(format_, format_))
    backend = adp.backends.backend(format_)
    rows = edge_cases().drop_columns("boxes" if format_ == "tf" else [])  # no tensor holds structs in lists
    asked = {"columns": rows.schema.names, "nulls": "mask", "data_dir": place}
    frames = list(adp.batches("testing/edge", batch_size=4, format=format_, **asked))
    frame = frames[0] if format_ in ("numpy", "pandas") else frames
    assert_same(backend.to_arrow(frame, rows.schema), rows)


WORDS = {
    "numpy": lambda column: column.tolist(),
    "arrow": lambda column: column.to_pylist(),
    "pandas": lambda column: pa.array(column).to_pylist(),
    "torch": lambda column: column,
    "tf": lambda column: [one.decode() or None for one in column.numpy()],
}


@pytest.mark.parametrize("format_", WORDS)
def test_a_shuffle_keeps_the_columns_of_a_row_together(place, format_):
    pytest.importorskip({"tf": "tensorflow", "arrow": "pyarrow"}.get(format_, format_))
    asked = {"columns": None, "nulls": "mask", "format": format_, "batch_size": ROWS}
    (batch,) = batches(place, shuffle=True, **asked)
    found = np.asarray(batch["x"]).tolist()
    assert sorted(found) == list(range(ROWS))
    assert WORDS[format_](batch["word"]) == [None if i % 5 == 0 else f"wörd {i}" for i in found]


def test_a_batch_has_the_columns_in_the_order_asked_for(place):
    found = next(iter(batches(place, columns=["word", "x"], nulls="mask")))
    assert list(found) == ["word", "x"]


def test_numbers_are_views_of_the_shard(place):
    first, second = list(batches(place, split="train[:4]", batch_size=2))
    assert first["x"].base is not None
    assert second["x"].ctypes.data - first["x"].ctypes.data == 16


def test_filters_leave_the_rows_that_they_keep_on_any_rank(place):
    asked = [("x", ">=", 20), ("word", "is not", None)]
    wanted = table(0, ROWS).filter((pc.field("x") >= 20) & pc.field("word").is_valid())["x"].to_pylist()
    found = [rows_of(batches(place, filters=asked, rank=rank, world_size=3)) for rank in range(3)]
    assert [row for one in found for row in one] == wanted


def test_with_filters_the_number_of_batches_is_known_only_after_reading(place):
    found = batches(place, filters=[("x", ">", 5)])
    with pytest.raises(TypeError, match="only after reading"):
        len(found)
    assert sum(len(batch["x"]) for batch in list(found)) == ROWS - 6


def test_batches_say_what_they_are(place):
    found = repr(batches(place, shuffle=True, seed=3, rank=1, world_size=2))
    assert found == (
        f"<testing/tables:1.0.0 all   {ROWS} rows in batches of 4 as numpy, shuffled with seed 3, rank 1 of 2>"
    )


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({"batch_size": 0}, InvalidRequest, "batch_size=0: wanted at least 1"),
        ({"rank": 2, "world_size": 2}, InvalidRequest, "rank=2: wanted 0 to 1, as world_size=2"),
        ({"rank": -1}, InvalidRequest, "rank=-1: wanted 0 to 0"),
        ({"world_size": 0}, InvalidRequest, "world_size=0: wanted at least 1"),
        ({"seed": -1, "shuffle": True}, InvalidRequest, "seed=-1: wanted at least 0"),
        ({"epoch": -1}, InvalidRequest, "epoch=-1: wanted at least 0"),
        ({"format": "tensorflow"}, UnknownName, "no format 'tensorflow'"),
        ({"drop_last": True}, InvalidRequest, "pass drop_remainder"),
        ({"columns": ["word"]}, BackendRefused, "'word' is nullable.*nulls='mask'"),
        ({"columns": ["word"], "format": "torch"}, BackendRefused, "'word' is nullable.*'word__valid'"),
    ],
)
def test_what_can_not_be_is_refused_in_words(place, given, error, told):
    if given.get("format") == "torch":
        pytest.importorskip("torch")
    with pytest.raises(error, match=told):
        batches(place, **given)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"batch_size": 5}, "batch_size=4, here it is 5"),
        ({"seed": 1}, "seed=0, here it is 1"),
        ({"split": "train[:10]"}, "split='all', here it is 'train\\[:10\\]'"),
        ({"filters": [("x", ">", 1)]}, "filters=''"),
        ({"rank": 1, "world_size": 2}, "rank=0, here it is 1"),
    ],
)
def test_a_position_of_other_arguments_is_refused(place, other, told):
    state = batches(place).state_dict()
    with pytest.raises(InvalidRequest, match=told):
        batches(place, **other).load_state_dict(state)


def test_a_position_of_another_version_is_refused(place):
    state = batches(place).state_dict() | {"dataset": "testing/tables:0.9.0"}
    with pytest.raises(InvalidRequest, match=r"dataset='testing/tables:0.9.0', here it is 'testing/tables:1.0.0'"):
        batches(place).load_state_dict(state)


def test_what_is_no_position_is_refused(place):
    with pytest.raises(InvalidRequest, match="no saved position"):
        batches(place).load_state_dict({"epoch": 1})
