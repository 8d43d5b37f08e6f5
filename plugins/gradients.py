"""A guard for kernels that have no backward pass."""

from __future__ import annotations

import torch
from torch import Tensor


def refuse_gradients(kernel: str, *tensors: Tensor | None) -> None:
    """Raises RuntimeError where a gradient through ``kernel`` is wanted: it would be missing, silently."""
    if torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors):
        raise RuntimeError(
            f"{kernel} has no backward pass and an input requires a gradient; run it under "
            "torch.inference_mode(), or build the model with eager_operators('cpu') to train it on any device"
        )
