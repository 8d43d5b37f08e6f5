"""Runs the Triton kernels against the float64 references and prints the errors as JSON: a script, not a test.

It is a process of its own because TRITON_INTERPRET=1, with which kernels run on a CPU, has to be set before
triton is imported and changes what every kernel is. ``python triton_cases.py cuda`` runs compiled kernels.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from framestate.plugins import reference_operators
from framestate.plugins.cases import CONFIGURATIONS, Configuration, doubled, error_by_step
from framestate.plugins.causal_conv1d.triton_kernel import causal_conv1d_triton
from framestate.plugins.diagonal_scan.triton_kernel import diagonal_scan_triton
from framestate.plugins.gated_scan.triton_kernel import gated_scan_triton
from framestate.plugins.mlstm_scan.reference import EMPTY
from framestate.plugins.mlstm_scan.triton_kernel import mlstm_scan_triton
from framestate.plugins.selective_scan.triton_kernel import selective_scan_triton
from framestate.plugins.ssd_scan.triton_kernel import ssd_scan_triton
from framestate.plugins.state_rows import NO_ROW, StateRows
from torch import Tensor

KERNELS: dict[str, Callable[..., Any]] = {
    "causal_conv1d": causal_conv1d_triton,
    "diagonal_scan": diagonal_scan_triton,
    "gated_scan": gated_scan_triton,
    "mlstm_scan": mlstm_scan_triton,
    "selective_scan": selective_scan_triton,
    "ssd_scan": ssd_scan_triton,
}
Inputs = list[Tensor]


@dataclass
class Case:
    """One operator, its inputs in order, and its state; both in float32 unless ``dtype`` says otherwise."""

    name: str
    operator: str
    inputs: Inputs
    state: Any = None
    dtype: torch.dtype = torch.float32
    options: dict[str, Any] = field(default_factory=dict)
    cut: int | None = None
    """Where the run is cut in two, the second from the state that the first left."""


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape)


def conv(time: int, channels: int = 10, taps: int = 4) -> tuple[Inputs, Tensor]:
    inputs = [normal(2, time, channels), normal(channels, taps), normal(channels)]
    return inputs, normal(2, channels, taps - 1)


def selective(time: int, channels: int = 11, states: int = 5) -> tuple[Inputs, Tensor]:
    rates = -8 * torch.rand(channels, states)
    steps = torch.rand(2, time, channels)
    inputs = [normal(2, time, channels), steps, rates, normal(2, time, states), normal(2, time, states)]
    return inputs, normal(2, channels, states)


def ssd(time: int, heads: int = 4, channels: int = 20, states: int = 5) -> tuple[Inputs, Tensor]:
    keys, queries = normal(2, time, 2, states), normal(2, time, 2, states)
    inputs = [
        normal(2, time, heads, channels),
        torch.rand(2, time, heads),
        -8 * torch.rand(heads),
        keys,
        queries,
    ]
    return inputs, normal(2, heads, states, channels)


def mlstm(time: int, keys: int = 20, values: int = 17) -> tuple[Inputs, tuple[Tensor, Tensor, Tensor]]:
    rows = [normal(2, time, 2, keys), normal(2, time, 2, keys), normal(2, time, 2, values)]
    gates = [3 * normal(2, time, 2), 3 * normal(2, time, 2) + 3]
    return rows + gates, (normal(2, 2, keys, values), normal(2, 2, keys), normal(2, 2))


def diagonal(time: int, channels: int = 70) -> tuple[Inputs, Tensor]:
    return [normal(2, time, channels), -torch.rand(2, time, channels)], normal(2, channels)


def gated(time: int, keys: int = 20, values: int = 17) -> tuple[Inputs, Tensor]:
    rows = [normal(2, time, 2, keys), normal(2, time, 2, keys), normal(2, time, 2, values)]
    return [*rows, -torch.rand(2, time, 2, keys)], normal(2, 2, keys, values)


MAKE: dict[str, Callable[..., tuple[Inputs, Any]]] = {
    "causal_conv1d": conv,
    "mlstm_scan": mlstm,
    "selective_scan": selective,
    "ssd_scan": ssd,
    "diagonal_scan": diagonal,
    "gated_scan": gated,
}


def ordinary(*operators: str) -> Iterator[Case]:
    for operator in operators:
        make = MAKE[operator]
        for time in (1, 2, 37, 70):
            yield Case(f"{operator} of {time} steps", operator, *make(time))
        yield Case(f"{operator} from nothing", operator, make(20)[0])
        yield Case(f"{operator} cut in two", operator, *make(45), cut=19)
        yield Case(f"{operator} in bfloat16", operator, *make(20), dtype=torch.bfloat16)
        inputs, state = make(20)
        strided = [tensor.transpose(0, -1).contiguous().transpose(0, -1) for tensor in inputs]
        yield Case(f"{operator} not contiguous", operator, strided, state)


def cases() -> Iterator[Case]:
    yield from ordinary("causal_conv1d", "mlstm_scan", "selective_scan", "ssd_scan")
    yield Case("causal_conv1d of 6 taps", "causal_conv1d", *conv(3, taps=6))
    yield Case("causal_conv1d of 1 tap", "causal_conv1d", *conv(5, taps=1))
    yield Case("causal_conv1d without SiLU", "causal_conv1d", *conv(9), options={"silu": False})
    yield Case("causal_conv1d without bias", "causal_conv1d", conv(9)[0][:2])
    yield Case("selective_scan of 16 states", "selective_scan", *selective(9, channels=20, states=16))
    yield Case("ssd_scan of 64 by 64", "ssd_scan", *ssd(20, channels=64, states=64))
    yield Case("mlstm_scan of 192 by 192", "mlstm_scan", *mlstm(20, keys=192, values=192))
    yield Case("mlstm_scan with eps", "mlstm_scan", *mlstm(9), options={"eps": 0.5})
    for step in (0.0, 1e-6, 1e3):
        (x, dt, a, b, c), state = ssd(40)
        yield Case(f"ssd_scan with steps {step:g}", "ssd_scan", [x, dt * 0 + step, a, b, c], state)
        (x, dt, a, b, c), state = selective(40)
        yield Case(
            f"selective_scan with steps {step:g}", "selective_scan", [x, dt * 0 + step, a, b, c], state
        )
    for gate in (-1e4, 1e4):
        (q, k, v, i, f), _ = mlstm(40)
        yield Case(f"mlstm_scan with input gates {gate:g}", "mlstm_scan", [q, k, v, i + gate, f])
        yield Case(f"mlstm_scan with forget gates {gate:g}", "mlstm_scan", [q, k, v, i, f * 0 + gate])
    yield from ordinary("diagonal_scan", "gated_scan")
    for operator, make in MAKE.items():
        yield Case(f"{operator} of no steps", operator, *make(0))


def parts(outputs: Any) -> list[Tensor]:
    y, final = outputs
    return [y, *final] if isinstance(final, tuple) else [y, final]


def mapped(change: Callable[[Tensor], Tensor], state: Any) -> Any:
    if state is None:
        return None
    return tuple(change(part) for part in state) if isinstance(state, tuple) else change(state)


def run_kernel(case: Case, inputs: Inputs, state: Any) -> list[Tensor]:
    kernel = KERNELS[case.operator]
    if case.cut is None:
        return parts(kernel(*inputs, state=state, **case.options))
    time = inputs[0].shape[1]
    moving = [tensor.dim() > 2 and tensor.shape[1] == time for tensor in inputs]

    def cut(start: int, end: int) -> Inputs:
        return [one[:, start:end] if moves else one for one, moves in zip(inputs, moving, strict=True)]

    first, middle = kernel(*cut(0, case.cut), state=state, **case.options)
    second, final = kernel(*cut(case.cut, time), state=middle, **case.options)
    return parts((torch.cat([first, second], dim=1), final))


def error(case: Case, device: str) -> float:
    """The largest difference over the largest magnitude, of outputs and states; inf if one is no number."""
    keeps_inputs = case.operator == "causal_conv1d"  # whose state is made of inputs, and has their type
    inputs = [tensor.to(device, case.dtype) for tensor in case.inputs]
    state = mapped(lambda part: part.to(device, case.dtype if keeps_inputs else torch.float32), case.state)
    before = mapped(torch.clone, state)
    found = run_kernel(case, inputs, state)
    reference = getattr(reference_operators(), case.operator)
    exact = [tensor.double() for tensor in inputs]
    wanted = parts(reference(*exact, state=mapped(torch.Tensor.double, state), **case.options))
    if state is not None and any(
        not torch.equal(one, other)
        for one, other in zip(parts((inputs[0], before)), parts((inputs[0], state)), strict=True)
    ):
        return float("inf")  # it wrote into the state that it was given
    worst = 0.0
    for one, other in zip(found, wanted, strict=True):
        if one.shape != other.shape or not torch.isfinite(one).all():
            return float("inf")
        if other.numel():
            scale = other.abs().max().clamp_min(1e-30)
            worst = max(worst, ((one.double() - other).abs().max() / scale).item())
    return worst


READ = [4, NO_ROW, 1, 2, NO_ROW]
WRITE = [4, 3, NO_ROW, 0, NO_ROW]
"""Rows of a memory of six: in place, elsewhere, and none, for reading, for writing and for both."""


def resident(time: int, operator: str, device: str, in_place: bool) -> float:
    """How far rows by index are from a gather, a step and a scatter by the same kernel; 0 where equal.

    inf where a row has changed that was not written.
    """
    batch = len(READ)
    inputs = [one.repeat(3, *(1 for _ in one.shape[1:]))[:batch] if one.dim() > 2 else one
              for one in MAKE[operator](time)[0]]  # fmt: skip
    inputs = [(one + 0.1 * torch.rand_like(one) if one.dim() > 2 else one).to(device) for one in inputs]
    several = operator == "mlstm_scan"
    shapes = parts((torch.empty(0), MAKE[operator](time)[1]))[1:]
    pools = [torch.randn(6, *part.shape[1:], device=device) for part in shapes]
    targets = pools if in_place else [torch.randn_like(pool) for pool in pools]
    before = [target.clone() for target in targets]
    read, write = (torch.tensor(rows, dtype=torch.int32, device=device) for rows in (READ, WRITE))
    if in_place:
        write = read
    sources = [StateRows(pool, read) for pool in pools]
    into = [StateRows(target, write) for target in targets]
    kernel = KERNELS[operator]
    empty = [0.0, 0.0, EMPTY]
    gathered = [rows.gathered(empty[place] if several else 0.0) for place, rows in enumerate(sources)]
    y, final = kernel(*inputs, state=tuple(gathered) if several else gathered[0])
    for target, one in zip(before, parts((y, final))[1:], strict=True):
        StateRows(target, write).scatter(one)
    found, _ = kernel(
        *inputs, state=tuple(sources) if several else sources[0], into=tuple(into) if several else into[0]
    )
    same = all(torch.equal(one, other) for one, other in zip([y, *before], [found, *targets], strict=True))
    return 0.0 if same else float("inf")


def resident_cases(device: str) -> dict[str, float]:
    """Rows by index of every operator, of few steps and of many, into other memory and in place."""
    found = {}
    for operator in MAKE:
        for time in (1, 3, 37):
            found[f"{operator} of {time} steps in rows"] = resident(time, operator, device, False)
            if operator != "mlstm_scan":
                found[f"{operator} of {time} steps in place"] = resident(time, operator, device, True)
    return found


def configured(case: Configuration, device: str, time: int, spike: float) -> float:
    """The error of a configuration, with one huge step or none."""
    tensors = case.draw(time, spike=spike, B=2, P=20, N=5, K=20, V=17)
    found = case.call(KERNELS[case.operator], {name: one.to(device) for name, one in tensors.items()})
    wanted = case.call(getattr(reference_operators(), case.operator), doubled(tensors))
    return error_by_step(tuple(one.cpu() for one in found), wanted)


def configured_cases(device: str) -> dict[str, float]:
    """Every configuration of every operator, alone and beside huge steps."""
    spikes = (
        (0.0, 1e3, 1e5, 1e6) if device == "cuda" else (0.0, 1e6)
    )  # the interpreter takes seconds for each
    return {
        f"{case.label} with a spike of {spike:g}": configured(case, device, 64 if spike == 0 else 256, spike)
        for case in CONFIGURATIONS
        for spike in (*spikes, *([math.inf] if case.shuts else []))
    }


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    device = sys.argv[1] if len(sys.argv) > 1 else "cpu"
    with torch.inference_mode():
        errors = {case.name: error(case, device) for case in cases()}
        print(json.dumps(errors | resident_cases(device) | configured_cases(device)))  # noqa: T201


if __name__ == "__main__":
    main()
