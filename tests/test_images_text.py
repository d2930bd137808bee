"""Images and texts the whole way: from files to batches that a small model learns from."""

from __future__ import annotations

import hashlib
import itertools
import shutil
import tarfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pyarrow as pa
import pytest
import training
from hypothesis import given, settings
from hypothesis import strategies as st

import ailab_dataproc as adp
from ailab_dataproc import storage, tokens
from ailab_dataproc.columns import column, labels, shape
from ailab_dataproc.errors import InvalidData, InvalidDefinition, InvalidRequest, StorageFailed, VersionConflict
from ailab_dataproc.functions import Known
from ailab_dataproc.images import image_folder

DIGITS = "image_classification/digits"
TEXT = "text_generation/python_reference"
PETS = "image_classification/pets"
KINDS = ["cat", "dog"]


def noise(seed, height=6, width=5, channels=3):
    return np.random.Generator(np.random.PCG64(seed)).integers(0, 256, (height, width, channels), np.uint8)


def put(path, array, **given):
    """Write pixels as an image file of the path's ending."""
    image = pytest.importorskip("PIL.Image")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.fromarray(array.squeeze(-1) if array.ndim == 3 and array.shape[-1] == 1 else array).save(path, **given)
    return path


@pytest.fixture
def photos(tmp_path):
    """Two cats and a dog of different sizes."""
    folder = tmp_path / "photos"
    put(folder / "cat" / "a.png", noise(1))
    put(folder / "cat" / "b.jpg", noise(2, 9, 4))
    put(folder / "dog" / "a.png", noise(3, 3, 3))
    return folder


@pytest.fixture
def pets(photos, data_dir):
    """Prepare the photos: `pets(…)` with what `image_folder` takes."""

    def made(kinds=KINDS, *, glob="*/*", runner="inline", **given):
        dataset = adp.Dataset(
            name=PETS, version="1.0.0", splits={"train": f"{photos}/{glob}"}, **image_folder(kinds, **given)
        )
        return adp.prepare(dataset, data_dir=data_dir, runner=runner)

    return made


def loaded(data_dir, **given):
    return adp.load(PETS, backend="arrow", data_dir=data_dir, **given)


# Image files in folders


@pytest.mark.parametrize("runner", ["inline", "threads", "processes"])
def test_an_image_file_is_a_row_with_its_bytes_as_they_are(pets, photos, data_dir, runner):
    pets(runner=runner)
    rows = loaded(data_dir).to_pylist()
    assert [row["file"] for row in rows] == ["cat/a.png", "cat/b.jpg", "dog/a.png"]
    assert all(row["image"] == (photos / row["file"]).read_bytes() for row in rows)


def test_the_label_is_the_folders_place_among_the_names(pets, data_dir):
    pets(["dog", "cat"])
    found = loaded(data_dir, columns=["label"])
    assert found["label"].to_pylist() == [1, 1, 0]
    assert labels(found.schema.field("label")) == ("dog", "cat")


def test_without_names_the_label_is_the_folder(pets, data_dir):
    pets(())
    assert loaded(data_dir)["label"].to_pylist() == ["cat", "cat", "dog"]


def test_batches_hold_the_pixels(pets, photos, data_dir):
    image = pytest.importorskip("PIL.Image")
    pets()
    (found,) = adp.batches(PETS, batch_size=3, data_dir=data_dir)
    assert [one.shape for one in found["image"]] == [(6, 5, 3), (9, 4, 3), (3, 3, 3)]
    for pixels, file in zip(found["image"], found["file"], strict=True):
        assert np.array_equal(pixels, np.asarray(image.open(photos / file)))


def test_images_that_are_prepared_again_are_the_same_bytes(pets, data_dir, tmp_path):
    first = pets()
    kept = [(one.name, one.read_bytes()) for one in sorted((tmp_path / "data").rglob("*.parquet"))]
    assert pets().rows == first.rows
    shutil.rmtree(data_dir)
    pets(runner="threads")
    assert [(one.name, one.read_bytes()) for one in sorted((tmp_path / "data").rglob("*.parquet"))] == kept


