"""from_tfds: any TFDS builder as a Dataset, which `prepare` reads shard by shard, as columns."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from ailab_dataproc.bridge.builders import Found, find_builder, prepare_once, sources_of
from ailab_dataproc.bridge.features import Told, columns
from ailab_dataproc.bridge.shard import read
from ailab_dataproc.dataset import Dataset
from ailab_dataproc.errors import require
from ailab_dataproc.splitting import Later


def from_tfds(  # noqa: PLR0913 - all but the first have a name
    source: Any,
    *,
    name: str,
    owner: str = "",
    version: str | None = None,
    data_dir: str | None = None,
    description: str | None = None,
    pii: Collection[str] = (),
    meanings: Mapping[str, str] | None = None,
    binary: Collection[str] = (),
) -> Dataset:
    """Make a Dataset of a TFDS builder.

    Making it imports TFDS and asks the builder for its features; nothing is downloaded. What TFDS has not prepared yet
    it prepares when this dataset is prepared for the first time, into the folder of downloads.

    Args:
        source: a builder's name (``"mnist"``, ``"glue/cola:2.*.*"``), a builder, its class, the script that defines
            it (``"path/to/my_dataset.py"``, with ``/config`` behind it where it has several), or the folder of a
            version that TFDS has prepared.
        name: of the dataset, such as ``"image_classification/mnist"``.
        owner: the person or team to ask.
        version: of the dataset; by default the builder's.
        data_dir: TFDS's data_dir, where its prepared data lies or is made; by default TFDS's own if the data is there,
            else the folder of downloads.
        description: by default the builder's.
        pii: the columns with personal data.
        meanings: what a column's values say, by column; by default what the builder's features document.
        binary: columns of text that hold bytes which are no UTF-8; ``"a.b"`` within a dict.

    Raises:
        UnknownName: TFDS has no such builder, or there is no such column.
        InvalidDefinition: the source stands for no builder, or a feature has no mapping; the message names it.
    """
    require("tensorflow_datasets", "beam")
    found = find_builder(source, data_dir, where=name)
    builder = found.builder
    told = Told(name, dict(meanings or {}), tuple(pii), tuple(binary))
    schema, nodes = columns(builder.info.features, told)
    splits: Mapping[str, Sequence[str]]
    if found.is_prepared:
        splits = sources_of(builder, name)
    else:
        splits = Later(functools.partial(_prepared, found, data_dir, told))
    mine = version or str(builder.version)
    notes = dict(builder.RELEASE_NOTES or {})
    return Dataset(
        name=name,
        version=mine,
        schema=schema,
        splits=splits,
        read=functools.partial(read, nodes),
        owner=owner,
        description=builder.info.description or "" if description is None else description,
        citation=builder.info.citation or "",
        license=builder.info.redistribution_info.license or "",
        homepage=builder.info.homepage or "",
        release_notes={mine: notes[mine]} if mine in notes else {},
    )


def _prepared(found: Found, data_dir: str | None, told: Told, downloads: Path) -> dict[str, Any]:
    """Splits and schema once TFDS has prepared the data: some builders learn their labels only then."""
    builder = prepare_once(found, data_dir or str(downloads / "tfds"), told.where, personal=bool(told.pii))
    return {"splits": sources_of(builder, told.where), "schema": columns(builder.info.features, told)[0]}
