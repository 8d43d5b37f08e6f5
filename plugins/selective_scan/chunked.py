"""The Mamba-1 scan with everything but the recurrence itself done for a whole chunk at once.

Decays, inputs and read-outs are one operation a chunk each; what is left a step is one fused multiply-add
over the state. On a CPU this is faster than the parallel scans (half the arithmetic, and the state stays in
cache). Stable for any step size: a decay is only ever multiplied, never divided by.
Glossary: see ``reference``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .reference import check_shapes


def selective_scan_chunked(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor | None = None, *, chunk: int = 256
) -> tuple[Tensor, Tensor]:
    """Same arguments and results as ``selective_scan_reference``; ``chunk`` steps are in memory at once."""
    check_shapes(x, dt, a, b, c, state)
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; a block must have at least 1 step")
    batch, time, channels = x.shape
    h = x.new_zeros(batch, channels, a.shape[1]) if state is None else state
    ys = []
    for start in range(0, time, chunk):
        part = slice(start, min(start + chunk, time))
        decays = torch.exp(dt[:, part, :, None] * a)  # (B, L, D, N)
        inputs = (dt[:, part] * x[:, part]).unsqueeze(-1) * b[:, part].unsqueeze(2)
        hs = []
        for decay, push in zip(decays.unbind(1), inputs.unbind(1), strict=True):
            h = torch.addcmul(push, decay, h)
            hs.append(h)
        ys.append((torch.stack(hs, dim=1) @ c[:, part].unsqueeze(-1)).squeeze(-1))
    return (torch.cat(ys, dim=1) if ys else x.new_zeros(x.shape)), h
