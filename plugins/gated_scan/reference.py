"""A gated matrix memory, written as its equation: slow, exact, the oracle of every other form.

Two configurations of one recurrence: without ``a`` and ``b`` it is gated linear attention (Yang et al.,
"Gated Linear Attention Transformers", section 4.1); with them, the generalised delta rule of RWKV-7 (Peng et
al., "RWKV-7 Goose", section 3) and of DeltaNet. See ``recurrences`` for their own parameters.

Glossary
    q          (B, T, H, K)  queries of H heads ("receptance" in RWKV)
    k          (B, T, H, K)  keys
    v          (B, T, H, V)  values
    log_decay  (B, T, H, K)  logarithm of each key's decay, not positive
    a          (B, T, H, K)  what the memory is asked before it changes, or None
    b          (B, T, H, K)  where the answer is added, or None
    state, S   (B, H, K, V)  the memory
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..precision import in_float32


def check_shapes(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    state: Tensor | None,
    a: Tensor | None,
    b: Tensor | None,
) -> None:
    """Raises ValueError, naming the tensor, its shape and the shape that fits."""
    if q.dim() != 4 or v.dim() != 4:
        raise ValueError(
            f"q has shape {tuple(q.shape)} and v {tuple(v.shape)}; "
            "they must be (batch, time, heads, channels)"
        )
    if (a is None) != (b is None):
        raise ValueError(
            f"{'a' if a is None else 'b'} is missing; a and b must be given together, or neither"
        )
    batch, time, heads, keys = q.shape
    values = v.shape[-1]
    row = (batch, time, heads, keys)
    given: dict[str, tuple[Tensor | None, tuple[int, ...]]] = {
        "k": (k, row),
        "v": (v, (batch, time, heads, values)),
        "log_decay": (log_decay, row),
        "a": (a, row),
        "b": (b, row),
        "state": (state, (batch, heads, keys, values)),
    }
    for name, (tensor, shape) in given.items():
        if tensor is not None and tuple(tensor.shape) != shape:
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)}; with q {tuple(q.shape)} it must be {shape}"
            )


@in_float32
def gated_scan_reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    state: Tensor | None = None,
    *,
    a: Tensor | None = None,
    b: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Runs the recurrence one step at a time.

    For each head: ``S_t = diag(e^log_decay_t) S_{t-1} + b_t ⊗ (a_tᵀ S_{t-1}) + k_t ⊗ v_t`` and
    ``y_t = q_tᵀ S_t``.

    Args: shapes as in the module's glossary; ``state`` None means zeros.
    Returns: y (B, T, H, V) and the final state (B, H, K, V).
    """
    check_shapes(q, k, v, log_decay, state, a, b)
    batch, time, heads, keys = q.shape
    s = q.new_zeros(batch, heads, keys, v.shape[-1]) if state is None else state
    ys = []
    for t in range(time):
        changed = torch.exp(log_decay[:, t, :, :, None]) * s + k[:, t, :, :, None] * v[:, t, :, None, :]
        if a is not None and b is not None:
            changed = changed + b[:, t, :, :, None] * (a[:, t, :, None, :] @ s)
        s = changed
        ys.append((q[:, t, :, None, :] @ s).squeeze(2))
    return (torch.stack(ys, dim=1) if ys else v.new_zeros(v.shape)), s
