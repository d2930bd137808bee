"""What the model sees of each log: a dataset of its own, made of the log by `hashed`."""

from __future__ import annotations

import functools
import sys

import numpy as np
import pandas as pd
import pyarrow as pa

import ailab_dataproc as adp

VERSION = "1.0.0"  # raise it when anything here changes: prepared versions never do
BUCKETS = 2**18  # that values are hashed into
# Of each log its label, and what a model sees: columns, and pairs of them that say more together.
LOGS = {
    "products/ad_log/impressions": (
        "clicked",
        ["item", "position", "device", "country", "campaign", "hour", "item+segment", "device+position"],
    ),
    "products/open_bandit/mens": (
        "click",
        ["item_id", "position", "hour", *(f"item_id+user_feature_{i}" for i in range(4))],
    ),
}
MADE_OF = {"hour": "timestamp", "segment": "user"}  # inputs that are no columns


def preprocess(log: str) -> str:
    """Hash what the model sees into buckets: a dataset of its own, that says what it was made of."""
    label, inputs = LOGS[log.partition(":")[0]]
    columns = {label, *(MADE_OF.get(name, name) for one in inputs for name in one.split("+"))}
    schema = [adp.column("clicked", pa.bool_(), "the label", pii=False)]
    schema += [adp.column(_word(one), pa.int32(), f"bucket of {one}", pii=False) for one in inputs]
    function = functools.partial(hashed, label=label, inputs=inputs)
    name = f"experiments/ctr_{log.partition(':')[0].rpartition('/')[2]}"
    told = f"Features of {log} for a model of clicks, hashed into {BUCKETS:,} buckets: one row an impression."
    given = {"schema": pa.schema(schema), "description": told, "formats": ["parquet"], "progress": sys.stderr.isatty()}
    return adp.map_partitions(function, log, name=name, version=VERSION, columns=sorted(columns), **given).dataset


def hashed(part: pd.DataFrame, label: str, inputs: list[str]) -> pd.DataFrame:
    """The buckets of one part of the log."""
    part = part.assign(hour=part["timestamp"].dt.hour)
    if "user" in part:
        part["segment"] = part["user"].to_numpy() % 8  # groups of users: single ones come too seldom to learn from
    codes = {name: _hashes(part[name]) for name in {name for one in inputs for name in one.split("+")}}
    made = {"clicked": part[label].to_numpy(bool)}
    for place, one in enumerate(inputs):
        both = np.full(len(part), place, np.uint64)  # so that equal values of two columns are two buckets
        for name in one.split("+"):
            both = (both ^ codes[name]) * np.uint64(0x9E3779B97F4A7C15)
        made[_word(one)] = ((both >> np.uint64(32)) % np.uint64(BUCKETS)).astype(np.int32)
    return pd.DataFrame(made)


def _hashes(column: pd.Series) -> np.ndarray:
    return pd.util.hash_pandas_object(column.astype("category"), index=False).to_numpy()


def _word(one: str) -> str:
    return one.replace("+", "_and_")
