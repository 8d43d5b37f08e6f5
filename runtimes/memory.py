"""Free memory of a device, as the operating system, the container and the driver see it."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from ..errors import RuntimeUnavailableError

CGROUP = Path("/sys/fs/cgroup")
MEMINFO = Path("/proc/meminfo")


def free_memory(device: str, *, meminfo: Path = MEMINFO, cgroup: Path = CGROUP) -> int:
    """Bytes that are free on ``cpu`` or ``cuda``: on the host, the least of what machine and container leave.

    Raises:
        RuntimeUnavailableError: the device is not there, or nothing on this platform tells.
    """
    if device != "cpu":
        try:
            free = device_memory()
        except Exception as error:  # PyTorch and pycuda raise classes of their own
            raise RuntimeUnavailableError(
                f"nobody here can tell the free memory of {device} ({error})", "give a capacity"
            ) from error
        return int(free)
    bounds = [count for count in (machine_memory(meminfo), container_memory(cgroup)) if count is not None]
    if not bounds:
        raise RuntimeUnavailableError("this platform does not tell its free memory", "give a capacity")
    return min(bounds)


def device_memory() -> int:
    """What the driver says is free on the GPU, asked through pycuda, or PyTorch where there is no pycuda.

    In this order, since PyTorch's own builds find no GPU on a Jetson.
    """
    try:
        cuda = importlib.import_module("pycuda.driver")
    except ImportError:
        torch = importlib.import_module("torch")
        return int(torch.cuda.mem_get_info()[0])
    cuda.init()
    context = cuda.Device(0).retain_primary_context()
    context.push()
    try:
        return int(cuda.mem_get_info()[0])
    finally:
        context.pop()


def machine_memory(meminfo: Path) -> int | None:
    """What the kernel says can be had without swapping; where there is no such file, the free pages."""
    try:
        for line in meminfo.read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def container_memory(cgroup: Path) -> int | None:
    """What the container's limit leaves; None without one. Reads cgroup v2, then v1."""
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            most = int((cgroup / limit).read_text("ascii"))
            return max(0, most - int((cgroup / used).read_text("ascii")))
        except (OSError, ValueError):  # "max" is no number: there is no limit
            continue
    return None
