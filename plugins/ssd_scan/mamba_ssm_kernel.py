"""The Mamba-2 scan by ``mamba_ssm``, which keeps its state as (B, H, P, N) where ours is (B, H, N, P).

Its kernel takes decays as differences of one cumulative sum within 256 steps, so after a very large step it
has the float32 error that our own forms do not have. It was not run here.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ..precision import in_float32
from .reference import check_shapes

Scan = Callable[..., tuple[Tensor, Tensor]]
CHUNK = 256


def load() -> Scan:
    """The scan, or ImportError: mamba_ssm needs a CUDA build of PyTorch."""
    from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined

    return adapt(mamba_chunk_scan_combined)


def adapt(mamba_chunk_scan_combined: Callable[..., tuple[Tensor, Tensor]]) -> Scan:
    """Our scan over upstream's, which takes x, dt, A, B and C as we do."""

    def ssd_scan_mamba_ssm(
        x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        check_shapes(x, dt, a, b, c, state)
        initial = None if state is None else state.transpose(2, 3).contiguous()
        y, final = mamba_chunk_scan_combined(
            x, dt, a, b, c, chunk_size=CHUNK, initial_states=initial, return_final_states=True
        )
        return y, final.transpose(2, 3)

    return in_float32(ssd_scan_mamba_ssm)
