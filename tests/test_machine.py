"""What a process may use is what the system, its cgroups, its limits, its driver and its cluster leave it."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from ailab_dataproc import gpus
from ailab_dataproc.machine import free_memory, processors
from ailab_dataproc.sizing import Machine, Worker

CORES = len(os.sched_getaffinity(0))
GB = 10**9


def fake_machine(root, meminfo_kb=10**6, cgroup=""):
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable: {meminfo_kb} kB\n")
    if cgroup:
        (root / "proc/self/cgroup").write_text(cgroup)
    return str(root)


def group(root, path, **files):
    folder = root / "sys/fs/cgroup" / path
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_free_memory_is_what_the_system_has_available(tmp_path):
    assert free_memory(fake_machine(tmp_path, 1000)) == 1_024_000


def test_free_memory_keeps_within_the_cgroup_of_a_parent(tmp_path):
    root = fake_machine(tmp_path, cgroup="0::/job/step\n")
    for name, limit in (("job", "5000"), ("job/step", "max")):
        group(tmp_path, name, memory__max=limit, memory__current="4000", memory__stat="inactive_file 500\n")
    assert free_memory(root) == 5000 - 4000 + 500


def test_free_memory_keeps_below_the_mark_where_the_kernel_slows_a_group_down(tmp_path):
    root = fake_machine(tmp_path, cgroup="0::/job\n")
    group(tmp_path, "job", memory__max="9000", memory__high="5000", memory__current="4000")
    assert free_memory(root) == 1000


def test_free_memory_knows_the_first_version_of_cgroups(tmp_path):
    root = fake_machine(tmp_path, cgroup="4:memory:/job\n")
    group(tmp_path, "memory/job", memory__limit_in_bytes="5000", memory__usage_in_bytes="4000")
    assert free_memory(root) == 1000


def test_free_memory_finds_the_limit_of_a_container_whose_group_is_named_as_outside(tmp_path):
    root = fake_machine(tmp_path, cgroup="4:memory:/docker/abc\n")
    group(tmp_path, "memory", memory__limit_in_bytes="5000", memory__usage_in_bytes="4000")
    assert free_memory(root) == 1000


@pytest.mark.parametrize(("name", "left"), [("Max address space", 700 * 1024), ("Max data size", 900 * 1024)])
def test_free_memory_keeps_within_the_limits_of_the_process(tmp_path, name, left):
    root = fake_machine(tmp_path)
    (tmp_path / "proc/self/limits").write_text(f"{name:<25} {1000 * 1024:<20} unlimited            bytes\n")
    (tmp_path / "proc/self/status").write_text("Name:\tpython\nVmSize:\t 300 kB\nVmData:\t 100 kB\n")
    assert free_memory(root) == left


def test_free_memory_is_never_negative(tmp_path):
    root = fake_machine(tmp_path, cgroup="0::/job\n")
    group(tmp_path, "job", memory__max="10", memory__current="40")
    assert free_memory(root) == 0


def test_processors_are_those_that_the_process_is_bound_to(tmp_path):
    assert processors(fake_machine(tmp_path)) == CORES


@pytest.mark.parametrize(("quota", "wanted"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", CORES)])
def test_processors_keep_within_the_quota_of_a_parent(tmp_path, quota, wanted):
    root = fake_machine(tmp_path, cgroup="0::/job/step\n")
    group(tmp_path, "job", cpu__max=quota)
    group(tmp_path, "job/step", cpu__max="max 100000")
    assert processors(root) == wanted


@pytest.mark.parametrize(("quota", "wanted"), [("80000", 1), ("-1", CORES)])
def test_processors_know_the_first_version_of_cgroups(tmp_path, quota, wanted):
    root = fake_machine(tmp_path, cgroup="3:cpu,cpuacct:/job\n")
    group(tmp_path, "cpu,cpuacct/job", cpu__cfs_quota_us=quota, cpu__cfs_period_us="100000")
    assert processors(root) == wanted


TWO = (("GPU-aaaa-1",), ("GPU-aabb-2",))
SPLIT = (("GPU-cccc-3", "MIG-11", "MIG-12"), ("GPU-dddd-4",))


@pytest.mark.parametrize(
    ("asked", "known", "wanted"),
    [
        (None, TWO, ["GPU-aaaa-1", "GPU-aabb-2"]),
        ("1", TWO, ["GPU-aabb-2"]),
        ("1, 0", TWO, ["GPU-aabb-2", "GPU-aaaa-1"]),
        ("-1", TWO, []),
        ("0,-1,1", TWO, ["GPU-aaaa-1"]),
        ("0,7", TWO, ["GPU-aaaa-1"]),
        ("0,0", TWO, []),
        ("NoDevFiles", TWO, []),
        ("GPU-aab", TWO, ["GPU-aabb-2"]),
        ("GPU-aa", TWO, []),
        (None, SPLIT, ["MIG-11", "GPU-dddd-4"]),
        ("MIG-12", SPLIT, ["MIG-12"]),
        ("0", SPLIT, ["MIG-11"]),
        (None, (("GPU-eeee-5", ""),), []),
    ],
)
def test_a_process_sees_the_gpus_that_cuda_shows_it(asked, known, wanted):
    assert gpus.visible(asked, known) == wanted


class Nvml(SimpleNamespace):
    """NVIDIA's library, on a machine with a split GPU and a whole one."""

    NVML_DEVICE_MIG_ENABLE = 1
    NVMLError = OSError
    NVMLError_NotSupported = NotImplementedError
    NVMLError_NotFound = LookupError

    def __init__(self, **given):
        super().__init__(closed=0, **given)

    def nvmlInit(self):  # noqa: N802
        return None

    def nvmlShutdown(self):  # noqa: N802
        self.closed += 1

    def nvmlDeviceGetCount(self):  # noqa: N802
        return len(SPLIT)

    def nvmlDeviceGetHandleByIndex(self, i):  # noqa: N802
        return SPLIT[i][0]

    def nvmlDeviceGetUUID(self, handle):  # noqa: N802
        return handle

    def nvmlDeviceGetMigMode(self, handle):  # noqa: N802
        if handle != SPLIT[0][0]:
            raise NotImplementedError
        return [1, 1]

    def nvmlDeviceGetMaxMigDeviceCount(self, handle):  # noqa: N802
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle, i):  # noqa: N802
        if i not in (0, 3):
            raise LookupError
        return SPLIT[0][1 if i == 0 else 2]

    def nvmlDeviceGetName(self, handle):  # noqa: N802
        return f"card {handle}"

    def nvmlDeviceGetMemoryInfo(self, handle):  # noqa: N802
        return SimpleNamespace(total=40 * GB, free=30 * GB)


