"""The adapters to mamba_ssm and causal_conv1d, over stand-ins that keep upstream's contracts on a CPU.

The stand-ins check the layouts that upstream's CUDA code insists on. What is not shown here is upstream's own
arithmetic: that needs a GPU.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from framestate.plugins.causal_conv1d import causal_conv1d_reference
from framestate.plugins.causal_conv1d.upstream_kernel import adapt as adapt_conv
from framestate.plugins.selective_scan import selective_scan_reference
from framestate.plugins.selective_scan.mamba_ssm_kernel import adapt as adapt_selective
from framestate.plugins.ssd_scan import ssd_scan_reference
from framestate.plugins.ssd_scan.mamba_ssm_kernel import adapt as adapt_ssd
from torch import Tensor

EXACT = 1e-12


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def error(found: Tensor, wanted: Tensor) -> float:
    return ((found - wanted).abs().max() / wanted.abs().max()).item()


def selective_scan_fn(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, **options: Any) -> Any:
    """Channels before time, and no initial state."""
    assert options == {"return_last_state": True}
    y, last = selective_scan_reference(
        u.transpose(1, 2), delta.transpose(1, 2), A, B.transpose(1, 2), C.transpose(1, 2)
    )
    return y.transpose(1, 2), last


def mamba_chunk_scan_combined(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, *, chunk_size: int, **options: Any
) -> Any:
    """States as (B, H, P, N)."""
    assert chunk_size & (chunk_size - 1) == 0
    assert options.pop("return_final_states")
    initial = options.pop("initial_states")
    assert not options
    y, final = ssd_scan_reference(x, dt, A, B, C, None if initial is None else initial.transpose(2, 3))
    return y, final.transpose(2, 3)


def causal_conv1d_fn(x: Tensor, weight: Tensor, bias: Tensor | None, **options: Any) -> Any:
    """Channels before time, but last in memory, eight by eight; the initial states too."""
    initial = options.pop("initial_states")
    assert options.pop("return_final_states")
    activation = options.pop("activation")
    assert not options
    assert x.stride(1) == 1
    assert x.stride(0) % 8 == x.stride(2) % 8 == 0
    assert initial.stride(1) == 1
    y, final = causal_conv1d_reference(x.transpose(1, 2), weight, bias, initial, silu=activation == "silu")
    return y.transpose(1, 2), final


@pytest.mark.parametrize("carried", [True, False])
def test_a_selective_scan_with_a_state_by_superposition(carried: bool) -> None:
    x, dt = normal(2, 40, 5, seed=0), normal(2, 40, 5, seed=1).abs()
    a, b, c = -4 * normal(5, 3, seed=2).abs(), normal(2, 40, 3, seed=3), normal(2, 40, 3, seed=4)
    state = normal(2, 5, 3, seed=5) if carried else None
    y, final = adapt_selective(selective_scan_fn)(x, dt, a, b, c, state)
    wanted, wanted_final = selective_scan_reference(x, dt, a, b, c, state)
    assert error(y, wanted) <= EXACT
    assert error(final, wanted_final) <= EXACT


def test_the_selective_scan_refuses_gradients_that_upstream_would_leave_out() -> None:
    x = normal(1, 4, 2, seed=0).requires_grad_()
    with pytest.raises(RuntimeError, match="has no backward pass"):
        adapt_selective(selective_scan_fn)(
            x, x.detach().abs(), -torch.ones(2, 3).double(), *(normal(1, 4, 3, seed=1),) * 2
        )


@pytest.mark.parametrize("carried", [True, False])
def test_an_ssd_scan_with_its_state_turned(carried: bool) -> None:
    x, dt, a = normal(2, 20, 4, 5, seed=0), normal(2, 20, 4, seed=1).abs(), -normal(4, seed=2).abs()
    b, c = normal(2, 20, 2, 3, seed=3), normal(2, 20, 2, 3, seed=4)
    state = normal(2, 4, 3, 5, seed=5) if carried else None
    y, final = adapt_ssd(mamba_chunk_scan_combined)(x, dt, a, b, c, state)
    wanted, wanted_final = ssd_scan_reference(x, dt, a, b, c, state)
    assert error(y, wanted) <= EXACT
    assert error(final, wanted_final) <= EXACT


@pytest.mark.parametrize("silu", [True, False])
@pytest.mark.parametrize("carried", [True, False])
@pytest.mark.parametrize("time", [1, 7])
def test_a_convolution_with_the_layout_that_upstream_wants(silu: bool, carried: bool, time: int) -> None:
    x, weight, bias = normal(2, time, 16, seed=0), normal(16, 4, seed=1), normal(16, seed=2)
    state = normal(2, 16, 3, seed=3) if carried else None
    sliced = torch.cat([x, x], dim=-1)[..., :16]  # as a projection that was split gives it: not contiguous
    y, final = adapt_conv(causal_conv1d_fn, refused)(sliced, weight, bias, state, silu=silu)
    wanted, wanted_final = causal_conv1d_reference(x, weight, bias, state, silu=silu)
    assert error(y, wanted) <= EXACT
    assert torch.equal(final, wanted_final)


@pytest.mark.parametrize(("channels", "taps"), [(12, 4), (16, 5), (16, 1)])
def test_shapes_that_upstream_lacks_go_elsewhere(channels: int, taps: int) -> None:
    x, weight = normal(1, 3, channels, seed=0), normal(channels, taps, seed=1)
    y, _ = adapt_conv(refused, causal_conv1d_reference)(x, weight)
    assert torch.equal(y, causal_conv1d_reference(x, weight)[0])


def refused(*arguments: Any, **options: Any) -> tuple[Tensor, Tensor]:
    raise AssertionError("this form should not have been called")
