"""Folders of image files as a dataset: a row a file, its label the name of the folder that it stands in."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from ailab_dataproc import storage, urls
from ailab_dataproc.columns import column
from ailab_dataproc.dataset import Source
from ailab_dataproc.decoding import pixels
from ailab_dataproc.errors import InvalidData, StorageFailed, require, unknown
from ailab_dataproc.functions import Known
from ailab_dataproc.settings import load_settings

ANY_SIZE = (None, None, 3)
_CODE = "image_folder 1"  # another number where the rows of the same files become others


def image_folder(
    labels: Sequence[str] = (), *, shape: Sequence[int | None] = ANY_SIZE, meaning: str = "the image"
) -> dict[str, Any]:
    """What `Dataset` takes for image files that stand in a folder a class, such as ``photos/train/daisy/17.jpg``.

    ``Dataset(name=…, version=…, splits={"train": "photos/train/*/*"}, **image_folder(["daisy", "rose"]))``

    The columns are ``image`` (the file's bytes, as they are), ``label`` and ``file`` (folder and name). Each file is
    decoded once while it is prepared: a broken one, or one of another shape, is an error that names it.

    Args:
        labels: the folders' names; the first one is label 0. Without them the label is the name itself.
        shape: height, width and channels of all images; None for what differs.
        meaning: what the images show.
    """
    label = column("label", pa.int64(), "what the image shows", labels=labels)
    if not labels:
        label = column("label", pa.string(), "what the image shows: the name of its folder")
    schema = pa.schema(
        [
            column("image", pa.binary(), meaning, shape=shape),
            label,
            column("file", pa.string(), "folder and name of the file"),
        ]
    )
    known = {one: Known(one, f"ailab_dataproc.images.{one.__name__}", _CODE) for one in (find_images, read_image)}
    read = functools.partial(known[read_image], labels=list(labels), shape=tuple(shape))
    return {"schema": schema, "sources": known[find_images], "read": read}


def find_images(split: str, pattern: str) -> Iterator[Source]:
    """The files that a glob names. Each one's identity has its folder, so that a file that moves is another row."""
    options = load_settings().storage_options or {}
    found = urls.expand(pattern, options)
    if not found:
        raise StorageFailed(f"{pattern!r}: no file of split {split!r} matches. Give a glob such as 'photos/train/*/*'.")
    with ThreadPoolExecutor() as pool:
        for stat, content in zip(found, pool.map(_content, found), strict=True):
            yield Source(stat.url, split, stat.size or 0, f"{_file(stat.url)} {content}", options)


def read_image(source: Source, labels: Sequence[str], shape: Sequence[int | None]) -> Iterator[dict[str, Any]]:
    """The row of one file.

    Raises:
        InvalidData: the file is no whole image of this shape, or its folder is no label.
        MissingLibrary: Pillow isn't installed.
    """
    require("PIL", "images")
    file = _file(source.url)
    folder = file.partition("/")[0]
    if labels and folder not in labels:
        raise InvalidData(f"{source.url}: {unknown('label', folder, labels)} Move the file, or add the label.")
    with urls.open_url(source.place or source.url, dict(source.options)) as opened:
        content = opened.read()
    try:
        pixels(content, tuple(shape), source.url)
    except InvalidData as error:
        raise InvalidData(f"{error} Mend the file, or leave it out of the split.") from error
    yield {"image": content, "label": labels.index(folder) if labels else folder, "file": file}


def _file(url: str) -> str:
    """The last folder of a path and the file's name."""
    return "/".join(url.replace("\\", "/").split("/")[-2:])


def _content(stat: urls.Stat) -> str:
    """What changes with a file's content: what its bucket says, or its checksum."""
    if stat.identity is not None:
        return stat.identity
    parent, _, name = (urls.local_path(stat.url) or stat.url).rpartition("/")
    return storage.checksum(storage.folder(parent or "/"), name, stat.size)