@pytest.fixture
def nvml(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    fake = Nvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    fake.__spec__ = SimpleNamespace(name="pynvml")
    return fake


def test_gpus_have_names_and_bytes_and_the_driver_is_let_go(nvml):
    found, reason = gpus.look()
    assert found[0] == gpus.Gpu("card MIG-11", "MIG-11", 40 * GB, 30 * GB)
    assert [one.uuid for one in found] == ["MIG-11", "GPU-dddd-4"]
    assert reason == ""
    assert nvml.closed == 1


def test_a_machine_has_the_free_bytes_of_its_gpus(nvml):
    assert Machine.here().gpus == (30 * GB, 30 * GB)


def test_hidden_gpus_are_told(nvml, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert gpus.look() == ((), "CUDA_VISIBLE_DEVICES=-1 shows none of 2")


def test_an_empty_list_of_gpus_is_told_without_the_driver(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus.look() == ((), "CUDA_VISIBLE_DEVICES is empty")


def test_a_missing_library_is_told(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert gpus.look() == ((), "pynvml isn't installed (pip install nvidia-ml-py)")


def test_a_missing_driver_is_told(nvml, monkeypatch):
    def fails():
        raise OSError("Driver Not Loaded")

    nvml.nvmlInit = fails
    assert Machine.here().no_gpu == "no NVIDIA driver (NVML: Driver Not Loaded)"


def test_no_cluster_is_looked_for_where_dask_was_not_imported(monkeypatch):
    monkeypatch.delitem(sys.modules, "distributed", raising=False)
    assert Machine(memory=1, cpus=1).with_cluster().cluster is None
    assert "distributed" not in sys.modules


@pytest.fixture(scope="module", params=[False, True], ids=["threads", "processes"])
def client(request):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=2, processes=request.param, memory_limit="1 GB", dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def test_a_cluster_has_the_memory_and_the_threads_of_its_workers(client):
    found = Machine.of(client)
    assert found.cpus == 4
    assert len(found.workers) == 2
    assert 0 < found.memory <= 2 * GB
    assert max(one.free for one in found.workers) <= GB
    assert found.address == client.scheduler.address


def test_a_cluster_says_why_it_has_no_gpu(client):
    found = Machine.of(client)
    assert bool(found.gpus) != bool(found.no_gpu)


def test_lazy_backends_work_on_the_connected_cluster_and_eager_ones_here(client):
    here = Machine.here().with_cluster()
    assert here.under("lazy").address == client.scheduler.address
    assert here.under("eager") is here


def test_a_cluster_without_a_worker_is_not_planned_for():
    here = Machine(memory=GB, cpus=2, cluster=Machine(memory=0, cpus=0, address="tcp://there:8786"))
    assert here.under("lazy") is here


def test_a_thread_has_its_share_of_the_memory_where_it_is_least():
    cluster = Machine(memory=3 * GB, cpus=5, workers=(Worker(2 * GB, 1), Worker(GB, 4)))
    assert cluster.a_thread(tasks=100) == GB // 4
    assert cluster.a_thread(tasks=1) == GB
    assert replace(cluster, workers=()).a_thread(tasks=2) == 3 * GB // 2