def test_images_are_the_same_bytes_in_tfrecord(pets, photos, data_dir):
    tfds = pytest.importorskip("tensorflow_datasets")
    pytest.importorskip("tensorflow")
    pets()
    builder = tfds.builder_from_directory(f"{data_dir}/{PETS}/1.0.0")
    rows = list(tfds.as_numpy(builder.as_dataset(split="train")))
    assert [row["file"].decode() for row in rows] == ["cat/a.png", "cat/b.jpg", "dog/a.png"]
    assert all(row["image"] == (photos / row["file"].decode()).read_bytes() for row in rows)
    assert builder.info.features["label"].names == KINDS


def test_a_file_that_moved_to_another_class_is_another_dataset(pets, photos):
    pets()
    shutil.move(photos / "cat" / "b.jpg", photos / "dog" / "0.jpg")  # sorted before dog/a.png, as it was
    with pytest.raises(VersionConflict, match="its sources differs"):
        pets()


def test_a_broken_file_is_named_with_its_path(pets, photos):
    (photos / "dog" / "Thumbs.db").write_bytes(b"junk")
    with pytest.raises(InvalidData, match=r"photos/dog/Thumbs\.db: bytes can't be decoded .*leave it out of the split"):
        pets()


def test_a_file_that_ends_too_soon_is_named_with_its_path(pets, photos):
    whole = put(photos / "dog" / "b.png", noise(4, 90, 90)).read_bytes()
    (photos / "dog" / "b.png").write_bytes(whole[:-2_000])
    with pytest.raises(InvalidData, match=r"photos/dog/b\.png: bytes can't be decoded .*truncated"):
        pets()


def test_an_image_of_another_shape_is_named_with_its_path(pets):
    with pytest.raises(InvalidData, match=r"photos/cat/b\.jpg: an image has the shape \(9, 4, 3\)"):
        pets(shape=(6, 5, 3))


def test_a_folder_that_is_no_label_is_an_error_with_the_nearest(pets):
    with pytest.raises(InvalidData, match=r"photos/cat/a\.png: no label 'cat'\. Did you mean 'cats'\?"):
        pets(["cats", "dog"])


def test_a_glob_that_matches_nothing_is_an_error(pets):
    with pytest.raises(StorageFailed, match=r"no file of split 'train' matches"):
        pets(glob="*/*.gif")


def test_names_that_come_twice_are_refused():
    with pytest.raises(InvalidDefinition, match="two numbers have the label 'cat'"):
        image_folder(["cat", "cat"])


def test_images_of_one_declared_shape_are_one_array(pets, photos, data_dir):
    shutil.rmtree(photos)
    put(photos / "cat" / "a.png", noise(1))
    put(photos / "dog" / "b.png", noise(2))
    pets(shape=(6, 5, 3))
    (found,) = adp.batches(PETS, batch_size=2, data_dir=data_dir)
    assert np.array_equal(found["image"], np.stack([noise(1), noise(2)]))


def one_way(source):
    yield {"x": 1}


def another_way(source):
    yield from [{"x": 1}]


def test_a_reader_with_a_name_of_its_own_may_be_written_anew(tmp_path, data_dir):
    (tmp_path / "a.txt").write_text("a")

    def made(function, code):
        schema = pa.schema([column("x", pa.int64())])
        read = Known(function, "reader", code)
        splits = {"train": str(tmp_path / "a.txt")}
        dataset = adp.Dataset(name="test/known", version="1.0.0", schema=schema, splits=splits, read=read)
        return adp.prepare(dataset, data_dir=data_dir, runner="inline", formats=("parquet",))

    assert not made(one_way, "reader 1").reused
    assert made(another_way, "reader 1").reused
    with pytest.raises(VersionConflict, match="its code differs"):
        made(another_way, "reader 2")


def test_images_in_a_bucket_are_rows_as_on_a_disk(photos, bucket, gcs, data_dir):
    pytest.importorskip("gcsfs")
    places = storage.filesystem(bucket, gcs.options)
    for file in ("cat/a.png", "cat/b.jpg", "dog/a.png"):
        places.pipe_file(f"{bucket}/photos/{file}", (photos / file).read_bytes())
    dataset = adp.Dataset(name=PETS, version="1.0.0", splits={"train": f"{bucket}/photos/*/*"}, **image_folder(KINDS))
    adp.prepare(dataset, data_dir=data_dir, runner="threads", formats=("parquet",))
    rows = loaded(data_dir).to_pylist()
    assert [(row["file"], row["label"]) for row in rows] == [("cat/a.png", 0), ("cat/b.jpg", 0), ("dog/a.png", 1)]
    assert all(row["image"] == (photos / row["file"]).read_bytes() for row in rows)


