"""Columns of encoded images become pixels in batches, and stay bytes elsewhere."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pytest

import ailab_dataproc as adp
from ailab_dataproc.columns import column, shape
from ailab_dataproc.errors import BackendRefused, InvalidData, InvalidDefinition
from ailab_dataproc.testing import prepare_tables

Image = pytest.importorskip("PIL.Image")
SIZES = ((2, 3), (4, 1), (5, 5))


def pixels(number, height=4, width=3, channels=3):
    return np.random.Generator(np.random.PCG64(number)).integers(0, 256, (height, width, channels), np.uint8)


def encoded(array, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array).save(file, kind)
    return file.getvalue()


def decoded(tmp_path, images, declared, *, nullable=False, **given):
    """The batches of a dataset of such images, two in each shard."""
    schema = pa.schema([column("photo", pa.binary(), nullable=nullable, shape=declared), column("label", pa.int64())])
    tables = [
        pa.table([pa.array(images[i : i + 2], pa.binary()), range(i, i + len(images[i : i + 2]))], schema=schema)
        for i in range(0, len(images), 2)
    ]
    name = prepare_tables(tmp_path, {"train": tables})
    return list(adp.batches(name, **({"data_dir": str(tmp_path), "batch_size": 3} | given)))


def test_images_of_one_size_are_one_array(tmp_path):
    wanted = np.stack([pixels(i) for i in range(5)])
    found = decoded(tmp_path, [encoded(one) for one in wanted], (4, 3, 3))
    assert [batch["photo"].shape for batch in found] == [(3, 4, 3, 3), (2, 4, 3, 3)]
    assert np.array_equal(np.concatenate([batch["photo"] for batch in found]), wanted)
    assert list(found[0]) == ["photo", "label"]


def test_grey_images_keep_their_channel(tmp_path):
    one = pixels(1, channels=1)
    (found,) = decoded(tmp_path, [encoded(one)], (4, 3, 1))
    assert np.array_equal(found["photo"], one[None])


def test_a_grey_image_gets_the_declared_channels(tmp_path):
    one = pixels(1, channels=1)
    (found,) = decoded(tmp_path, [encoded(one)], (4, 3, 3))
    assert np.array_equal(found["photo"], np.repeat(one, 3, axis=2)[None])


def test_a_jpeg_has_the_pixels_that_pillow_reads(tmp_path):
    raw = encoded(pixels(1, 16, 16), "JPEG")
    (found,) = decoded(tmp_path, [raw], (16, 16, 3))
    assert np.array_equal(found["photo"][0], np.asarray(Image.open(io.BytesIO(raw))))


def test_images_of_different_sizes_are_an_array_each(tmp_path):
    wanted = [pixels(i, *size) for i, size in enumerate(SIZES)]
    (found,) = decoded(tmp_path, [encoded(one) for one in wanted], (None, None, 3))
    assert found["photo"].dtype == object
    assert all(np.array_equal(one, other) for one, other in zip(found["photo"], wanted, strict=True))


def test_images_of_different_sizes_are_a_list_of_tensors(tmp_path):
    pytest.importorskip("torch")
    wanted = [pixels(i, *size) for i, size in enumerate(SIZES)]
    (found,) = decoded(tmp_path, [encoded(one) for one in wanted], (None, None, 3), format="torch")
    assert all(np.array_equal(one.numpy(), other) for one, other in zip(found["photo"], wanted, strict=True))


def test_images_of_different_sizes_are_a_ragged_tensor(tmp_path):
    pytest.importorskip("tensorflow")
    wanted = [pixels(i, *size) for i, size in enumerate(SIZES)]
    (found,) = decoded(tmp_path, [encoded(one) for one in wanted], (None, None, 3), format="tf")
    assert found["photo"].shape.as_list() == [3, None, None, 3]
    assert [one.to_tensor().numpy().tolist() for one in found["photo"]] == [one.tolist() for one in wanted]


@pytest.mark.parametrize("format_", ["torch", "tf"])
def test_images_of_one_size_are_one_tensor(tmp_path, format_):
    pytest.importorskip({"tf": "tensorflow"}.get(format_, format_))
    wanted = np.stack([pixels(i) for i in range(3)])
    (found,) = decoded(tmp_path, [encoded(one) for one in wanted], (4, 3, 3), format=format_)
    assert np.array_equal(found["photo"].numpy(), wanted)


def test_a_shuffle_keeps_an_image_with_its_label(tmp_path):
    wanted = np.stack([pixels(i) for i in range(7)])
    found = decoded(tmp_path, [encoded(one) for one in wanted], (4, 3, 3), shuffle=True)
    assert all(np.array_equal(batch["photo"], wanted[batch["label"]]) for batch in found)


def test_a_missing_image_is_masked(tmp_path):
    one = pixels(1)
    (found,) = decoded(tmp_path, [encoded(one), None], (4, 3, 3), nullable=True, nulls="mask")
    assert found["photo"].mask[1].all()
    assert not found["photo"].mask[0].any()
    assert np.array_equal(found["photo"].data[0], one)


def test_a_missing_image_of_a_tensor_is_not_valid(tmp_path):
    pytest.importorskip("torch")
    (found,) = decoded(
        tmp_path, [encoded(pixels(1)), None], (None, None, 3), nullable=True, nulls="mask", format="torch"
    )
    assert found["photo__valid"].tolist() == [True, False]
    assert found["photo"][1] is None


def test_nullable_images_are_refused_without_a_mask(tmp_path):
    with pytest.raises(BackendRefused, match="'photo' is nullable"):
        decoded(tmp_path, [encoded(pixels(1)), None], (4, 3, 3), nullable=True)


def test_arrow_keeps_the_bytes(tmp_path):
    raw = encoded(pixels(1))
    assert decoded(tmp_path, [raw], (4, 3, 3), format="arrow")[0]["photo"].to_pylist() == [raw]


def test_bytes_are_kept_where_nothing_is_to_be_decoded(tmp_path):
    raw = encoded(pixels(1))
    assert decoded(tmp_path, [raw], (4, 3, 3), decode=False)[0]["photo"].tolist() == [raw]


@pytest.mark.parametrize("raw", [b"", b"no image", encoded(pixels(1, 64, 64))[:-300]], ids=["none", "text", "cut"])
def test_bytes_that_are_no_image_are_an_error(tmp_path, raw):
    with pytest.raises(InvalidData, match="'photo': bytes can't be decoded as an image"):
        decoded(tmp_path, [raw], (64, 64, 3))


def test_an_image_of_another_size_is_an_error(tmp_path):
    with pytest.raises(InvalidData, match=r"has the shape \(4, 3, 3\), the schema declares \(8, 8, 3\)"):
        decoded(tmp_path, [encoded(pixels(1))], (8, 8, 3))


def test_an_image_of_sixteen_bits_is_not_bent_into_eight(tmp_path):
    raw = encoded(np.full((4, 3), 40_000, np.uint16)[..., None])
    with pytest.raises(InvalidData, match=r"more than 8 bits.*decode=False"):
        decoded(tmp_path, [raw], (4, 3, 1))


def test_the_shape_is_kept_in_the_schema(tmp_path):
    assert shape(column("photo", pa.binary(), shape=(None, None, 3))) == (None, None, 3)


@pytest.mark.parametrize("declared", [(4, 3), (4, 3, 2), (4, 3, None)])
def test_a_shape_that_no_image_has_is_refused(declared):
    with pytest.raises(InvalidDefinition, match="can't be the shape of an image"):
        column("photo", pa.binary(), shape=declared)
