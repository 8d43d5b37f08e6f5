"""Where the stateful ONNX operators live, and how a graph that is being exported gets one.

opset 27 of ONNX has ``LinearAttention`` and ``CausalConvWithState``. ONNX Runtime (1.26 to 1.31 at least)
refuses graphs that declare opset 27, but has kernels for both in its own domain, which graphs of opset 20 may
use. The day it takes opset 27: set ``IN_USE = STANDARD``, and export at ``STANDARD.opset`` (PyTorch 2.13
stamps opset 18 when asked for 27; the nodes are valid at 27, so raising the stamp is enough).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Attribute = int | float | str


@dataclass(frozen=True)
class OperatorHome:
    """A domain with operators. ``domain`` "" is ONNX itself; ``opset`` is the least the graph must have.

    Where it ``shares_keys``, several heads of ``LinearAttention`` may read the same keys and queries.
    """

    domain: str
    version: int
    opset: int
    conv_attributes: tuple[tuple[str, Attribute], ...] = ()
    shares_keys: bool = False


CONTRIB = OperatorHome("com.microsoft", version=1, opset=20, conv_attributes=(("ndim", 1),), shares_keys=True)
STANDARD = OperatorHome("", version=27, opset=27)
PLUGIN = OperatorHome("framestate", version=1, opset=20)
"""Our own operators, one a recurrence, for runtimes that are given a kernel for each (TensorRT plugins)."""

IN_USE = CONTRIB
MIN_ONNXRUNTIME = (1, 26)
"""The first ONNX Runtime with both operators of CONTRIB (CPU and CUDA)."""


def emit(
    home: OperatorHome,
    name: str,
    inputs: Sequence[Tensor],
    attributes: dict[str, Attribute],
    like: Sequence[Tensor],
) -> Sequence[Tensor]:
    """One node ``home.domain::name`` whose outputs have the shapes and dtypes of ``like``.

    Only for use under ``torch.onnx.export``: elsewhere the outputs are zeros.
    """
    return torch.onnx.ops.symbolic_multi_out(
        f"{home.domain}::{name}",
        inputs,
        attrs=dict(attributes),
        dtypes=tuple(tensor.dtype for tensor in like),
        shapes=tuple(tensor.shape for tensor in like),
        version=home.version,
    )


def linear_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    past: Tensor,
    log_decay: Tensor,
    *,
    heads: int,
    key_heads: int | None = None,
) -> tuple[Tensor, Tensor]:
    """``S_t = exp(g_t) S_{t-1} + k_t ⊗ v_t`` and ``o_t = q_tᵀ S_t`` for every head.

    Args: q, k (B, T, key_heads x d_k), each for as many heads in a row as there are heads to a key head (by
        default one); v (B, T, heads x d_v); past (B, heads, d_k, d_v); log_decay (B, T, heads), or
        (B, T, heads x d_k) for one decay a key.
    Returns: o (B, T, heads x d_v) and the final S.
    """
    key_heads = key_heads or heads
    if key_heads < heads and not IN_USE.shares_keys:
        q, k = (_for_each_head(one, key_heads, heads) for one in (q, k))
        key_heads = heads
    attributes: dict[str, Attribute] = {
        "update_rule": "gated",
        "scale": 1.0,
        "q_num_heads": key_heads,
        "kv_num_heads": heads,
    }
    out, final = emit(IN_USE, "LinearAttention", (q, k, v, past, log_decay), attributes, (v, past))
    return out, final


def _for_each_head(keys: Tensor, key_heads: int, heads: int) -> Tensor:
    """Keys (B, T, key_heads x d) for each of the heads that share them, (B, T, heads x d)."""
    batch, time, width = keys.shape
    apart = keys.reshape(batch, time, key_heads, 1, width // key_heads)
    wide = apart.expand(-1, -1, -1, heads // key_heads, -1)
    return wide.reshape(batch, time, heads * (width // key_heads))


def causal_conv(
    x: Tensor, weight: Tensor, bias: Tensor, past: Tensor, *, silu: bool
) -> tuple[Tensor, Tensor]:
    """Depthwise convolution of x (B, D, T) with weight (D, 1, K), after past (B, D, K - 1)."""
    attributes: dict[str, Attribute] = {
        "activation": "silu" if silu else "none",
        **dict(IN_USE.conv_attributes),
    }
    out, final = emit(IN_USE, "CausalConvWithState", (x, weight, bias, past), attributes, (x, past))
    return out, final
