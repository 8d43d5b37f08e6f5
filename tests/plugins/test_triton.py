"""The Triton kernels: right on a CPU by Triton's interpreter, and compiled for GPUs that are not here."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from framestate.plugins.forms import FORMS
from framestate.plugins.state_rows import StateRows, gathering

CASES = Path(__file__).with_name("triton_cases.py")
CLOSE = 1e-5  # float32, relative to the largest magnitude
HALF = 1e-2  # bfloat16 keeps eight bits
HUGE_GATES = 2e-2  # of an exponent of 10,000, float32 keeps three decimals

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")


def run_cases(device: str, **environment: str) -> dict[str, float]:
    """The error of every case, from a process of its own: see ``triton_cases``."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::RuntimeWarning", str(CASES), device],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    errors: dict[str, float] = json.loads(done.stdout)
    return errors


def too_large(errors: dict[str, float]) -> dict[str, float]:
    def limit(name: str) -> float:
        return HALF if "bfloat16" in name else HUGE_GATES if "input gates" in name else CLOSE

    return {name: error for name, error in errors.items() if not error <= limit(name)}


def test_the_kernels_agree_with_the_references_in_the_interpreter() -> None:
    errors = run_cases("cpu", TRITON_INTERPRET="1", OMP_NUM_THREADS="1")
    assert len(errors) > 60
    assert too_large(errors) == {}


@pytest.mark.gpu
def test_the_kernels_agree_with_the_references_on_a_gpu() -> None:
    assert too_large(run_cases("cuda", TRITON_INTERPRET="0")) == {}


ROWS = {"read": "*i32", "write": "*i32"}
"""Of states in resident memory."""

KERNELS: list[tuple[str, dict[str, Any]]] = [
    ("causal_conv1d", {"time": 256, "channels": 384}),
    ("selective_scan", {"channels": 384, "states": 16}),
    ("ssd_scan", {"time": 256, "channels": 64, "states": 32}),
    ("mlstm_scan", {"keys": 64, "values": 64}),
    ("diagonal_scan", {"channels": 384}),
    ("gated_scan", {"keys": 64, "values": 64}),
]
CONSTANTS: dict[str, dict[str, Any]] = {
    "causal_conv1d": {"TAPS": 4, "SILU": True},
    "diagonal_scan": {"PAIRS": True},
    "gated_scan": {"DELTA": True},
}


@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="the interpreter compiles nothing")
@pytest.mark.parametrize("capability", [87, 90])
@pytest.mark.parametrize(("dtype", "rows"), [("fp32", {}), ("fp16", {}), ("fp32", ROWS)])
@pytest.mark.parametrize(("operator", "sizes"), KERNELS)
def test_a_kernel_compiles_ahead_of_time(
    operator: str,
    sizes: dict[str, int],
    dtype: str,
    rows: dict[str, str],
    capability: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For Orin (87) and H100 and H200 (90), with no GPU and no driver."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    launch = importlib.import_module("framestate.plugins.triton_launch")
    module = importlib.import_module(f"framestate.plugins.{operator}.triton_kernel")
    kernel = getattr(module, f"{operator}_kernel")
    constants = module.blocks(**sizes) | CONSTANTS.get(operator, {})
    warps = module.warps(sizes["keys"]) if operator == "mlstm_scan" else module.WARPS
    compiled = launch.compile_ahead(
        kernel, {**module.ARGUMENTS, **rows}, constants, capability=capability, dtype=dtype, warps=warps
    )
    assert f".target sm_{capability}" in compiled.asm["ptx"]
    assert f".entry {operator}_kernel" in compiled.asm["ptx"]
    assert compiled.asm["cubin"][:4] == b"\x7fELF"  # Triton's wheel brings ptxas
    assert compiled.metadata.shared <= 96 * 1024  # a block of either GPU may have that much


@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="the interpreter compiles nothing")
@pytest.mark.parametrize("capability", [87, 90])
@pytest.mark.parametrize("keys", [64, 192])
def test_the_mlstm_fits_into_registers(
    keys: int, capability: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes of registers that ptxas spills; one product over all of 192 keys spilled 2 KB a thread."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    launch = importlib.import_module("framestate.plugins.triton_launch")
    module = importlib.import_module("framestate.plugins.mlstm_scan.triton_kernel")
    compiled = launch.compile_ahead(
        module.mlstm_scan_kernel, module.ARGUMENTS, module.blocks(keys, keys), capability=capability,
        warps=module.warps(keys),
    )  # fmt: skip
    (tmp_path / "kernel.ptx").write_text(compiled.asm["ptx"])
    target = re.search(r"^\.target (sm_\w+)", compiled.asm["ptx"], re.MULTILINE)
    assert target
    ptxas = importlib.import_module("triton").knobs.nvidia.ptxas.path
    told = subprocess.run(
        [ptxas, f"-arch={target[1]}", "-v", "-o", str(tmp_path / "cubin"), str(tmp_path / "kernel.ptx")],
        capture_output=True, text=True, check=True,
    ).stderr  # fmt: skip
    (spilled,) = re.findall(r"(\d+) bytes spill stores", told)
    assert int(spilled) == 0, told


def rows(operator: str, dtype: torch.dtype) -> list[torch.Tensor]:
    shapes: dict[str, list[tuple[int, ...]]] = {
        "causal_conv1d": [(1, 3, 4), (4, 4)],
        "selective_scan": [(1, 3, 4), (1, 3, 4), (4, 2), (1, 3, 2), (1, 3, 2)],
        "ssd_scan": [(1, 3, 2, 4), (1, 3, 2), (2,), (1, 3, 1, 4), (1, 3, 1, 4)],
        "mlstm_scan": [(1, 3, 2, 4), (1, 3, 2, 4), (1, 3, 2, 4), (1, 3, 2), (1, 3, 2)],
        "diagonal_scan": [(1, 3, 4), (1, 3, 4)],
        "gated_scan": [(1, 3, 2, 4), (1, 3, 2, 4), (1, 3, 2, 4), (1, 3, 2, 4)],
    }
    return [torch.zeros(shape, dtype=dtype) for shape in shapes[operator]]


@pytest.mark.parametrize("operator", [row.operator for row in FORMS])
def test_a_kernel_refuses_what_it_cannot_do(operator: str) -> None:
    scan = importlib.import_module(f"framestate.plugins.{operator}.triton_kernel").load()
    with pytest.raises(ValueError, match=r"torch.float64; its Triton kernel takes float32"):
        scan(*rows(operator, torch.float64))
    wants_gradients = [tensor.requires_grad_() for tensor in rows(operator, torch.float32)]
    with pytest.raises(RuntimeError, match="has no backward pass"):
        scan(*wants_gradients)
    with pytest.raises(ValueError, match="must be"):
        scan(*rows(operator, torch.float32)[:-1], torch.zeros(9))


def indices(*rows: int) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.int32)


