"""The Mamba-1 scan by ``mamba_ssm``, whose kernel takes no initial state: that is added by superposition.

The recurrence is linear in the state, so ``y_t(h₀) = y_t(0) + c_tᵀ (exp(a ΣΔ) ∘ h₀)`` and
``h_T(h₀) = h_T(0) + exp(a ΣΔ) ∘ h₀``, exactly. Upstream's backward pass leaves out the final state, so
this form is for inference.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..gradients import refuse_gradients
from ..precision import in_float32
from .reference import check_shapes

Scan = Callable[..., tuple[Tensor, Tensor]]


def load() -> Scan:
    """The scan, or ImportError: mamba_ssm needs a CUDA build of PyTorch."""
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    return adapt(selective_scan_fn)


def adapt(selective_scan_fn: Callable[..., tuple[Tensor, Tensor]]) -> Scan:
    """Our scan over upstream's: ``selective_scan_fn(u (B, D, T), delta, A, B (B, N, T), C)``."""

    def selective_scan_mamba_ssm(
        x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        check_shapes(x, dt, a, b, c, state)
        refuse_gradients("mamba_ssm's selective_scan_fn with a carried state", x, dt, a, b, c, state)
        out, last = selective_scan_fn(
            x.transpose(1, 2),
            dt.transpose(1, 2),
            a,
            b.transpose(1, 2),
            c.transpose(1, 2),
            return_last_state=True,
        )
        y = out.transpose(1, 2)
        if state is None:
            return y, last
        left = torch.exp(torch.cumsum(dt.to(a.dtype), dim=1).unsqueeze(-1) * a) * state.unsqueeze(1)
        carried = (left @ c.to(a.dtype).unsqueeze(-1)).squeeze(-1)  # (B, T, D)
        return y + carried.to(y.dtype), last + left[:, -1]

    return in_float32(selective_scan_mamba_ssm)
