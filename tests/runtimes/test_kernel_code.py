"""The PTX of our own kernels: that of their sources, and good for GPUs from compute capability 7.5 on."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from framestate.runtimes import device_crops, tensorrt_device

KERNELS = (tensorrt_device.KERNEL, tensorrt_device.MIX, device_crops.KERNEL)


@pytest.mark.parametrize("capability", [75, 87, 90, 100])
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda path: path.stem)
def test_the_code_assembles(tmp_path: Path, kernel: Path, capability: int) -> None:
    """By Triton's assembler; the driver has one of its own."""
    pytest.importorskip("triton")
    from triton import knobs

    command = [
        knobs.nvidia.ptxas.path, f"-arch=sm_{capability}", "-v", "-o", str(tmp_path / "cubin"), str(kernel)
    ]  # fmt: skip
    told = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    spilt = re.findall(r"(\d+) bytes spill", told)
    assert spilt
    assert set(spilt) == {"0"}, told


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda path: path.stem)
def test_the_code_is_that_of_the_source(tmp_path: Path, kernel: Path) -> None:
    """Compiled anew, where clang of the same version is at hand."""
    if shutil.which("clang") is None:
        pytest.skip("there is no clang")
    source = kernel.with_suffix(".cl")
    text = source.read_text().partition("*/")[0]
    command = " ".join(line.strip().rstrip("\\") for line in text.splitlines() if line[:5] == "     ")
    command = command.replace(f"-o {kernel.name} {source.name}", f"-o {tmp_path / 'again.ptx'} {source}")
    version = subprocess.run(["clang", "--version"], check=True, capture_output=True, text=True).stdout
    if "version 14." not in version:
        pytest.skip("another clang gives other text")
    subprocess.run(command, shell=True, check=True, capture_output=True)
    assert (tmp_path / "again.ptx").read_text() == kernel.read_text()
