"""Serialized tf.train.Examples become flat values: the quick way finds what protobuf finds."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ailab_dataproc.bridge import examples
from ailab_dataproc.bridge.examples import parse
from ailab_dataproc.errors import InvalidData
from ailab_dataproc.preparation.framing import Block, DamagedFrame, blocks
from ailab_dataproc.preparation.tfrecord import Encoder

proto = pytest.importorskip("tensorflow_datasets.proto")
pb, feature_pb = proto.tf_example_pb2, proto.tf_feature_pb2

KEYS = ["a", "bb", "b/c", "label", "täg"]
VALUES = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4).map(lambda v: ("int64", v)),
    st.lists(st.integers(0, 300), max_size=40).map(lambda v: ("int64", v)),
    st.lists(st.floats(width=32, allow_nan=False), max_size=4).map(lambda v: ("float", v)),
    st.lists(st.binary(max_size=300), max_size=5).map(lambda v: ("bytes", v)),
)
LISTS = {"int64": "Int64List", "float": "FloatList", "bytes": "BytesList"}


def example(row):
    features = {
        key: feature_pb.Feature(**{f"{kind}_list": getattr(feature_pb, LISTS[kind])(value=values)})
        for key, (kind, values) in row.items()
    }
    return pb.Example(features=feature_pb.Features(feature=features)).SerializeToString()


def block(records):
    ends = np.cumsum([0, *map(len, records)]).astype(np.int64)
    return Block(b"".join(records), ends[:-1], ends[1:])


def listed(found):
    return {
        key: (
            one.values.to_pylist() if isinstance(one.values, pa.Array) else one.values.tolist(),
            one.counts.tolist(),
            one.present.tolist(),
        )
        for key, one in found.items()
    }


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_the_quick_way_and_protobuf_agree(data):
    kinds = {key: data.draw(st.sampled_from(["int64", "float", "bytes"])) for key in [*KEYS, "other"]}
    row = st.fixed_dictionaries(
        {}, optional={key: VALUES.filter(lambda v, kind=kind: v[0] == kind) for key, kind in kinds.items()}
    )
    records = [example(one) for one in data.draw(st.lists(row, min_size=1, max_size=8))]
    quick, slow = parse(block(records), KEYS), examples._by_protobuf(block(records), KEYS)
    assert listed(quick) == {key: one for key, one in listed(slow).items() if any(one[2])}


def test_what_our_own_encoder_writes_is_read_without_protobuf(monkeypatch):
    monkeypatch.setattr(examples, "_by_protobuf", None)
    schema = pa.schema(
        [pa.field("n", pa.int64(), nullable=False), pa.field("w", pa.list_(pa.string()), nullable=False)]
    )
    rows = pa.RecordBatch.from_pydict({"n": [1, -(2**63), 300], "w": [["a", ""], [], ["é" * 400]]}, schema=schema)
    found = list(blocks(io.BytesIO(Encoder(schema, "test").encode(rows))))
    assert listed(parse(found[0], ["n", "w"])) == {
        "n": ([1, -(2**63), 300], [1, 1, 1], [True] * 3),
        "w": ([b"a", b"", ("é" * 400).encode()], [2, 0, 1], [True] * 3),
    }


def test_numbers_that_are_not_packed_are_read_too():
    feature = b"\x1a\x04\x08\x05\x08\x06"  # int64_list, each value with a tag of its own
    entry = b"\x0a\x01a\x12" + bytes([len(feature)]) + feature
    features = b"\x0a" + bytes([len(entry)]) + entry
    record = b"\x0a" + bytes([len(features)]) + features
    assert listed(parse(block([record]), ["a"])) == {"a": ([5, 6], [2], [True])}


@pytest.mark.parametrize("record", [b"\x0a\xff", b"\x0a\x05abc", b"no example", b"\xff" * 40])
def test_bytes_that_are_no_example_are_refused(record):
    with pytest.raises(InvalidData, match=r"record 2 of its block is no tf\.train\.Example"):
        parse(block([example({"a": ("int64", [1])}), record]), ["a"])


def framed(count):
    schema = pa.schema([pa.field("n", pa.int64(), nullable=False)])
    return Encoder(schema, "test").encode(pa.RecordBatch.from_pydict({"n": list(range(count))}, schema=schema))


def test_records_come_whole_whatever_the_block_is(monkeypatch):
    from ailab_dataproc.preparation import framing

    monkeypatch.setattr(framing, "_BLOCK", 50)
    parts = [parse(one, ["n"])["n"].values.tolist() for one in blocks(io.BytesIO(framed(300)))]
    assert [one for part in parts for one in part] == list(range(300))
    assert len(parts) > 10


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data[:-3], "cut off in the bytes of record 3"),
        (lambda data: data[:-1] + b"\x00", "damaged bytes in record 3"),
        (lambda data: b"\x07" + data[1:], "damaged header at record 1"),
        (lambda data: data + b"\x01\x02", "cut off in the header of record 4"),
    ],
)
def test_a_damaged_file_names_the_record(change, told):
    with pytest.raises(DamagedFrame, match=told):
        list(blocks(io.BytesIO(change(framed(3)))))
