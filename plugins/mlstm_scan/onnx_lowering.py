"""The mLSTM as the stateful ``LinearAttention`` (see ``onnx_ops``), emitted while a model is exported.

With m known for every step, the recurrence is linear attention with g = log σ(f) + m₋₁ - m and the keys
weighted by ``e^{i - m}``; a column of ones beside v makes the same operator carry the normaliser. m itself is
a running maximum, computed outside in ⌈log₂ T⌉ steps. Glossary: see ``reference``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from ..onnx_ops import linear_attention
from ..precision import in_float32
from .reference import MlstmState, check_shapes, empty_state


def stabilisers(log_f: Tensor, i: Tensor, m: Tensor) -> Tensor:
    """m after every step, (B, T, H): ``m_t = max(log_f_t + m_{t-1}, i_t)`` with m (B, H) before the first.

    Windows of doubling length are joined: of two neighbours, (sum of log_f, best within) give that of both.
    """
    total, best = log_f, i
    shift = 1
    while shift < i.shape[1]:
        joined = torch.maximum(best[:, shift:], best[:, :-shift] + total[:, shift:])
        best = torch.cat([best[:, :shift], joined], dim=1)
        total = torch.cat([total[:, :shift], total[:, shift:] + total[:, :-shift]], dim=1)
        shift *= 2
    return torch.maximum(total + m.unsqueeze(1), best)


@in_float32
def mlstm_scan_linear_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    i: Tensor,
    f: Tensor,
    state: MlstmState | None = None,
    *,
    eps: float = 1e-6,
) -> tuple[Tensor, MlstmState]:
    """Same arguments and results as ``mlstm_scan_reference``; only for use under ``torch.onnx.export``."""
    check_shapes(q, k, v, i, f, state)
    batch, time, heads, keys = q.shape
    values = v.shape[-1]
    memory, norm, m0 = empty_state(q, v) if state is None else state
    log_f = -functional.softplus(-f)  # log σ(f); exported as itself it is log(0) from -104 on
    m = stabilisers(log_f, i, m0)  # (B, T, H)
    before = torch.cat([m0.unsqueeze(1), m[:, :-1]], dim=1)
    weighted = k * (torch.exp(i - m) / math.sqrt(keys)).unsqueeze(-1)
    with_ones = torch.cat([v, torch.ones_like(v[..., :1])], dim=-1)
    past = torch.cat([memory, norm.unsqueeze(-1)], dim=-1)
    read, final = linear_attention(
        q.reshape(batch, time, heads * keys),
        weighted.reshape(batch, time, heads * keys),
        with_ones.reshape(batch, time, heads * (values + 1)),
        past,
        log_f + before - m,
        heads=heads,
    )
    read = read.reshape(batch, time, heads, values + 1)
    weight = torch.maximum(read[..., values:].abs(), torch.exp(-m).unsqueeze(-1)) + eps
    return read[..., :values] / weight, (final[..., :values], final[..., values], m[:, -1])
