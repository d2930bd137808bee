"""The split grammar is TFDS's own: the same rows for every spec that both read."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import ailab_dataproc as adp
from ailab_dataproc.errors import InvalidRequest, UnknownName
from ailab_dataproc.splits import Slice, even, parse, pieces

SHARDS = {"train": [600, 0, 400], "test": [7]}
bounds = st.one_of(
    st.just(""),
    st.integers(-120, 120).map(lambda number: f"{number}%"),
    st.floats(-100, 100).map(lambda number: f"{number:.2f}%"),
    st.integers(-60, 60).map(str),
    st.integers(-5, 5).map(lambda number: f"{number}shard"),
    st.sampled_from(["1_0", "1_000%", "_1", "1__0", ".5%", "5.%", "1.5", "--1", "-0", "0%", "1.2.3%", "2 %", "abc"]),
)
parts = st.one_of(
    st.sampled_from(["train", "test"]),
    st.builds(lambda name, start, stop: f"{name}[{start}:{stop}]", st.sampled_from(["train", "test"]), bounds, bounds),
    st.integers(-5, 5).map(lambda number: f"train[{number}shard]"),
)
specs = st.lists(parts, min_size=1, max_size=3).map(" + ".join)
shards = st.fixed_dictionaries(
    {
        "train": st.lists(st.integers(0, 90), min_size=1, max_size=4),
        "test": st.lists(st.integers(1, 30), min_size=1, max_size=2),
    }
)


def ours(spec, shards):
    """(split, start, stop) for each part, or None where it is refused; empty parts are left out."""
    try:
        return [(one.split, one.start, one.stop) for one in parse(spec, shards, "x") if one.stop > one.start]
    except InvalidRequest:
        return None


def theirs(spec, shards):
    """The same of TFDS, whose specs may be objects too."""
    tfds = pytest.importorskip("tensorflow_datasets")
    infos = {
        name: tfds.core.splits.SplitInfo(name=name, shard_lengths=lengths, num_bytes=0)
        for name, lengths in shards.items()
    }
    try:
        found = tfds.core.ReadInstruction.from_spec(spec).to_absolute(infos)
    except (ValueError, AssertionError):
        return None
    return [
        (one.splitname, one.from_ or 0, stop)
        for one in found
        if (stop := sum(shards[one.splitname]) if one.to is None else one.to) > (one.from_ or 0)
    ]


@given(spec=specs, shards=shards)
@example(spec="train[:33%]", shards={"train": [50], "test": [1]})
@example(spec="train[25%:75%]", shards={"train": [2], "test": [1]})
@example(spec="train[12.5%:]", shards={"train": [100], "test": [1]})
@example(spec="train[-10%:]", shards={"train": [15], "test": [1]})
@example(spec="train[:-1]", shards={"train": [1], "test": [1]})
@example(spec="train[0:50%]", shards={"train": [10], "test": [1]})
@example(spec="train[1shard:-1shard]", shards={"train": [3, 4, 5], "test": [1]})
@example(spec="train[-1shard]", shards={"train": [3, 4, 5], "test": [1]})
@example(spec="all", shards={"train": [10], "test": [1]})
@settings(deadline=None)  # the first call imports TFDS
def test_a_spec_names_the_rows_that_tfds_would_read(spec, shards):
    found = ours(spec, shards)
    if found is not None and "[:]" not in spec:  # which TFDS doesn't know
        assert found == theirs(spec, shards)


def units(bound):
    """The unit of a bound, or None where it has none that counts."""
    return None if bound in ("", "-0", "0") else "%" * bound.endswith("%") or "s" * ("shard" in bound)


@given(start=bounds, stop=bounds, lengths=st.lists(st.integers(1, 90), min_size=1, max_size=4))
@settings(deadline=None)
def test_one_part_is_refused_only_where_tfds_refuses_it_or_guesses(start, stop, lengths):
    shards = {"train": lengths}
    if ours(f"train[{start}:{stop}]", shards) is None and theirs(f"train[{start}:{stop}]", shards):
        mixed = None not in (units(start), units(stop)) and units(start) != units(stop)
        beyond = any("shard" in one and abs(int(one.removesuffix("shard"))) > len(lengths) for one in (start, stop))
        assert mixed or beyond or stop == "0shard"


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("train[10:50%]", "mixes units"),  # TFDS: 10 % to 50 %
        ("train[1shard:500]", "mixes units"),  # TFDS: shards 1 to 500
        ("train[:9shard]", "asks for shard 9, but the split has 3 shards"),  # TFDS: all three
        ("train[7shard]", "asks for shard 7"),  # TFDS: nothing
        ("train[-7shard]", "asks for shard -7"),
        ("train[:0shard]", "ends before its first shard"),  # TFDS: all three
        ("train+train", "twice"),  # TFDS: each row twice
        ("train[:50%]+train[40%:]", "rows 400 to 500"),
        ("train[80%:20%]", "before it starts"),  # TFDS: refused only when it is read
    ],
)
def test_what_tfds_guesses_is_refused(spec, told):
    assert theirs(spec, SHARDS) is not None
    with pytest.raises(InvalidRequest, match=told):
        parse(spec, SHARDS, "x")


@given(
    spec=specs | st.just("all"),
    shards=shards,
    count=st.integers(1, 9),
    drop=st.booleans(),
)
@settings(deadline=None)
def test_even_splits_are_those_of_tfds(spec, shards, count, drop):
    if not ours(spec, shards) or "[:]" in spec:
        return
    tfds = pytest.importorskip("tensorflow_datasets")
    found = even(parse(spec, shards, "x"), count, drop_remainder=drop)
    wanted = tfds.even_splits(spec, count, drop_remainder=drop)
    assert [ours(one, shards) for one in found] == [theirs(one, shards) for one in wanted]


def test_workers_share_a_prepared_split(make, data_dir):
    make()
    found = adp.even_splits("test/clicks", 3, split="train[:50%]+train[90%:]", data_dir=data_dir)
    assert found == ["train[0:4]+train[18:19]", "train[4:7]+train[19:20]", "train[7:10]"]
    rows = [adp.load("test/clicks", split=one, backend="arrow", data_dir=data_dir).num_rows for one in found]
    assert rows == [5, 4, 3]


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2"])
def test_even_splits_need_a_number_of_workers(make, data_dir, count):
    make()
    with pytest.raises(InvalidRequest, match=f"even_splits: n={count!r}, wanted a whole number from 1 on"):
        adp.even_splits("test/clicks", count, data_dir=data_dir)


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
    assert parse(" train [ 1_00 : 2_00 ] + test ", SHARDS, "x") == (Slice("train", 100, 200), Slice("test", 0, 7))


def test_no_bounds_are_the_whole_split():
    assert parse("train[:]", SHARDS, "x") == parse("train", SHARDS, "x")


def test_all_names_every_split_in_order():
    assert parse("all", SHARDS, "x") == (Slice("train", 0, 1000), Slice("test", 0, 7))


def test_an_unknown_split_is_told_the_nearest():
    with pytest.raises(UnknownName, match=r"x: no split 'trian'\. Did you mean 'train'\?"):
        parse("trian[:10%]", SHARDS, "x")


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
        ("train[:2shards]", "bound '2shards'"),
        ("train[:120%]", "120%, wanted -100% to 100%"),
        ("train[abc]", "bound 'abc'"),
        ("all[:10%]", "slices 'all'"),
        ("train[:101%]", "101%, wanted -100% to 100%"),
        ("train[:1001]", "row 1,001, but the split has 1,000 rows"),
        ("train[-1001:]", "row -1,001"),
        ("train[80%:20%]", "before it starts"),
        ("train[10:50%]", "mixes units"),
        ("train+train", "twice"),
        ("train[:50%]+train[40%:]", "rows 400 to 500"),
        ("all+test", "twice"),
    ],
)
def test_a_spec_that_cannot_be_right_is_refused_in_one_sentence(spec, told):
    with pytest.raises(InvalidRequest, match=told) as caught:
        parse(spec, SHARDS, "products/x:1.0.0")
    assert str(caught.value).startswith("products/x:1.0.0: split ")
    assert "\n" not in str(caught.value)
