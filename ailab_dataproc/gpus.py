"""The GPUs that this process may use, seen through NVML: no CUDA context is made, and no driver is no error."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ailab_dataproc.machine import free_memory


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU, or one MIG instance of it."""

    name: str
    uuid: str
    total: int  # bytes
    free: int  # bytes


def look() -> tuple[tuple[Gpu, ...], str]:
    """The visible GPUs and, where there is none, why.

    That cudf can be imported proves nothing: it imports without a driver.
    """
    asked = os.environ.get("CUDA_VISIBLE_DEVICES")
    if asked is not None and not asked.strip():
        return (), "CUDA_VISIBLE_DEVICES is empty"
    if importlib.util.find_spec("pynvml") is None:
        return (), "pynvml isn't installed (pip install nvidia-ml-py)"
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return (), f"no NVIDIA driver (NVML: {error})"
    try:
        return _visible(pynvml, asked)
    except pynvml.NVMLError as error:
        return (), f"the NVIDIA driver doesn't answer (NVML: {error})"
    finally:
        pynvml.nvmlShutdown()


def visible(asked: str | None, gpus: Sequence[Sequence[str]]) -> list[str]:
    """The UUIDs of what CUDA shows to a process, by the rules of CUDA_VISIBLE_DEVICES.

    Args:
        asked: its value, or None where it isn't set. Indices count in the order of the PCI bus, as with
            CUDA_DEVICE_ORDER=PCI_BUS_ID.
        gpus: of each GPU its UUID and, in MIG mode, those of its instances; of a GPU in MIG mode CUDA shows the first.
    """
    usable = [one[1] if len(one) > 1 else one[0] for one in gpus]
    if asked is None:
        return [uuid for uuid in usable if uuid]
    found: list[str] = []
    for token in asked.split(","):
        uuid = _named(token.strip(), gpus, usable)
        if not uuid:  # CUDA ignores what follows the first that it doesn't know
            break
        if uuid in found:  # and shows nothing where one is named twice
            return []
        found.append(uuid)
    return found


def _named(token: str, gpus: Sequence[Sequence[str]], usable: Sequence[str]) -> str:
    if token.isdigit():
        return usable[int(token)] if int(token) < len(usable) else ""
    near = [usable[i] for i, one in enumerate(gpus) if token.startswith("GPU-") and one[0].startswith(token)]
    near += [uuid for one in gpus for uuid in one[1:] if token.startswith("MIG-") and uuid.startswith(token)]
    return near[0] if len(near) == 1 else ""


def _visible(nvml: Any, asked: str | None) -> tuple[tuple[Gpu, ...], str]:
    handles: dict[str, Any] = {}
    known = []
    for i in range(nvml.nvmlDeviceGetCount()):
        gpu = nvml.nvmlDeviceGetHandleByIndex(i)
        uuids = [_uuid(nvml, one) if one is not None else "" for one in (gpu, *_instances(nvml, gpu))]
        handles |= dict(zip(uuids, (gpu, *_instances(nvml, gpu)), strict=True))
        known.append(uuids)
    found = tuple(_describe(nvml, handles[uuid], uuid) for uuid in visible(asked, known))
    if found:
        return found, ""
    if asked is not None and known:
        return (), f"CUDA_VISIBLE_DEVICES={asked} shows none of {len(known)}"
    return (), "the NVIDIA driver shows none"


def _instances(nvml: Any, gpu: Any) -> list[Any]:
    """The MIG instances of a GPU; one that is None where the GPU is in MIG mode and has none."""
    try:
        if nvml.nvmlDeviceGetMigMode(gpu)[0] != nvml.NVML_DEVICE_MIG_ENABLE:
            return []
    except nvml.NVMLError_NotSupported:
        return []
    found = []
    for i in range(nvml.nvmlDeviceGetMaxMigDeviceCount(gpu)):
        try:
            found.append(nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, i))
        except nvml.NVMLError_NotFound:  # instances may leave gaps
            continue
    return found or [None]


def _describe(nvml: Any, handle: Any, uuid: str) -> Gpu:
    name = nvml.nvmlDeviceGetName(handle)
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        total, free = int(memory.total), int(memory.free)
    except nvml.NVMLError_NotSupported:  # its memory is the machine's
        total = free = free_memory()
    return Gpu(name.decode() if isinstance(name, bytes) else name, uuid, total, free)


def _uuid(nvml: Any, handle: Any) -> str:
    uuid = nvml.nvmlDeviceGetUUID(handle)
    return uuid.decode() if isinstance(uuid, bytes) else str(uuid)
