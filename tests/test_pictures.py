"""The catalog's pictures: whatever data hold, they are whole SVG without script or inline style, and show no PII."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ailab_dataproc.columns import column
from ailab_dataproc.manifest import open_prepared
from ailab_dataproc.site import pictures
from ailab_dataproc.statistics import read_statistics
from ailab_dataproc.storage import folder
from ailab_dataproc.testing import prepare_tables

SVG = "{http://www.w3.org/2000/svg}"
NUMBERS = {
    "type": "double",
    "unit": "JPY",
    "pii": False,
    "count": 980,
    "nulls": 20,
    "approximate": {"quantiles": {"0.5": 3.25}, "histogram": {"from": 0.5, "to": 9.25, "rows": [3, 0, 40, 12, 1]}},
}
GRAPH = {
    "shop/clicks:1.0.0": ["raw/events:3.1.4"],
    "shop/by_user:1.0.0": ["shop/clicks:1.0.0", "shop/users:2.0.0"],
    "models/features:1.0.0": ["shop/by_user:1.0.0", "shop/clicks:1.0.0"],
}
PAGES = {name: f"/{name}.html?a=1&b=2" for name in GRAPH}


def words(values, *, type_="string", rows=None, **given):
    """The statistics of a column with such frequent values and their rows."""
    frequent = [{"value": value, "rows": count} for value, count in values]
    count = rows or sum(count for _, count in values)
    return {
        "type": type_,
        "unit": "",
        "pii": False,
        "count": count,
        "nulls": 0,
        "approximate": {"frequent": frequent},
    } | given


def parsed(picture):
    """The picture as XML, after a look for what a strict content security policy forbids."""
    found = ElementTree.fromstring(picture)  # noqa: S314 - our own
    for one in found.iter():
        assert one.tag not in (f"{SVG}script", f"{SVG}style", f"{SVG}foreignObject")
        assert not [name for name in one.attrib if name == "style" or name.startswith("on")]
    return found


def texts(picture):
    return [one.text for one in parsed(picture).iter(f"{SVG}text")]


def told(picture):
    return parsed(picture).find(f"{SVG}desc").text


# Statistics


def test_numbers_are_bars_between_their_ends():
    found = pictures.histogram(NUMBERS, name="price")
    assert texts(found) == ["0.5", "9.25"]
    path = parsed(found).find(f"{SVG}path")
    assert path.get("class") == "bar"
    assert path.get("d").count("M") == 4  # of five ranges one is empty


def test_a_screen_reader_hears_what_the_bars_show():
    found = pictures.histogram(NUMBERS, name="price")
    assert parsed(found).get("role") == "img"
    assert parsed(found).find(f"{SVG}title").text == "Statistics of price"
    assert told(found) == "98 % of the values lie between 0.5 and 9.25 JPY, half of them below 3.25; 2.0% null."


def test_the_highest_bar_reaches_the_top_and_a_rare_range_can_still_be_seen():
    rows = [1, 100_000]
    found = pictures.histogram(NUMBERS | {"approximate": {"histogram": {"from": 0, "to": 1, "rows": rows}}})
    heights = re.findall(r"v-([\d.]+)h", parsed(found).find(f"{SVG}path").get("d"))
    assert heights == ["1.0", "38.0"]


def test_times_are_told_to_the_minute():
    ends = {"from": "2021-01-01T00:00:00.000000Z", "to": "2021-02-03T04:05:06.789Z", "rows": [1, 2]}
    assert texts(pictures.histogram(NUMBERS | {"approximate": {"histogram": ends}})) == [
        "2021-01-01",
        "2021-02-03 04:05",
    ]


def test_long_numbers_at_the_ends_leave_room_for_each_other():
    ends = {"from": 38_133_079_555_298_964, "to": 9_223_372_036_854_775_807, "rows": [1, 2]}
    assert texts(pictures.histogram(NUMBERS | {"approximate": {"histogram": ends}})) == ["3.81331e+16", "9.22337e+18"]


def test_texts_that_begin_alike_are_shown_from_where_they_differ():
    found = pictures.histogram(words([(f"https://site{i}.example/index.html", 9 - i) for i in range(4)]))
    assert texts(found)[:2] == ["…0.example/inde…", "…1.example/inde…"]


def test_frequent_texts_are_bars_with_their_share():
    found = pictures.histogram(words([("red", 60), ("green", 30), ("blue", 10)]))
    assert texts(found) == ["red", "green", "blue", "60.0%", "30.0%", "10.0%"]
    wide = [float(one.get("width")) for one in parsed(found).iter(f"{SVG}rect")]
    assert wide == [76.0, 38.0, 12.7]


def test_of_many_texts_the_most_frequent_four_are_shown():
    found = pictures.histogram(words([(f"word {i}", 10 - i) for i in range(9)]))
    assert texts(found)[:4] == ["word 0", "word 1", "word 2", "word 3"]
    assert len(texts(found)) == 8


def test_booleans_are_true_and_false():
    assert texts(pictures.histogram(words([(True, 9), (False, 1)], type_="bool")))[:2] == ["true", "false"]


def test_classes_are_shown_by_their_names():
    found = pictures.histogram(words([(1, 6), (0, 4), (7, 1)], type_="int64"), labels=["cat", "dog"])
    assert texts(found)[:3] == ["dog", "cat", "7"]


def test_texts_that_hardly_ever_repeat_are_not_drawn():
    assert pictures.histogram(words([("a", 1), ("b", 1)], rows=10_000)) is None


def test_a_column_without_rows_is_not_drawn():
    assert pictures.histogram(words([])) is None


def test_personal_data_show_only_how_many_there_are():
    found = pictures.histogram(words([("alice", 60), ("bob", 40)], rows=80, nulls=20, pii=True))
    assert "alice" not in found
    assert texts(found) == ["20.0% null"]


def test_personal_data_without_a_null_are_not_drawn():
    assert pictures.histogram(words([("alice", 60)], pii=True)) is None


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", '"><img onerror=x>', "a\x00\x1b[31m\u202eb", "]]>", "\ud800"]
)
def test_text_of_the_data_is_never_markup(text):
    found = pictures.histogram(words([(text, 1)]), name=text)
    assert not list(parsed(found).iter(f"{SVG}script"))
    assert not re.search("[\x00-\x08\x1b\u202e\ud800]", found)


@settings(deadline=None, max_examples=60)
@given(values=st.lists(st.tuples(st.text(), st.integers(1, 10**9)), max_size=9), name=st.text(), unit=st.text())
def test_any_text_gives_a_whole_picture(values, name, unit):
    found = pictures.histogram(words(values), name=name)
    assert found is None or parsed(found) is not None
    assert parsed(pictures.histogram(NUMBERS | {"unit": unit}, name=name)) is not None


def test_the_statistics_of_a_prepared_version_can_be_drawn(tmp_path):
    schema = pa.schema(
        [
            column("price", pa.float64(), nullable=True),
            column("day", pa.date32()),
            column("word", pa.string()),
            column("user", pa.string(), pii=True),
            column("items", pa.list_(pa.int32())),
        ]
    )
    rows = 500
    table = pa.table(
        [
            pa.array([None if i % 9 == 0 else i / 7 for i in range(rows)]),
            pa.array(range(rows), pa.int32()).cast(pa.date32()),
            pa.array(["aä"[i % 2] for i in range(rows)]),
            pa.array([f"user {i % 3}" for i in range(rows)]),
            pa.array([[i] for i in range(rows)], pa.list_(pa.int32())),
        ],
        schema=schema,
    )
    prepared = open_prepared(folder(str(tmp_path)), prepare_tables(tmp_path, {"train": [table]}))
    columns = read_statistics(prepared)["splits"]["train"]["columns"]
    found = {name: pictures.histogram(one, name=name) for name, one in columns.items()}
    assert [name for name, one in found.items() if one] == ["price", "day", "word"]
    assert texts(found["day"]) == ["1970-01-05", "1971-05-11"]
    assert texts(found["word"]) == ["a", "ä", "50.0%", "50.0%"]


# Lineage


def boxes(picture):
    return {
        one.find(f"{SVG}title").text: one
        for one in parsed(picture)
        if one.tag in (f"{SVG}a", f"{SVG}g") and one.find(f"{SVG}rect") is not None
    }


def test_a_version_stands_between_what_it_was_made_from_and_what_was_made_from_it():
    found = boxes(pictures.lineage("shop/by_user:1.0.0", GRAPH, PAGES))
    at = {name: int(one.find(f"{SVG}rect").get("x")) for name, one in found.items()}
    assert at["raw/events:3.1.4"] < at["shop/clicks:1.0.0"] < at["shop/by_user:1.0.0"] < at["models/features:1.0.0"]
    assert at["shop/users:2.0.0"] == at["shop/clicks:1.0.0"]


def test_versions_with_a_page_are_links_to_it():
    found = boxes(pictures.lineage("shop/by_user:1.0.0", GRAPH, PAGES))
    assert {name: one.get("href") for name, one in found.items()} == {
        "raw/events:3.1.4": None,
        "shop/users:2.0.0": None,
        "shop/clicks:1.0.0": "/shop/clicks:1.0.0.html?a=1&b=2",
        "shop/by_user:1.0.0": None,  # the page itself
        "models/features:1.0.0": "/models/features:1.0.0.html?a=1&b=2",
    }


def test_each_step_is_a_line():
    found = parsed(pictures.lineage("shop/by_user:1.0.0", GRAPH, PAGES))
    lines = [one.find(f"{SVG}title").text for one in found.iter(f"{SVG}path") if one.find(f"{SVG}title") is not None]
    assert sorted(lines) == [
        "models/features:1.0.0 was made from shop/by_user:1.0.0",
        "models/features:1.0.0 was made from shop/clicks:1.0.0",
        "shop/by_user:1.0.0 was made from shop/clicks:1.0.0",
        "shop/by_user:1.0.0 was made from shop/users:2.0.0",
        "shop/clicks:1.0.0 was made from raw/events:3.1.4",
    ]


def test_a_version_with_nothing_beside_it_has_no_drawing():
    assert pictures.lineage("shop/other:1.0.0", GRAPH, PAGES) is None


def test_a_long_column_of_versions_is_cut_and_says_so():
    graph = {f"runs/r{i:02d}:1.0.0": ["raw/events:3.1.4"] for i in range(30)}
    found = pictures.lineage("raw/events:3.1.4", graph, {})
    assert len(boxes(found)) == 1 + 8 + 1
    assert "and 22 more" in texts(found)


def test_a_circle_of_versions_ends():
    graph = {"a:1.0.0": ["b:1.0.0"], "b:1.0.0": ["a:1.0.0"]}
    assert parsed(pictures.lineage("a:1.0.0", graph, {})) is not None


def test_a_name_of_a_version_is_never_markup():
    graph = {'x/<script>"&\x07:1.0.0': ["a:1.0.0"]}
    assert texts(pictures.lineage("a:1.0.0", graph, {})) == ["a:1.0.0", '<script>"&\ufffd:1.0.0', "x"]


# Images


def encoded(array, kind="PNG", **given):
    image = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    image.fromarray(array).save(file, kind, **given)
    return file.getvalue()


def photos(images, *, pii=False, labels=None):
    fields = [column("photo", pa.binary(), nullable=True, pii=pii, shape=(None, None, 3))]
    arrays = [pa.array(images, pa.binary())]
    if labels:
        fields.append(column("kind", pa.int64(), labels=labels))
        arrays.append(pa.array([i % len(labels) for i in range(len(images))], pa.int64()))
    return pa.table(arrays, schema=pa.schema(fields))


def opened(found):
    image = pytest.importorskip("PIL.Image")
    return image.open(io.BytesIO(found.content))


def noise(height, width, channels=3):
    return np.random.Generator(np.random.PCG64(1)).integers(0, 256, (height, width, channels), np.uint8)


def digits(type_=None, **given):
    type_ = type_ or pa.uint8()
    values = pa.array([i % 17 for i in range(3 * 64)], type_)
    image = pa.FixedSizeListArray.from_arrays(values, 64)
    schema = pa.schema([column("image", pa.list_(type_, 64), shape=(8, 8), **given), column("label", pa.int8())])
    return pa.table([image, pa.array([7, 8, 9], pa.int8())], schema=schema)


def test_a_few_pixels_become_squares():
    pytest.importorskip("PIL")
    first = pictures.preview(digits(), "image")[0]
    assert (first.width, first.height, first.size, first.label) == (128, 128, "8 x 8", "7")
    wanted = np.array([round(i % 17 * 255 / 16) for i in range(64)], np.uint8).reshape(8, 8)
    assert np.array_equal(np.asarray(opened(first)), wanted.repeat(16, axis=0).repeat(16, axis=1))


@pytest.mark.parametrize("type_", [pa.int64(), pa.float32(), pa.float64(), pa.float16()], ids=str)
def test_numbers_of_any_type_look_the_same(type_):
    pytest.importorskip("PIL")
    table = digits().set_column(0, digits(type_).schema.field(0), digits().column(0).cast(pa.list_(type_, 64)))
    assert [one.content for one in pictures.preview(table, "image")] == [
        one.content for one in pictures.preview(digits(), "image")
    ]


def test_a_large_image_becomes_a_small_file():
    (found,) = pictures.preview(photos([encoded(noise(600, 900))]), "photo")
    assert (found.width, found.height, found.size) == (128, 85, "900 x 600")
    assert len(found.content) < 20_000
    assert found.file.endswith(".webp")


def test_an_image_is_named_by_its_label():
    found = pictures.preview(photos([encoded(noise(9, 9))] * 3, labels=["cat", "dog"]), "photo")
    assert [one.label for one in found] == ["cat", "dog", "cat"]


def test_a_broken_image_is_marked_and_the_others_are_shown():
    images = [b"no image", encoded(noise(200, 200))[:-500], encoded(noise(9, 9)), b"", None]
    found = pictures.preview(photos(images), "photo")
    assert [one.row for one in found] == [0, 1, 2, 3]
    assert [bool(one.content) for one in found] == [False, False, True, False]
    assert [one.problem.partition(" (")[0] for one in found] == [
        "can't be decoded",
        "can't be decoded",
        "",
        "can't be decoded",
    ]


def test_an_image_that_claims_to_be_huge_is_not_opened():
    image = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    image.new("1", (20_000, 4_000)).save(file, "PNG")
    (found,) = pictures.preview(photos([file.getvalue()]), "photo")
    assert found.problem == "too large to be shown (20,000 x 4,000 pixels)"


def test_a_photo_stands_upright_and_loses_what_its_camera_wrote():
    image = pytest.importorskip("PIL.Image")
    exif = image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera of ours"
    (found,) = pictures.preview(photos([encoded(noise(300, 400), "JPEG", exif=exif)]), "photo")
    assert (found.width, found.height, found.size) == (96, 128, "300 x 400")
    assert b"camera" not in found.content


def test_sixteen_bits_of_grey_are_stretched():
    steps = np.linspace(1_000, 3_000, 64).astype(np.uint16).reshape(8, 8)
    (found,) = pictures.preview(photos([encoded(steps)]), "photo")
    assert np.asarray(opened(found)).min() == 0
    assert np.asarray(opened(found)).max() == 255


def test_transparent_pixels_stay_transparent():
    (found,) = pictures.preview(photos([encoded(noise(9, 9, 4))]), "photo")
    assert opened(found).mode == "RGBA"


def test_only_the_first_images_are_shown():
    assert len(pictures.preview(photos([encoded(noise(9, 9))] * 50), "photo")) == 12


def test_personal_images_are_never_shown():
    assert pictures.preview(photos([encoded(noise(9, 9))], pii=True), "photo") == []
    assert pictures.preview(digits(pii=True), "image") == []


def test_a_personal_label_is_never_shown():
    table = digits()
    schema = pa.schema([table.schema.field(0), column("label", pa.int8(), pii=True)])
    assert {one.label for one in pictures.preview(table.cast(schema), "image")} == {""}


def test_an_embedding_is_no_image():
    field = column("vector", pa.list_(pa.float32(), 64))
    assert not pictures.can_preview(field)
