"""The stabilised matrix LSTM (mLSTM), written as its equations: slow, exact, the oracle of every other form.

Source: Beck et al., "xLSTM: Extended Long Short-Term Memory", section 2.3 and appendix A (stabilised form).

Glossary (paper symbol -> name here)
    q, k  -> q, k    (B, T, H, K)     queries and keys of H heads; the key is scaled by 1 / √K here
    v     -> v       (B, T, H, V)     values
    ĩ     -> i       (B, T, H)        input gate before its exponential
    f̃     -> f       (B, T, H)        forget gate before its sigmoid
    C     -> state[0]  (B, H, K, V)   the matrix memory, divided by e^m
    n     -> state[1]  (B, H, K)      the normaliser, divided by e^m
    m     -> state[2]  (B, H)         the stabiliser: the logarithm of what the other two are divided by
    h̃     -> h       (B, T, H, V)     outputs, before the output gate
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from ..precision import in_float32, wide_type

MlstmState = tuple[Tensor, Tensor, Tensor]

EMPTY = -1e30
"""m of a memory that holds nothing: not 0, which would stand for a memory of weight e⁰."""


def check_shapes(
    q: Tensor, k: Tensor, v: Tensor, i: Tensor, f: Tensor, state: MlstmState | None = None
) -> None:
    """Raises ValueError, naming the tensor, its shape and the shape that fits."""
    if q.dim() != 4 or v.dim() != 4:
        raise ValueError(
            f"q has shape {tuple(q.shape)} and v {tuple(v.shape)}; "
            "they must be (batch, time, heads, channels)"
        )
    batch, time, heads, keys = q.shape
    values = v.shape[-1]
    expected: dict[str, tuple[Tensor, tuple[int, ...]]] = {
        "k": (k, (batch, time, heads, keys)),
        "v": (v, (batch, time, heads, values)),
        "i": (i, (batch, time, heads)),
        "f": (f, (batch, time, heads)),
    }
    if state is not None:
        expected["state[0]"] = (state[0], (batch, heads, keys, values))
        expected["state[1]"] = (state[1], (batch, heads, keys))
        expected["state[2]"] = (state[2], (batch, heads))
    for name, (tensor, shape) in expected.items():
        if tuple(tensor.shape) != shape:
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)}; with q {tuple(q.shape)} it must be {shape}"
            )


def empty_state(q: Tensor, v: Tensor) -> MlstmState:
    """The state before the first step, for queries q (B, T, H, K) and values v (B, T, H, V).

    float32 at least.
    """
    batch, _, heads, keys = q.shape
    kind = wide_type({q.dtype})
    return (
        q.new_zeros(batch, heads, keys, v.shape[-1], dtype=kind),
        q.new_zeros(batch, heads, keys, dtype=kind),
        q.new_full((batch, heads), EMPTY, dtype=kind),
    )


@in_float32
def mlstm_scan_reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    i: Tensor,
    f: Tensor,
    state: MlstmState | None = None,
    *,
    eps: float = 1e-6,
) -> tuple[Tensor, MlstmState]:
    """Runs the recurrence one step at a time.

    With ``l = log σ(f)``: ``m' = max(l + m, i)``;
    ``C' = e^{l + m - m'} C + e^{i - m'} (k / √K) vᵀ``, and n' likewise without v;
    ``h = C'ᵀ q / (max(|q·n'|, e^{-m'}) + eps)``.

    Args: shapes as in the module's glossary; ``state`` None means ``empty_state``.
    Returns: h (B, T, H, V) and the final state.
    """
    check_shapes(q, k, v, i, f, state)
    memory, norm, m = empty_state(q, v) if state is None else state
    log_f = functional.logsigmoid(f)
    scale = 1 / math.sqrt(q.shape[-1])
    hs = []
    for t in range(q.shape[1]):
        m_next = torch.maximum(log_f[:, t] + m, i[:, t])  # (B, H)
        keep = torch.exp(log_f[:, t] + m - m_next)[..., None]
        write = torch.exp(i[:, t] - m_next)[..., None] * scale * k[:, t]  # (B, H, K)
        memory = keep[..., None] * memory + write[..., None] * v[:, t, :, None, :]
        norm = keep * norm + write
        m = m_next
        read = (q[:, t, :, None, :] @ memory).squeeze(2)  # (B, H, V)
        weight = torch.maximum((q[:, t] * norm).sum(-1).abs(), torch.exp(-m)) + eps
        hs.append(read / weight[..., None])
    h = torch.stack(hs, dim=1) if hs else v.new_zeros(v.shape)
    return h, (memory, norm, m)
