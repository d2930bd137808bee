"""The graph of a version that `transform` made: what a server puts before its model."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ailab_dataproc import storage
from ailab_dataproc.errors import DamagedData, InvalidRequest, require
from ailab_dataproc.loading import open_known
from ailab_dataproc.manifest import Prepared
from ailab_dataproc.preparation.fingerprint import fingerprint
from ailab_dataproc.preparation.transform.stage import GRAPH, fetch
from ailab_dataproc.settings import load_settings
from ailab_dataproc.storage import checksum


def transform_graph(reference: str, *, version: str | None = None, data_dir: str | None = None) -> Any:
    """The graph of a version that `transform` made, for serving; from a bucket by way of the cache.

    Args:
        reference: ``name`` for the newest version, ``name:1.0.0`` or ``name:1.*``.
        version: another way to pin it.
        data_dir: where to look; by default as the settings say.

    Returns:
        A ``tensorflow_transform.TFTransformOutput``; its `transform_features_layer` makes of raw columns what was
        prepared of them.

    Raises:
        InvalidRequest: the version wasn't made by `transform`.
        DamagedData: a file of the graph isn't what was written.
    """
    settings = load_settings()
    settings = replace(settings, data_dir=data_dir) if data_dir else settings
    prepared = open_known(reference, settings, version)
    sums = {one: sum_ for one, sum_ in prepared.manifest.files.items() if one.startswith(f"{GRAPH}/")}
    if not sums:
        raise InvalidRequest(f"{prepared.name}: holds no graph, since it was not made by transform. Name one that was.")
    require("tensorflow_transform", "transform")
    import tensorflow_transform as tft

    if prepared.folder.is_local:
        return tft.TFTransformOutput(prepared.folder.path(GRAPH))
    kept = Path(settings.cache_dir).expanduser() / "graphs" / fingerprint(sums)
    if not kept.exists():
        temporary = kept.with_name(f"{kept.name}.tmp-{uuid.uuid4().hex}")
        try:
            fetch(prepared.folder / GRAPH, temporary)
            _check_copy(prepared, temporary, sums)
            with contextlib.suppress(FileExistsError):
                temporary.rename(kept)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return tft.TFTransformOutput(str(kept))


def _check_copy(prepared: Prepared, copy: Path, sums: Mapping[str, str]) -> None:
    place = storage.folder(str(copy))
    for name, written in sums.items():
        if checksum(place, name.removeprefix(f"{GRAPH}/")) != written:
            raise DamagedData(f"{prepared.folder.path(name)}: has other bytes than were written. Run verify.")
