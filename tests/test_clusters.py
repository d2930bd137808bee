"""Clusters that this package starts or uses: from a plain script, and with workers that lack what GPUs need."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import textwrap

from ailab_dataproc.backends.dask_cudf import uninstalled

SCRIPT = """
    from ailab_dataproc.cluster import connect

    def double(x):
        return 2 * x

    with connect({config!r}) as client:
        print(client.submit(double, 21).result())
    print(__spec__)
"""


def test_a_script_without_a_main_guard_can_start_a_cluster(tmp_path):
    config, script = tmp_path / "two.yaml", tmp_path / "script.py"
    config.write_text("cluster: distributed:LocalCluster\noptions: {n_workers: 2, dashboard_address: null}\n")
    script.write_text(textwrap.dedent(SCRIPT).format(config=str(config)))
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    assert done.stdout.split() == ["42", "None"], done.stderr


def test_a_worker_without_cudf_is_named_with_what_to_do():
    from dask.distributed import Client, LocalCluster

    with LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster, Client(cluster):
        found = uninstalled()
    if importlib.util.find_spec("cudf") and importlib.util.find_spec("dask_cudf"):
        assert found is None
    else:
        assert "of the connected Dask cluster has no cudf" in found
        assert "pip install 'ailab_dataproc[gpu]' there, or close the client" in found