def test_images_of_an_archive_are_rows_too(photos, tmp_path, data_dir):
    with tarfile.open(tmp_path / "photos.tar.gz", "w:gz") as archive:
        archive.add(photos, "photos")
    checksum = hashlib.sha256((tmp_path / "photos.tar.gz").read_bytes()).hexdigest()
    dataset = adp.Dataset(
        name=PETS,
        version="1.0.0",
        downloads={"pets": adp.Download(f"file://{tmp_path}/photos.tar.gz", f"sha256:{checksum}")},
        splits={"train": "download://pets/photos/*/*"},
        **image_folder(KINDS),
    )
    adp.prepare(dataset, data_dir=data_dir, runner="inline", formats=("parquet",))
    assert loaded(data_dir)["file"].to_pylist() == ["cat/a.png", "cat/b.jpg", "dog/a.png"]


def test_images_are_shared_out_to_splits_by_their_name(photos, data_dir):
    shares = adp.by_hash("file", {"train": 0.5, "test": 0.5}, sources=f"{photos}/*/*")
    dataset = adp.Dataset(name=PETS, version="1.0.0", splits=shares, **image_folder(KINDS))
    adp.prepare(dataset, data_dir=data_dir, runner="inline", formats=("parquet",))
    assert sorted(loaded(data_dir)["file"].to_pylist()) == ["cat/a.png", "cat/b.jpg", "dog/a.png"]


# What image files come as


def decoded(pets, photos, data_dir, name, array, channels=3, **given):
    """The pixels of one file."""
    shutil.rmtree(photos)
    put(photos / "cat" / name, array, **given)
    pets(shape=(None, None, channels))
    (batch,) = adp.batches(PETS, batch_size=1, data_dir=data_dir)
    return batch["image"][0]


def test_a_photo_stands_upright(pets, photos, data_dir):
    image = pytest.importorskip("PIL.Image")
    exif = image.Exif()
    exif[0x0112] = 6  # its top is on the right
    found = decoded(pets, photos, data_dir, "a.png", noise(1), exif=exif)
    assert np.array_equal(found, np.rot90(noise(1), -1))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_grey_colour_and_transparency_come_in_the_declared_channels(pets, photos, data_dir, channels):
    assert decoded(pets, photos, data_dir, "a.png", noise(1, channels=4), channels).shape == (6, 5, channels)


def test_a_grey_image_is_the_same_in_each_channel(pets, photos, data_dir):
    grey = noise(1, channels=1)
    assert np.array_equal(decoded(pets, photos, data_dir, "a.png", grey), grey.repeat(3, axis=2))


def test_a_palette_becomes_its_colours(pets, photos, data_dir):
    image = pytest.importorskip("PIL.Image")
    palette = image.fromarray(noise(1)).quantize(4)
    wanted = np.asarray(palette.convert("RGB"))
    shutil.rmtree(photos)
    (photos / "cat").mkdir(parents=True)
    palette.save(photos / "cat" / "a.png")
    pets()
    (batch,) = adp.batches(PETS, batch_size=1, data_dir=data_dir)
    assert np.array_equal(batch["image"][0], wanted)


def test_sixteen_bits_a_pixel_are_refused_by_path(pets, photos, data_dir):
    with pytest.raises(InvalidData, match=r"cat/a\.png: an image has pixels of more than 8 bits"):
        decoded(pets, photos, data_dir, "a.png", np.full((4, 3), 40_000, np.uint16))


