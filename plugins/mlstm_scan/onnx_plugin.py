"""The mLSTM as one node, ``framestate::MlstmScan`` version 1, for runtimes that are given its kernel.

Inputs, in order, of one floating-point type except the states, which are float32 beside half precision:
    q (B, T, H, K), k (B, T, H, K), v (B, T, H, V), i (B, T, H), f (B, T, H),
    past_memory (B, H, K, V), past_normaliser (B, H, K), past_stabiliser (B, H)
Outputs: h (B, T, H, V) like v, and the three present states like the past ones.
Attributes: eps (float), added to the denominator. Keys are scaled by 1 / √K inside; gates come raw.
"""

from __future__ import annotations

from torch import Tensor

from ..onnx_ops import PLUGIN, emit
from .reference import MlstmState, check_shapes, empty_state


def mlstm_scan_plugin(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    i: Tensor,
    f: Tensor,
    state: MlstmState | None = None,
    *,
    eps: float = 1e-6,
) -> tuple[Tensor, MlstmState]:
    """Same arguments and results as ``mlstm_scan_reference``; only under ``torch.onnx.export``."""
    check_shapes(q, k, v, i, f, state)
    past = empty_state(q, v) if state is None else state
    h, memory, norm, m = emit(PLUGIN, "MlstmScan", (q, k, v, i, f, *past), {"eps": eps}, (v, *past))
    return h, (memory, norm, m)
