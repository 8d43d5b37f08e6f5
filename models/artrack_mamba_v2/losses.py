"""What a trajectory head should say, and how far it is from it.

Boxes are left, top, right, bottom as shares of the search crop's side. Cross-entropy over words, SIoU
(Gevorgyan, "SIoU Loss", sections 2.1 to 2.4), a score that learns the overlap, and a redrawn template (masked
autoencoder), weighted as in ARTrackV2's code.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .config import ArtrackMambaV2Config
from .vocabulary import expected, to_words

LOSS_WEIGHTS = {"words": 2.0, "siou": 2.0, "score": 1.0, "redraw": 0.3}
SHAPE_POWER = 4
TINY = 1e-7


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """IoU (B,) of boxes (B, 4); a box that is inside out overlaps nothing."""
    shared = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(1)
    areas = sum((box[:, 2:] - box[:, :2]).clamp(min=0).prod(1) for box in (a, b))
    return shared / (areas - shared).clamp(min=TINY)


def siou_distance(found: Tensor, truth: Tensor) -> Tensor:
    """SIoU loss (B,): 1 - IoU, plus half of how far centres (along an axis is better) and shapes are."""
    size, wanted = (
        (found[:, 2:] - found[:, :2]).clamp(min=TINY),
        (truth[:, 2:] - truth[:, :2]).clamp(min=TINY),
    )
    away = (truth[:, 2:] + truth[:, :2] - found[:, 2:] - found[:, :2]) / 2  # (B, 2)
    length = away.square().sum(1).clamp(min=TINY).sqrt()
    sine = (away[:, 1].abs() / length).clamp(max=1 - 1e-6)
    angle = torch.sin(2 * torch.asin(sine))  # 0 along an axis, 1 along a diagonal
    hull = torch.maximum(found[:, 2:], truth[:, 2:]) - torch.minimum(found[:, :2], truth[:, :2])
    ratio = (away / hull.clamp(min=TINY)).square()
    distance = (1 - torch.exp(-(2 - angle)[:, None] * ratio)).sum(1)
    unlike = (size - wanted).abs() / torch.maximum(size, wanted)
    shape = (1 - torch.exp(-unlike)).pow(SHAPE_POWER).sum(1)
    return 1 - overlap(found, truth) + (distance + shape) / 2


def trajectory_losses(
    outputs: dict[str, Tensor], boxes: Tensor, visible: Tensor, config: ArtrackMambaV2Config
) -> dict[str, Tensor]:
    """Outputs of ``step``, true boxes (B, 4), visible (B,) -> named scalar losses, unweighted.

    Where nothing is visible, only the score learns: it should be 0.
    """
    seen = visible.to(boxes.dtype)
    count = seen.sum().clamp(min=1)
    logits = outputs["logits"]
    words = to_words(boxes, config)
    wrong = functional.cross_entropy(logits.transpose(1, 2), words, reduction="none").mean(1)  # (B,)
    found = expected(logits, config)
    right = overlap(found.detach(), boxes) * seen
    return {
        "words": (wrong * seen).sum() / count,
        "siou": (siou_distance(found, boxes) * seen).sum() / count,
        "score": (outputs["score"][:, 0] - right).abs().mean(),
    }


def target_view(search: Tensor, boxes: Tensor, config: ArtrackMambaV2Config) -> Tensor:
    """The template that a search crop (B, 3, S_x, S_x) holds around true boxes (B, 4): (B, 3, S_z, S_z)."""
    side = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-3).prod(1).sqrt() * config.template_factor
    centre = (boxes[:, 2:] + boxes[:, :2]) / 2
    return cut_views(search, centre - side[:, None] / 2, side, config.template_size)


def cut_views(pictures: Tensor, corner: Tensor, side: Tensor, size: int) -> Tensor:
    """Squares of pictures (B, C, H, H) as (B, C, size, size): corners (B, 2), sides (B,) as shares of H.

    Zeros outside. Gradients do not flow to where the square is.
    """
    line = (torch.arange(size, device=pictures.device, dtype=pictures.dtype) + 0.5) / size
    x = corner[:, :1] + side[:, None] * line  # (B, size)
    y = corner[:, 1:] + side[:, None] * line
    grid = torch.stack(
        [x[:, None, :].expand(-1, size, -1), y[:, :, None].expand(-1, -1, size)], dim=-1
    ).detach()
    return functional.grid_sample(pictures, 2 * grid - 1, align_corners=False)