@pytest.mark.parametrize("operator", [row.operator for row in FORMS if row.operator != "mlstm_scan"])
def test_rows_that_do_not_fit_are_refused(operator: str) -> None:
    scan = importlib.import_module(f"framestate.plugins.{operator}.triton_kernel").load()
    given = rows(operator, torch.float32)
    for wrong in (StateRows(torch.zeros(5, 9), indices(0)), StateRows(torch.zeros(5, 4, 3), indices(0, 1))):
        with pytest.raises(ValueError, match=rf"the rows of state are .*; {operator} takes"):
            scan(*given, state=wrong)
        with pytest.raises(ValueError, match=rf"the rows of into are .*; {operator} takes"):
            scan(*given, into=wrong)


def test_an_mlstm_does_not_write_where_it_reads() -> None:
    scan = importlib.import_module("framestate.plugins.mlstm_scan.triton_kernel").load()
    shapes, index = [(5, 2, 4, 4), (5, 2, 4), (5, 2)], indices(0)
    three = tuple(StateRows(torch.zeros(shape), index) for shape in shapes)
    with pytest.raises(ValueError, match="cannot write into the memory that it reads"):
        scan(*rows("mlstm_scan", torch.float32), state=three, into=three)
    other = tuple(StateRows(torch.zeros(shape), indices(0)) for shape in shapes)
    with pytest.raises(ValueError, match="must be rows of one index"):
        scan(*rows("mlstm_scan", torch.float32), state=other)


def test_rows_are_gathered_for_forms_that_take_batches() -> None:
    pool = torch.arange(12.0).reshape(4, 3)
    sparse = StateRows(pool, indices(2, -1, 0))
    assert sparse.gathered().tolist() == [[6, 7, 8], [0, 0, 0], [0, 1, 2]]
    seen = gathering(lambda *given, **named: (given, named))(1, (sparse, None), state=sparse)
    (one, (batch, nothing)), named = seen
    assert (one, nothing) == (1, None)
    assert torch.equal(batch, named["state"])
    sparse.scatter(torch.ones(3, 3))
    assert pool.tolist() == [[1, 1, 1], [3, 4, 5], [1, 1, 1], [9, 10, 11]]
    with pytest.raises(ValueError, match=r"index is torch\.int64"):
        StateRows(pool, torch.tensor([0]))
    with pytest.raises(ValueError, match="is not contiguous"):
        StateRows(pool.T, indices(0))