def test_sixteen_bits_a_colour_are_refused_too(pets, photos):
    import struct
    import zlib

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    line = zlib.compress(b"\0" + struct.pack(">3H", 1, 2, 60_000))
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", line) + chunk(b"IEND", b"")
    (photos / "cat" / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    with pytest.raises(InvalidData, match=r"deep\.png: an image has pixels of more than 8 bits"):
        pets()


@pytest.mark.parametrize("name", ["a.gif", "a.bmp", "a.webp", "a.tiff"])
def test_what_else_pillow_reads_is_an_image(pets, photos, data_dir, name):
    assert decoded(pets, photos, data_dir, name, noise(1)).shape == (6, 5, 3)


# Digits, to a model


@pytest.fixture(scope="module")
def builtin(tmp_path_factory):
    """The digits and the texts, prepared; the texts as token lists and as blocks of tokens, too."""
    pytest.importorskip("sklearn")
    folder = str(tmp_path_factory.mktemp("builtin"))
    given = {"data_dir": folder, "runner": "inline", "formats": ("parquet",)}
    for name in (DIGITS, TEXT):
        adp.prepare(name, **given)
    given |= {"version": "1.0.0", "format": "arrow"}
    adp.map_partitions(as_tokens, TEXT, name=f"{TEXT}_tokens", schema=LISTS, **given)
    adp.map_partitions(as_blocks, TEXT, name=f"{TEXT}_blocks", schema=BLOCKS, **given)
    return folder


def digits(builtin, split, format_, size=32, **given):
    return adp.batches(DIGITS, split=split, batch_size=size, format=format_, data_dir=builtin, **given)


def apart(function, *given):
    """What a function returns, called in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *given).result()


def test_torch_learns_the_digits(builtin):
    pytest.importorskip("torch")
    losses, right = apart(training.digits, builtin)
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) / 5
    assert right > 0.9


def keras_model(tf):
    """Two convolutions, for images of 0 to 16."""
    layers = tf.keras.layers
    tf.keras.utils.set_random_seed(0)
    convolution = {"padding": "same", "activation": "relu"}
    return tf.keras.Sequential(
        [
            layers.Rescaling(1 / 16),
            layers.Reshape((8, 8, 1)),
            layers.Conv2D(16, 3, **convolution),
            layers.Conv2D(32, 3, strides=2, **convolution),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


def test_tensorflow_learns_the_digits(builtin):
    tf = pytest.importorskip("tensorflow")
    model = keras_model(tf)
    optimizer = tf.keras.optimizers.Adam(0.01)
    loss_of = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step(image, label):
        with tf.GradientTape() as tape:
            loss = loss_of(label, model(image))
        weights = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    train = digits(builtin, "train", "tf", shuffle=True, drop_remainder=True)
    losses = [float(step(batch["image"], batch["label"])) for _ in range(6) for batch in train]
    (test,) = digits(builtin, "test", "tf", 1_000)
    right = np.argmax(model(test["image"]), axis=1) == test["label"].numpy()
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) / 5
    assert right.mean() > 0.9


def test_keras_fits_the_digits_as_they_are_loaded(builtin):
    tf = pytest.importorskip("tensorflow")
    model = keras_model(tf)
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf.keras.optimizers.Adam(0.01), loss)
    train = adp.load(DIGITS, split="train", backend="tf", data_dir=builtin).rebatch(64)
    losses = model.fit(train.map(lambda one: (one["image"], one["label"])), epochs=3, verbose=0).history["loss"]
    assert losses[2] < losses[0] / 2


# Texts, to a model

END = 256
LISTS = pa.schema([column("topic", pa.string()), column("tokens", pa.list_(pa.int32()), "bytes of the paragraph")])
BLOCKS = pa.schema([column("tokens", pa.list_(pa.int32(), 64), "bytes; 256 ends a paragraph", shape=(64,))])


def as_tokens(part):
    return pa.table({"topic": part["topic"], "tokens": tokens.encode(part["text"])})


def as_blocks(part):
    return pa.table({"tokens": tokens.pack(tokens.encode(part["text"], end=END), 64)})


def texts(builtin, name, format_="numpy", **given):
    asked = {"split": "train", "batch_size": 16, "data_dir": builtin} | given
    return adp.batches(f"{TEXT}{name}", format=format_, **asked)


def test_token_lists_stand_for_their_texts(builtin):
    wanted = adp.load(TEXT, backend="arrow", data_dir=builtin)["text"].to_pylist()
    found = adp.load(f"{TEXT}_tokens", backend="arrow", data_dir=builtin)["tokens"].to_pylist()
    assert [tokens.decode(one) for one in found] == wanted


def test_blocks_stand_for_all_texts_one_after_another(builtin):
    wanted = adp.load(TEXT, split="train", backend="arrow", data_dir=builtin)["text"].to_pylist()
    found = adp.load(f"{TEXT}_blocks", split="train", backend="numpy", data_dir=builtin)["tokens"]
    stream = [one for text in wanted for one in (*text.encode(), END)]
    assert found.shape == (len(stream) // 64, 64)
    assert found.ravel().tolist() == stream[: found.size]


def test_tokens_are_the_same_whoever_makes_them(builtin, tmp_path):
    shutil.copytree(f"{builtin}/{TEXT}", tmp_path / TEXT)
    given = {"version": "1.0.0", "format": "arrow", "formats": ("parquet",), "data_dir": str(tmp_path)}
    adp.map_partitions(as_blocks, TEXT, name=f"{TEXT}_blocks", schema=BLOCKS, runner="threads", **given)
    file = f"{TEXT}_blocks/1.0.0/parquet/train-00000-of-00001.parquet"
    with open(f"{builtin}/{file}", "rb") as one, open(tmp_path / file, "rb") as other:
        assert one.read() == other.read()


def test_token_lists_are_padded_by_torch(builtin):
    torch = pytest.importorskip("torch")
    batch = next(iter(texts(builtin, "_tokens", "torch")))
    found = torch.nn.utils.rnn.pad_sequence(batch["tokens"], batch_first=True, padding_value=END)
    assert found.shape == (16, max(map(len, batch["tokens"])))
    assert [tokens.decode(one.numpy()) for one in found] == [tokens.decode(one.numpy()) for one in batch["tokens"]]


def test_token_lists_are_padded_and_cut_by_tensorflow(builtin):
    pytest.importorskip("tensorflow")
    batch = next(iter(texts(builtin, "_tokens", "tf")))
    found = batch["tokens"].to_tensor(default_value=END, shape=(None, 100))
    assert found.shape == (16, 100)
    assert [tokens.decode(one.numpy()[:100]) for one in batch["tokens"]] == [
        tokens.decode(one) for one in found.numpy()
    ]


def test_torch_learns_which_letter_follows(builtin):
    pytest.importorskip("torch")
    losses = apart(training.letters, builtin, f"{TEXT}_blocks", END + 1)
    assert losses[0] > 5.5  # the logarithm of 257: nothing is known
    assert np.mean(losses[-10:]) < 3


def test_tensorflow_learns_which_letter_follows(builtin):
    tf = pytest.importorskip("tensorflow")
    table = tf.Variable(tf.zeros((END + 1, END + 1)))
    optimizer = tf.keras.optimizers.Adam(0.1)

    @tf.function
    def step(found):
        with tf.GradientTape() as tape:
            scores = tf.gather(table, found[:, :-1])
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(found[:, 1:], scores))
        optimizer.apply_gradients([(tf.convert_to_tensor(tape.gradient(loss, table)), table)])
        return loss

    blocks = texts(builtin, "_blocks", "tf", shuffle=True, batch_size=64, drop_remainder=True)
    losses = [float(step(batch["tokens"])) for batch in itertools.chain(blocks, blocks)]
    assert losses[0] > 5.5
    assert np.mean(losses[-10:]) < 3


# Tokens


@settings(deadline=None)
@given(texts=st.lists(st.one_of(st.none(), st.text())), end=st.sampled_from([None, 256, 300]), cut=st.integers(0, 3))
def test_encoded_texts_decode_to_themselves(texts, end, cut):
    found = tokens.encode(pa.array(texts, pa.string()).slice(cut), end=end)
    assert [tokens.decode(one) for one in found.to_pylist()] == [one or "" for one in texts[cut:]]
    assert all(one[-1] == end for one in found.to_pylist() if end)


def test_texts_in_several_pieces_are_encoded(tmp_path):
    whole = pa.chunked_array([["a", "bc"], [], ["ü"]], pa.string())
    assert tokens.encode(whole, end=256).to_pylist() == [[97, 256], [98, 99, 256], [195, 188, 256]]


def test_a_letter_that_was_cut_is_marked():
    assert tokens.decode(np.array([65, 195])) == "A\ufffd"


@settings(deadline=None)
@given(lists=st.lists(st.lists(st.integers(0, 300), max_size=9)), length=st.integers(1, 5), pad=st.booleans())
def test_blocks_hold_the_tokens_in_their_order(lists, length, pad):
    stream = [one for found in lists for one in found]
    blocks = tokens.pack(pa.array(lists, pa.list_(pa.int32())), length, pad=-1 if pad else None).to_pylist()
    kept = [one for block in blocks for one in block]
    whole = len(stream) - len(stream) % length
    assert kept == (stream + [-1] * (-len(stream) % length) if pad else stream[:whole])


def test_a_block_without_tokens_is_refused():
    with pytest.raises(InvalidRequest, match="length=0: wanted at least 1"):
        tokens.pack(pa.array([[1]], pa.list_(pa.int32())), 0)


def test_blocks_are_declared_by_their_shape():
    assert shape(BLOCKS.field("tokens")) == (64,)
