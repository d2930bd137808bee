"""Open Bandit, men's campaign: impressions of a fashion shop's recommender with the policy's probabilities.

One row is one item shown in one of three slots. random was logged under uniformly random choice, bts under Bernoulli
Thompson sampling. Give the files yourself: ``--source random=…/men.csv --source bts=…/men.csv``. The 34 columns
``user-item_affinity_*`` become one vector a row: it loads as an (n, 34) array, and 34 columns would crowd out the rest.
The file's unnamed row number is dropped.
"""

from __future__ import annotations

import csv as text_csv
import io
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pyarrow import csv

from ailab_dataproc.columns import column
from ailab_dataproc.dataset import Dataset, Source
from ailab_dataproc.errors import InvalidData

ITEMS = 34
AFFINITIES = [f"user-item_affinity_{i}" for i in range(ITEMS)]

# Affinities count clicks, so float32 holds them exactly; propensities are printed with 17 digits and need float64.
schema = pa.schema(
    [
        column("timestamp", pa.timestamp("us", "UTC"), "when the item was shown"),
        column("item_id", pa.int8(), "item shown, 0 to 33"),
        column("position", pa.int8(), "slot: 1 left, 2 centre, 3 right"),
        column("click", pa.bool_(), "whether the item was clicked: the label"),
        column("propensity_score", pa.float64(), "probability that the policy showed this item in this slot"),
        *(column(f"user_feature_{i}", pa.string(), "hashed category of the user") for i in range(4)),
        column("user_item_affinity", pa.list_(pa.float32(), ITEMS), "past clicks of the user on each of the 34 items"),
    ]
)
PLAIN = [name for name in schema.names if name != "user_item_affinity"]


def read(source: Source) -> Iterator[pa.RecordBatch]:
    """Stream one log file, with the affinities of a row made one list."""
    _check_header(source)
    types = {name: schema.field(name).type for name in PLAIN} | dict.fromkeys(AFFINITIES, pa.float32())
    options = csv.ConvertOptions(column_types=types, include_columns=PLAIN + AFFINITIES)
    try:
        with source.open() as file:
            for batch in csv.open_csv(file, convert_options=options):
                vector = _interleave(batch.columns[len(PLAIN) :], source)
                yield pa.RecordBatch.from_arrays([*batch.columns[: len(PLAIN)], vector], schema=schema)
    except pa.ArrowInvalid as error:
        raise InvalidData(f"{source.url}: {error}") from error


def _check_header(source: Source) -> None:
    with source.open() as file:
        line = io.TextIOWrapper(file, encoding="utf-8-sig", newline="").readline()
    found = next(text_csv.reader([line]), [])
    missing = [name for name in PLAIN + AFFINITIES if name not in found]
    if missing:
        named = ", ".join(repr(name) for name in missing[:5]) + (f" and {len(missing) - 5} more" if missing[5:] else "")
        raise InvalidData(
            f"{source.url}: no column {named} in its header. Give a log file of Open Bandit's men's campaign."
        )


def _interleave(columns: list[pa.Array], source: Source) -> pa.FixedSizeListArray:
    for name, values in zip(AFFINITIES, columns, strict=True):
        if values.null_count:
            raise InvalidData(f"{source.url}: column {name!r} has rows without a value, wanted a number in each.")
    rows = np.stack([values.to_numpy() for values in columns], axis=1)
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), ITEMS)


dataset = Dataset(
    name="products/open_bandit/mens",
    version="1.0.0",
    schema=schema,
    splits={"random": (), "bts": ()},
    read=read,
    owner="ailab_dataproc",
    description=__doc__,
    citation="Y. Saito, S. Aihara, M. Matsutani, Y. Narita: Open Bandit Dataset and Pipeline. arXiv:2008.07146, 2020.",
    license="CC BY 4.0",
    homepage="https://github.com/st-tech/zr-obp",
    release_notes={"1.0.0": "First version."},
)
