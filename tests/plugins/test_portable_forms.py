"""The portable forms of the Mamba-2 scan and the convolution, in float64, against their references.

Those of the other two operators are tested beside their chunked forms.
"""

from __future__ import annotations

import pytest
import torch
from framestate.plugins.causal_conv1d import causal_conv1d_portable, causal_conv1d_reference
from framestate.plugins.ssd_scan import ssd_scan_portable, ssd_scan_reference
from torch import Tensor

EXACT = 1e-12


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def error(found: Tensor, wanted: Tensor) -> float:
    return ((found - wanted).abs().max() / wanted.abs().max().clamp_min(1e-300)).item()


def scan_inputs(time: int, groups: int = 2) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    x, dt, a = normal(2, time, 4, 3, seed=0), normal(2, time, 4, seed=1).abs(), -normal(4, seed=2).abs()
    b, c = normal(2, time, groups, 5, seed=3), normal(2, time, groups, 5, seed=4)
    return x, dt, a, b, c, normal(2, 4, 5, 3, seed=5)


@pytest.mark.parametrize("time", [1, 31, 32, 33, 100])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_the_scan(time: int, groups: int) -> None:
    x, dt, a, b, c, state = scan_inputs(time, groups)
    for start in (None, state):
        y, final = ssd_scan_portable(x, dt, a, b, c, start)
        wanted, wanted_final = ssd_scan_reference(x, dt, a, b, c, start)
        assert y.shape == wanted.shape
        assert error(y, wanted) <= EXACT
        assert error(final, wanted_final) <= EXACT


def test_a_scan_that_is_cut() -> None:
    x, dt, a, b, c, state = scan_inputs(50)
    wanted, wanted_final = ssd_scan_reference(x, dt, a, b, c, state)
    ys = []
    for part in (slice(0, 7), slice(7, 8), slice(8, 50)):
        y, state = ssd_scan_portable(x[:, part], dt[:, part], a, b[:, part], c[:, part], state)
        ys.append(y)
    assert error(torch.cat(ys, dim=1), wanted) <= EXACT
    assert error(state, wanted_final) <= EXACT


@pytest.mark.parametrize("step", [0.0, 1e-8, 1e3, 1e8])
def test_extreme_steps_stay_finite_and_right(step: float) -> None:
    x, dt, a, b, c, state = scan_inputs(40)
    y, final = ssd_scan_portable(x, torch.full_like(dt, step), a, b, c, state)
    wanted, wanted_final = ssd_scan_reference(x, torch.full_like(dt, step), a, b, c, state)
    assert error(y, wanted) <= EXACT
    assert error(final, wanted_final) <= EXACT


@pytest.mark.parametrize("time", [1, 2, 9])
@pytest.mark.parametrize("taps", [1, 2, 4])
@pytest.mark.parametrize("silu", [True, False])
def test_the_convolution(time: int, taps: int, silu: bool) -> None:
    x, weight, bias = normal(2, time, 6, seed=0), normal(6, taps, seed=1), normal(6, seed=2)
    for start in (None, normal(2, 6, taps - 1, seed=3)):
        y, final = causal_conv1d_portable(x, weight, bias, start, silu=silu)
        wanted, wanted_final = causal_conv1d_reference(x, weight, bias, start, silu=silu)
        assert y.shape == wanted.shape
        assert error(y, wanted) <= EXACT
        assert torch.equal(final, wanted_final)


def test_gradients() -> None:
    x, dt, a, b, c, state = (tensor[:1] if tensor.dim() > 1 else tensor for tensor in scan_inputs(3))
    leaves = [tensor.detach().clone().requires_grad_() for tensor in (x, dt, a, b, c, state)]
    assert torch.autograd.gradcheck(ssd_scan_portable, leaves)
    shapes = [(1, 4, 2), (2, 3), (2,), (1, 2, 2)]
    leaves = [normal(*shape, seed=9).requires_grad_() for shape in shapes]
    assert torch.autograd.gradcheck(causal_conv1d_portable, leaves)
