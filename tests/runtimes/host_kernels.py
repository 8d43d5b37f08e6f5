"""Kernels' sources as functions of the host, by its own C compiler."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

HOST = """
static __thread unsigned bx, by, bz, tx, nb, nt;
#define BLOCK_X bx
#define BLOCK_Y by
#define BLOCK_Z bz
#define BLOCKS nb
#define THREADS nt
#define THREAD tx
#define __kernel
#define __global
"""


def on_host(source: Path, launch: str, folder: Path) -> Any:
    """The function ``launch`` of C text that goes on from a kernel's source; skips without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    (folder / "kernel.c").write_text(HOST + source.read_text() + launch)
    library = folder / "kernel.so"
    command = [compiler, "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-o", str(library)]
    subprocess.run([*command, str(folder / "kernel.c")], check=True, capture_output=True)
    return ctypes.CDLL(str(library)).launch
