"""A process of its own, which reads the first rows of each split once and leaves them as Arrow files: `python -m`."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from ailab_dataproc import catalog, storage
from ailab_dataproc.errors import AilabError
from ailab_dataproc.preparation.downloads import Cache, cache_folder
from ailab_dataproc.preparation.tasks import find_sources
from ailab_dataproc.preparation.trial import first_rows
from ailab_dataproc.settings import load_settings

ERRORS = "errors.json"


def read_once(asked: dict[str, Any], folder: Path) -> None:
    """Write the first rows of the first source of each split, or why there are none.

    Args:
        asked: name, data_dir, sources and limit.
        folder: where to.
    """
    settings = replace(load_settings(), data_dir=asked["data_dir"])
    errors: dict[str, dict[str, str]] = {}
    try:
        dataset = catalog.find(asked["name"], settings)
        place = storage.folder(settings.data_dir, settings.storage_options)
        cache = Cache(cache_folder(place, settings.downloads), settings.storage_options or {})
        sources = find_sources(dataset, asked["sources"], settings.storage_options, cache)
    except AilabError as error:
        errors[""] = _told(error)
        sources = {}
    for split, members in sources.items():
        try:
            batches = list(first_rows(dataset, members[:1], asked["limit"]))
        except AilabError as error:
            errors[split] = _told(error)
            continue
        table = pa.Table.from_batches(batches, schema=dataset.schema.remove_metadata())
        with pa.ipc.new_file(str(folder / f"{split}.arrow"), table.schema) as file:
            file.write_table(table)
    (folder / ERRORS).write_text(json.dumps(errors), encoding="utf-8")


def _told(error: AilabError) -> dict[str, str]:
    return {"kind": type(error).__name__, "message": str(error)}


if __name__ == "__main__":
    read_once(json.loads(sys.argv[1]), Path(sys.argv[2]))
