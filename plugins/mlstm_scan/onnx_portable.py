"""The mLSTM in plain ONNX operators: the chunked form itself, which uses nothing else.

Kept apart so that either may change: the eager form for speed in PyTorch, this one for what exports.
"""

from __future__ import annotations

from torch import Tensor

from .chunked import mlstm_scan_chunked
from .reference import MlstmState


def mlstm_scan_portable(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    i: Tensor,
    f: Tensor,
    state: MlstmState | None = None,
    *,
    eps: float = 1e-6,
) -> tuple[Tensor, MlstmState]:
    """Same arguments and results as ``mlstm_scan_reference``; exports for a fixed T ≥ 1, any batch."""
    return mlstm_scan_chunked(q, k, v, i, f, state, eps=eps, chunk=64)
