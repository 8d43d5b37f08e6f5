"""Backward warping: a picture fetched along a flow, with its border repeated outside.

Two forms of the same sampling. ``GridSample`` is what PyTorch has, and plain ONNX. ONNX's ``DeformConv`` with
a 1×1 kernel is another way to say it: its offsets are the flow. ONNX Runtime runs it two to seven times
faster on a CPU, as it prepares a place once for all channels, so the dialect "ort" uses it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from ..plugins import Operators
from ..plugins.onnx_ops import OperatorHome, emit

Warp = Callable[[Tensor, Tensor], Tensor]
"""``warp(pictures (B, C, H, W), flow (B, 2, H, W)) -> (B, C, H, W)``: flow is x and y, in pixels of H × W."""

ONNX = OperatorHome("", version=19, opset=19)


def choose_warp(operators: Operators) -> Warp:
    """The form that suits where a model is going to run."""
    return warp_deform if operators.name == "ort" else warp_grid


def places(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """The x (1, 1, 1, W) and y (1, 1, H, 1) of every pixel."""
    height, width = pictures.shape[-2:]
    x = torch.arange(width, device=pictures.device, dtype=torch.float32)
    y = torch.arange(height, device=pictures.device, dtype=torch.float32)
    return x.view(1, 1, 1, -1), y.view(1, 1, -1, 1)


def warp_grid(pictures: Tensor, flow: Tensor) -> Tensor:
    """By ``grid_sample``; see ``Warp``."""
    height, width = pictures.shape[-2:]
    x, y = places(pictures)
    across = (x + flow[:, :1].float() + 0.5) * (2.0 / width) - 1.0
    down = (y + flow[:, 1:].float() + 0.5) * (2.0 / height) - 1.0
    grid = torch.cat([across, down], dim=1).permute(0, 2, 3, 1)
    sampled = functional.grid_sample(
        pictures.float(), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return sampled.to(pictures.dtype)


def warp_deform(pictures: Tensor, flow: Tensor) -> Tensor:
    """By ONNX ``DeformConv``, one 1×1 kernel of weight 1 a channel; only for use under ``torch.onnx.export``.

    Outside the picture that operator sees zeros, so places are first moved to the nearest pixel within.
    """
    channels, height, width = pictures.shape[1:]
    x, y = places(pictures)
    across = torch.maximum(torch.minimum(flow[:, :1], x.new_ones(()) * (width - 1) - x), -x)
    down = torch.maximum(torch.minimum(flow[:, 1:], y.new_ones(()) * (height - 1) - y), -y)
    offsets = torch.cat([down, across], dim=1)
    weight = torch.ones(channels, 1, 1, 1)
    (sampled,) = emit(
        ONNX,
        "DeformConv",
        (pictures, weight, offsets),
        {"group": channels, "offset_group": 1},
        (pictures,),
    )
    return sampled
