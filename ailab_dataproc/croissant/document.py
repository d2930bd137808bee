"""The JSON-LD document of a prepared version: what it is, its files with their checksums, a record set a split."""

from __future__ import annotations

import datetime as dt
import glob
import json
import os
from pathlib import PurePath
from typing import Any

import pyarrow as pa

from ailab_dataproc import storage
from ailab_dataproc.columns import is_pii
from ailab_dataproc.croissant.context import CONFORMS_TO, CONTEXT
from ailab_dataproc.croissant.fields import field, label_set, names_classes
from ailab_dataproc.errors import DamagedData, StorageFailed
from ailab_dataproc.manifest import Prepared

_PARQUET = "application/x-parquet"
_PII = "not a field here: it holds personal data, which is loaded with allow_pii=True only"


def metadata(prepared: Prepared, *, base: str | None = None, allow_pii: bool = False) -> dict[str, Any]:
    """Describe a prepared version as Croissant 1.1, from its manifest and index; no shard is read.

    The document is plain data: to write it needs none of the libraries that reading it does.

    Args:
        prepared: the version.
        base: the URL or path of the version's folder as readers will find it; by default where it lies.
        allow_pii: whether columns with personal data become fields, so that readers get their values; else they are
            named, under ``rai:personalSensitiveInformation``.
    """
    manifest = prepared.manifest
    place = (prepared.folder.url if base is None else base).rstrip("/")
    shards = prepared.index(columns=["split", "path", "bytes", "checksum"]).to_pylist()
    files = [_file(shard, place) for shard in shards]
    shown = [one for one in prepared.schema if allow_pii or not is_pii(one)]
    record_sets, sets = [label_set(one) for one in shown if names_classes(one)], []
    for split in manifest.splits:
        paths = [shard["path"] for shard in shards if shard["split"] == split]
        if not paths:
            continue
        sets += _file_set(split, paths, place)
        source = {"fileSet": {"@id": _set_id(split)}} if len(paths) > 1 else {"fileObject": {"@id": paths[0]}}
        record_sets.append(_record_set(split, prepared, source, allow_pii))
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        **_words(prepared),
        "distribution": [*files, *sets],
        "recordSet": [one for one in record_sets if one["field"]],
    }


def write(prepared: Prepared, output: str, *, base: str | None = None, allow_pii: bool = False) -> str:
    """Write the document to a file, whose links to the shards are relative to it where both lie on this disk.

    Args:
        prepared: the version.
        output: a path or URL. Not in the version's folder, which is closed: `verify` finds what is foreign there.
        base: as `metadata` takes it.
        allow_pii: as `metadata` takes it.

    Returns:
        Where the file is.

    Raises:
        StorageFailed: the output can't be written.
    """
    above, _, name = storage.folder(output).url.rpartition("/")
    folder, version = storage.folder(above or "/", prepared.folder.options), prepared.folder
    if not name or (folder.is_local and os.path.isdir(output)):
        raise StorageFailed(f"{output}: is a folder, wanted a file. Write {output.rstrip('/')}/croissant.json.")
    if f"{folder.url}/".startswith(f"{version.url}/"):
        raise StorageFailed(
            f"{folder.path(name)}: is in the version's own folder, where nothing may be added. "
            f"Write {version.url.rpartition('/')[0]}/croissant.json, which is above it."
        )
    if base is None and folder.is_local and version.is_local:
        base = PurePath(os.path.relpath(version.url, folder.url)).as_posix()
    found = metadata(prepared, base=base, allow_pii=allow_pii)
    folder.write(name, (json.dumps(found, indent=2, ensure_ascii=False) + "\n").encode())
    return folder.path(name)


def _words(prepared: Prepared) -> dict[str, Any]:
    manifest = prepared.manifest
    written = prepared.folder.modified()
    personal = [one.name for one in prepared.schema if is_pii(one)]
    found: dict[str, Any] = {
        "name": manifest.name,
        "description": manifest.description,
        "conformsTo": CONFORMS_TO,
        "version": manifest.version,
        "license": manifest.license,
        "url": manifest.homepage,
        "citeAs": manifest.citation,
        "creator": {"@type": "sc:Organization", "name": manifest.owner} if manifest.owner else None,
        "datePublished": dt.datetime.fromtimestamp(written, dt.UTC).date().isoformat() if written else None,
        "rai:personalSensitiveInformation": personal,
        "rai:dataPreprocessingProtocol": str(manifest.lineage) if manifest.lineage else "",
    }
    return {key: value for key, value in found.items() if value}


def _file(shard: dict[str, Any], place: str) -> dict[str, Any]:
    kind, _, digest = shard["checksum"].partition(":")
    if kind != "sha256":
        raise DamagedData(f"{shard['path']}: its checksum is {kind}, wanted sha256. Prepare the version again.")
    return {
        "@type": "cr:FileObject",
        "@id": shard["path"],
        "name": shard["path"].rpartition("/")[2],
        "contentUrl": f"{place}/{shard['path']}",
        "contentSize": f"{shard['bytes']} B",
        "encodingFormat": _PARQUET,
        "sha256": digest,
    }


def _file_set(split: str, paths: list[str], place: str) -> list[dict[str, Any]]:
    """The files of a split as one; Croissant's reader looks for them below the document's own folder."""
    if len(paths) < 2:
        return []
    pattern = f"{glob.escape(place)}/parquet/{split}-*-of-{len(paths):05d}.parquet"
    return [
        {
            "@type": "cr:FileSet",
            "@id": _set_id(split),
            "name": f"{split} shards",
            "encodingFormat": _PARQUET,
            "includes": pattern.removeprefix("./"),
        }
    ]


def _record_set(split: str, prepared: Prepared, source: dict[str, Any], allow_pii: bool) -> dict[str, Any]:
    told: list[str] = []
    fields = []
    for one in prepared.schema:
        made = None if is_pii(one) and not allow_pii else field(one, split, source)
        if made is None:
            told.append(f"{one.name} is {_why(one, allow_pii)}")
        else:
            fields.append(made)
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "description": " ".join([f"{prepared.manifest.rows[split]:,} rows.", *(f"{one}." for one in told)]),
        "field": fields,
    }


def _why(one: pa.Field, allow_pii: bool) -> str:
    return _PII if is_pii(one) and not allow_pii else f"not a field here: Croissant has no words for {one.type}"


def _set_id(split: str) -> str:
    return f"{split}-shards"
