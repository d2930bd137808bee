"""Handwritten digits: 1,797 grey images of 8 x 8 pixels, as scikit-learn carries them.

One row is one digit. They are the test part of UCI's "Optical Recognition of Handwritten Digits"; each pixel counts the
dark dots of a 4 x 4 block of the scan. train is the first 1,437 rows and test the other 360, in the file's order.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pyarrow import csv

from ailab_dataproc.columns import column
from ailab_dataproc.dataset import Dataset, Source
from ailab_dataproc.errors import InvalidData

PIXELS = 64
ROWS = {"train": slice(0, 1437), "test": slice(1437, None)}
FILE = "package://sklearn/datasets/data/digits.csv.gz"

schema = pa.schema(
    [
        column("image", pa.list_(pa.uint8(), PIXELS), "darkness of each pixel, 0 to 16, by rows", shape=(8, 8)),
        column("label", pa.int8(), "the digit, 0 to 9"),
    ]
)


def read(source: Source) -> Iterator[pa.RecordBatch]:
    """Read the split's rows: 64 pixels and the label a line, no header."""
    with source.open() as file:
        table = csv.read_csv(file, read_options=csv.ReadOptions(autogenerate_column_names=True))
    if table.num_columns != PIXELS + 1:
        raise InvalidData(f"{source.url}: {table.num_columns} columns, wanted {PIXELS} pixels and a label.")
    table = table[ROWS[source.split]]
    pixels = np.stack([table.column(i).to_numpy() for i in range(PIXELS)], axis=1).astype(np.uint8)
    image = pa.FixedSizeListArray.from_arrays(pa.array(pixels.reshape(-1)), PIXELS)
    label = table.column(PIXELS).cast(pa.int8()).combine_chunks()
    yield pa.RecordBatch.from_arrays([image, label], schema=schema)


dataset = Dataset(
    name="image_classification/digits",
    version="1.0.0",
    schema=schema,
    splits={"train": FILE, "test": FILE},
    read=read,
    owner="ailab_dataproc",
    description=__doc__,
    citation="E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits. UCI ML Repository, 1998.",
    license="CC BY 4.0",
    homepage="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
    release_notes={"1.0.0": "First version."},
)
