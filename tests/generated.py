"""Many datasets without rows: manifests and statistics as preparation writes them, from a few numbers."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import pyarrow as pa

from ailab_dataproc.columns import column, describe_columns
from ailab_dataproc.manifest import Manifest
from ailab_dataproc.schema import encode

AREAS = ("products/ads", "products/shop", "image_classification", "text_generation", "speech/read")
WORDS = ("impressions", "clicks", "orders", "reviews", "returns", "sessions", "digits", "captions", "queries", "lines")
OWNERS = ("ads-team", "shop-team", "vision", "language", "検索チーム")
FIELDS = (
    column("user", pa.int64(), "salted hash of the user", pii=True),
    column("price", pa.float32(), "winning bid", unit="JPY", nullable=True),
    column("query", pa.string(), "検索語: what was typed"),
    column("shown_at", pa.timestamp("us", "UTC"), "when it was shown"),
    column("device", pa.string(), "kind of device"),
    column("position", pa.int8(), "slot on the page, from the top"),
    column("clicked", pa.bool_(), "whether it was clicked: the label"),
    column("dwell", pa.float64(), "time on the page", unit="s", nullable=True),
    column("tokens", pa.list_(pa.int32()), "of the text, by the tokenizer"),
    column("embedding", pa.list_(pa.float32(), 8), "of the item"),
)


def manifests(data_dir: Path, datasets: int, versions: int) -> list[str]:
    """Write so many datasets of so many versions with 10 columns each; their names."""
    names = []
    for i in range(datasets):
        name = f"{AREAS[i % len(AREAS)]}/{WORDS[i // len(AREAS) % len(WORDS)]}_{i}"
        names.append(name)
        for number in range(versions):
            _version(data_dir / name / f"1.{number}.0", name, number, random.Random(f"{name} {number}"))
    return names


def _version(folder: Path, name: str, number: int, draw: random.Random) -> None:
    folder.mkdir(parents=True)
    schema = pa.schema(draw.sample(FIELDS, len(FIELDS)))
    rows = {"train": draw.randrange(1000, 10**8), "test": draw.randrange(1000, 10**6)}
    told = {split: {one.name: _statistics(one, count, draw) for one in schema} for split, count in rows.items()}
    statistics = json.dumps(told).encode()
    (folder / "statistics.json").write_bytes(statistics)
    made = Manifest(
        name=name,
        version=f"1.{number}.0",
        fingerprint=hashlib.sha256(f"{name}{number}".encode()).hexdigest()[:32],
        parts={},
        arrow_schema=encode(schema),
        columns=describe_columns(schema),
        splits={split: [count // 4, count - count // 4] for split, count in rows.items()},
        formats=["parquet", "tfrecord"],
        bytes={"parquet": sum(rows.values()) * 31, "tfrecord": sum(rows.values()) * 80},
        index_checksum="",
        files={"statistics.json": f"sha256:{hashlib.sha256(statistics).hexdigest()}"},
        owner=OWNERS[len(name) % len(OWNERS)],
        description="One row is a thing that happened.\n\nFrom the logs of the service, cleaned of robots.",
        release_notes={f"1.{one}.0": f"Change number {one}." for one in range(number + 1)},
    )
    (folder / "manifest.json").write_text(made.model_dump_json(), encoding="utf-8")


def _statistics(field: pa.Field, rows: int, draw: random.Random) -> dict:
    nulls = rows // 7 if field.nullable else 0
    found = {"type": str(field.type), "count": rows - nulls, "nulls": nulls}
    if (field.metadata or {}).get(b"pii"):
        return found
    approximate = {"sampled_rows": 5000, "distinct": 900, "distinct_of_rows": 5000}
    if pa.types.is_floating(field.type) or pa.types.is_integer(field.type):
        middle = draw.uniform(0, 1000)
        found |= {"min": 0.0, "max": middle * 2, "mean": middle, "std": middle / 3}
        parts = ("0.01", "0.25", "0.5", "0.75", "0.99")
        approximate["quantiles"] = {part: middle * 2 * float(part) for part in parts}
        bars = [draw.randrange(rows // 10 + 1) for _ in range(20)]
        approximate["histogram"] = {"from": middle / 50, "to": middle * 1.98, "rows": bars}
    elif pa.types.is_string(field.type):
        values = ("phone", "desktop", "tablet", "tv")
        approximate["frequent"] = [{"value": value, "rows": rows // (i + 2)} for i, value in enumerate(values)]
    return found | {"approximate": approximate}
