"""The split grammar is TFDS's own: the same rows for every spec that both read."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ailab_dataproc.errors import InvalidRequest, UnknownName
from ailab_dataproc.splits import Slice, parse, pieces

ROWS = {"train": 1000, "test": 7}
bounds = st.one_of(
    st.just(""),
    st.integers(-120, 120).map(lambda number: f"{number}%"),
    st.floats(-100, 100).map(lambda number: f"{number:.2f}%"),
    st.integers(-60, 60).map(str),
)
parts = st.one_of(
    st.sampled_from(["train", "test"]),
    st.builds(lambda name, start, stop: f"{name}[{start}:{stop}]", st.sampled_from(["train", "test"]), bounds, bounds),
)


def ours(spec, rows):
    """(split, start, stop) for each part, or None where it is refused; empty parts are left out."""
    try:
        return [(one.split, one.start, one.stop) for one in parse(spec, rows, "x") if one.stop > one.start]
    except InvalidRequest:
        return None


def theirs(spec, rows):
    tfds = pytest.importorskip("tensorflow_datasets")
    infos = {
        name: tfds.core.splits.SplitInfo(name=name, shard_lengths=[count], num_bytes=0) for name, count in rows.items()
    }
    try:
        found = tfds.core.ReadInstruction.from_spec(spec).to_absolute(infos)
    except (ValueError, AssertionError):
        return None
    absolute = [(one.splitname, one.from_ or 0, rows[one.splitname] if one.to is None else one.to) for one in found]
    return [one for one in absolute if one[2] > one[1]]


@given(spec=st.lists(parts, min_size=1, max_size=3).map("+".join), train=st.integers(0, 300), test=st.integers(1, 60))
@example(spec="train[:33%]", train=50, test=1)
@example(spec="train[25%:75%]", train=2, test=1)
@example(spec="train[12.5%:]", train=100, test=1)
@example(spec="train[-10%:]", train=15, test=1)
@example(spec="train[:-1]", train=1, test=1)
@example(spec="train[0:50%]", train=10, test=1)
@example(spec="all", train=10, test=1)
@settings(deadline=None)  # the first call imports TFDS
def test_a_spec_names_the_rows_that_tfds_would_read(spec, train, test):
    rows = {"train": train, "test": test}
    found = ours(spec, rows)
    if found is not None:
        wanted = theirs(spec, rows)
        assert wanted is None or found == wanted


@given(start=bounds, stop=bounds, count=st.integers(1, 300))
@settings(deadline=None)
def test_one_part_is_refused_only_where_tfds_refuses_or_units_are_mixed(start, stop, count):
    spec = f"train[{start}:{stop}]"
    if ours(spec, {"train": count}) is None:
        mixed = bool(start and stop) and start.endswith("%") != stop.endswith("%")
        assert mixed or not theirs(spec, {"train": count})  # TFDS takes bounds the wrong way round for no rows


def cut(part, shards):
    """(shard, skip, take) of each piece."""
    found = pieces(part, shards)
    return list(zip(found.shard.tolist(), found.skip.tolist(), found.take.tolist(), strict=True))


@given(st.lists(st.integers(0, 9), max_size=8), st.data())
def test_pieces_hold_exactly_the_rows_of_the_slice(shards, data):
    total = sum(shards)
    start = data.draw(st.integers(0, total))
    stop = data.draw(st.integers(start, total))
    first = [sum(shards[:number]) for number in range(len(shards))]
    found = [
        row
        for shard, skip, take in cut(Slice("train", start, stop), shards)
        for row in range(first[shard] + skip, first[shard] + skip + take)
    ]
    assert found == list(range(start, stop))


def test_a_shard_without_rows_is_left_out():
    assert cut(Slice("train", 0, 4), [2, 0, 2]) == [(0, 0, 2), (2, 0, 2)]


def test_underscores_and_spaces_may_group_a_spec():
    assert parse(" train [ 1_00 : 2_00 ] + test ", ROWS, "x") == (Slice("train", 100, 200), Slice("test", 0, 7))


def test_all_names_every_split_in_order():
    assert parse("all", ROWS, "x") == (Slice("train", 0, 1000), Slice("test", 0, 7))


def test_an_unknown_split_is_told_the_nearest():
    with pytest.raises(UnknownName, match=r"x: no split 'trian'\. Did you mean 'train'\?"):
        parse("trian[:10%]", ROWS, "x")


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("", "can't be read"),
        ("train[", "can't be read"),
        ("train[5]", "can't be read"),
        ("train[1:2:3]", "can't be read|bound"),
        ("train+", "can't be read"),
        ("train[a:]", "bound 'a'"),
        ("train[1.5:]", "bound '1.5'"),
        ("train[:2shard]", "bound '2shard'"),
        ("train[:101%]", "101%, wanted -100% to 100%"),
        ("train[:1001]", "row 1001, but the split has 1,000 rows"),
        ("train[-1001:]", "row -1001"),
        ("train[80%:20%]", "before it starts"),
        ("train[10:50%]", "mixes rows and per cent"),
        ("train+train", "twice"),
        ("train[:50%]+train[40%:]", "rows 400 to 500"),
        ("all+test", "twice"),
    ],
)
def test_a_spec_that_cannot_be_right_is_refused_in_one_sentence(spec, told):
    with pytest.raises(InvalidRequest, match=told) as caught:
        parse(spec, ROWS, "products/x:1.0.0")
    assert str(caught.value).startswith("products/x:1.0.0: split ")
    assert "\n" not in str(caught.value)
