"""Causal convolution by the package ``causal_conv1d``, for the shapes that it takes.

With a state it wants channels last in memory (as (B, T, D) is), a multiple of 8 of them, and 2 to 4 taps;
other shapes go to the form given with it, a matter of the model's shapes alone.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ..precision import in_float32
from .chunked import causal_conv1d_chunked
from .reference import check_shapes

Scan = Callable[..., tuple[Tensor, Tensor]]


def load() -> Scan:
    """The convolution, or ImportError: causal_conv1d needs a CUDA build of PyTorch."""
    from causal_conv1d import causal_conv1d_fn

    return adapt(causal_conv1d_fn, causal_conv1d_chunked)


def adapt(causal_conv1d_fn: Callable[..., tuple[Tensor, Tensor]], others: Scan) -> Scan:
    """Our convolution over upstream's; ``others`` does the shapes that upstream does not take."""

    def causal_conv1d_upstream(
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        state: Tensor | None = None,
        *,
        silu: bool = True,
    ) -> tuple[Tensor, Tensor]:
        check_shapes(x, weight, bias, state)
        channels, taps = weight.shape
        if channels % 8 or not 2 <= taps <= 4:
            return others(x, weight, bias, state, silu=silu)
        past = x.new_zeros(x.shape[0], channels, taps - 1) if state is None else state
        y, final = causal_conv1d_fn(
            x.contiguous().transpose(1, 2),
            weight,
            bias,
            initial_states=past.transpose(1, 2).contiguous().transpose(1, 2),
            return_final_states=True,
            activation="silu" if silu else None,
        )
        return y.transpose(1, 2), final

    return in_float32(causal_conv1d_upstream, keeps_inputs=True)
