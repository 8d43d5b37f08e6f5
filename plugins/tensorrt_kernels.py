"""The kernels of the TensorRT plugins: the Triton ones, compiled ahead of time, their arguments in order."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import triton

from .tensorrt_rules import MOST_SHARED, PluginKernel, PluginRules
from .triton_launch import compile_ahead

INSTALLED = Path("/usr/local/cuda/bin/ptxas")


def compile_kernel(
    plugin: ModuleType,
    shapes: Sequence[Sequence[int]],
    types: Sequence[str],
    attributes: Mapping[str, float],
    *,
    capability: int,
) -> PluginKernel:
    """Compiles a plugin's kernel; no GPU is needed.

    Args:
        plugin: one of ``plugin_modules()``.
        shapes, types: of the inputs; the batch and the steps may be open.
        attributes: of the node.
        capability: 87 for Orin, 90 for H100 and H200.

    Raises:
        ValueError: the inputs do not fit, or the kernel needs what a plugin cannot give it.
    """
    rules: PluginRules = plugin.RULES
    kind, sizes = rules.kind(types), rules.fixed(shapes)
    launch = plugin.launch(sizes, attributes)
    with assembler_of_here():
        compiled = compile_ahead(
            launch.kernel, launch.arguments, launch.constants, capability=capability, dtype=kind,
            warps=launch.warps,
        )  # fmt: skip
    found = compiled.metadata
    if found.shared > MOST_SHARED or found.global_scratch_size or found.profile_scratch_size:
        raise ValueError(
            f"the kernel of {rules.name} needs {found.shared} bytes of shared memory and "
            f"{found.global_scratch_size} of scratch; a plugin has {MOST_SHARED} and none"
        )
    return PluginKernel(
        name=found.name,
        ptx=arrange(compiled.asm["ptx"], found.name, tuple(launch.arguments), rules.order),
        threads=32 * launch.warps,
        shared=found.shared,
        grid=launch.grid,
        scalars=tuple(sizes[letter] for letter in rules.scalars.values()),
    )


def arrange(ptx: str, name: str, arguments: Sequence[str], order: Sequence[str]) -> str:
    """A kernel's PTX with its arguments in another order.

    PTX refers to arguments by name, so it is enough to declare them in another order. Triton adds pointers to
    scratch memory at the end; they go, if nothing reads them. Line information, which holds paths of the
    machine that compiled, goes too.

    Raises ValueError where the PTX is not as expected.
    """
    entry = re.search(rf"(\.entry {re.escape(name)}\(\n)(.*?)(\n\))", ptx, re.DOTALL)
    if entry is None or sorted(arguments) != sorted(order):
        raise ValueError(f"the PTX of {name} does not declare the arguments {', '.join(order)}")
    declared = [line.strip().rstrip(",") for line in entry[2].splitlines()]
    body = ptx[entry.end() :]
    extra = declared[len(arguments) :]
    for line in extra:
        if re.search(rf"\b{re.escape(line.split()[-1])}\b", body):
            raise ValueError(f"{name} reads an argument that Triton added ({line})")
    places = {argument: place for place, argument in enumerate(arguments)}
    listed = ",\n".join("\t" + declared[places[argument]] for argument in order)
    return strip_lines(ptx[: entry.start()] + entry[1] + listed + entry[3] + body)


def strip_lines(ptx: str) -> str:
    """PTX without line information."""
    code = re.sub(r"\n\t\.section\s+\.debug_\w+\s*\n?\t?\{.*?\n\t?\}", "", ptx, flags=re.DOTALL)
    return "\n".join(line for line in code.splitlines() if not re.match(r"\s*\.(loc|file)\s", line)) + "\n"


@contextmanager
def assembler_of_here() -> Iterator[None]:
    """Lets Triton write for, and assemble by, the ``ptxas`` of the CUDA that is installed, if there is one.

    The one in Triton's wheel can be newer than the driver: JetPack 6 has CUDA 12.6, and takes neither the PTX
    nor the machine code of a later one for granted. ``TRITON_PTXAS_PATH`` names another.
    """
    knobs = triton.knobs.nvidia
    with knobs.scope():
        if INSTALLED.is_file() and not os.environ.get("TRITON_PTXAS_PATH"):
            knobs.ptxas = str(INSTALLED)
        yield


def assemble(ptx: str) -> bytes:
    """PTX as the machine code (cubin) of the GPU that it names.

    Raises ValueError where it does not assemble.
    """
    target = re.search(r"^\.target (sm_\w+)", ptx, re.MULTILINE)
    if target is None:
        raise ValueError("the PTX names no GPU to assemble it for")
    with tempfile.TemporaryDirectory() as folder, assembler_of_here():
        source, result = Path(folder, "kernel.ptx"), Path(folder, "kernel.cubin")
        source.write_text(ptx, encoding="ascii")
        tool = [triton.knobs.nvidia.ptxas.path, f"--gpu-name={target[1]}", str(source), "-o", str(result)]
        done = subprocess.run(tool, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ValueError(f"ptxas refuses the PTX ({done.stderr.strip()[-300:]})")
        return result.read_bytes()
