"""Real data, end to end: the Open Bandit files through Beam to every backend and to plain TFDS in another process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

import ailab_dataproc as adp
from ailab_dataproc.backends import BACKENDS, backend

FILES = Path(__file__).parents[2] / "shared" / "data" / "open_bandit"
NAME = "products/open_bandit/mens"
ROWS = 10_000

pytestmark = pytest.mark.skipif(not FILES.exists(), reason=f"the Open Bandit files are not in {FILES}")

PLAIN_TFDS = """
import json, sys
import tensorflow_datasets as tfds
data_dir, split = sys.argv[1:]
rows = tfds.load("mens:1.*.*", data_dir=data_dir, split=split)
assert not any(name.startswith("ailab_dataproc") for name in sys.modules)
for row in tfds.as_numpy(rows.batch(1000)):
    print(json.dumps({name: [v.decode() if isinstance(v, bytes) else v for v in values.tolist()]
                      for name, values in row.items()}))
"""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("data"))
    sources = {"random": str(FILES / "random_men_men.csv"), "bts": str(FILES / "bts_men_men.csv")}
    assert adp.prepare(NAME, data_dir=folder, sources=sources).rows == {"random": ROWS, "bts": ROWS}
    return folder


def through_tfds(data_dir: str, split: str) -> dict[str, list]:
    """The rows as plain TFDS reads them, in a process that never imports ailab_dataproc."""
    pytest.importorskip("tensorflow")
    command = [sys.executable, "-c", PLAIN_TFDS, f"{data_dir}/products/open_bandit", split]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, list] = {}
    for line in done.stdout.splitlines():
        for name, values in json.loads(line).items():
            found.setdefault(name, []).extend(values)
    return found


@pytest.mark.parametrize("split", ["random", "bts"])
@pytest.mark.parametrize("name", sorted(BACKENDS.keys() - {"cudf", "dask_cudf"}))
def test_every_backend_returns_the_same_ten_thousand_rows(data_dir, name, split):
    frame = adp.load(NAME, split=split, backend=name, data_dir=data_dir)
    wanted = adp.load(NAME, split=split, backend="arrow", data_dir=data_dir)
    table = backend(name).to_arrow(frame, wanted.schema)
    assert len(table) == ROWS
    assert table.equals(wanted)


def test_the_types_are_those_of_the_meaning(data_dir):
    schema = adp.load(NAME, backend="arrow", data_dir=data_dir).schema
    assert schema.field("timestamp").type == pa.timestamp("us", "UTC")
    assert {schema.field(name).type for name in ("item_id", "position")} == {pa.int8()}
    assert schema.field("click").type == pa.bool_()
    assert schema.field("user_feature_0").type == pa.string()
    assert schema.field("user_item_affinity").type == pa.list_(pa.float32(), 34)


@pytest.mark.parametrize("split", ["random", "bts[:10%]", "random[9990:]+bts[-5:]"])
def test_plain_tfds_in_another_process_reads_the_same_rows(data_dir, split):
    wanted = adp.load(NAME, split=split, backend="arrow", data_dir=data_dir)
    found = through_tfds(data_dir, split)
    for field in wanted.schema:
        column = wanted[field.name]
        values = column.cast(pa.int64()) if pa.types.is_timestamp(field.type) else column
        assert found[field.name] == values.to_pylist(), field.name
