"""A plain script: a group-by with Dask, wherever it runs."""

import sys
import time
from pathlib import Path

import ailab_dataproc as adp


def slowly(part, folder):
    (Path(folder) / "computing").touch()
    time.sleep(0.5)
    return part


if __name__ == "__main__":
    with adp.connect():
        clicks = adp.load("test/clicks", split="train", backend="dask")
        parts = clicks.repartition(npartitions=8).map_partitions(slowly, sys.argv[1], meta=clicks._meta)
        counted = parts.groupby("word")["price"].agg(["count", "sum"]).compute().sort_index()
    counted.to_csv(Path(sys.argv[1]) / sys.argv[2])
    print(len(counted), "words")
