"""What a tracker's maps should be, and how far they are from it.

Glossary: G is the grid's side in cells; boxes are x, y, w, h in units of the search crop's side (0 to 1).
Sources: focal heat map as in CornerNet (section 3.2), GIoU (Rezatofighi et al.), Gaussian likelihood for the
uncertainty (Kendall and Gal, section 2.2) with the residual held fixed, so that it never pulls at the boxes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ...errors import TrainingError

Maps = dict[str, Tensor]


def cell_middles(grid: int, like: Tensor) -> Tensor:
    """(2, G, G): x and y of each cell's middle, in cells."""
    line = torch.arange(grid, dtype=like.dtype, device=like.device) + 0.5
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y])


def heat_map(boxes: Tensor, visible: Tensor, grid: int) -> Tensor:
    """(B, G, G) Gaussian around each centre, exactly 1 in its cell; zeros where nothing is visible."""
    centre = (boxes[:, :2] + boxes[:, 2:] / 2) * grid  # (B, 2), cells
    cell = centre.floor().clamp(0, grid - 1) + 0.5
    sigma = (boxes[:, 2:] * grid / 6).clamp(min=0.5)  # (B, 2)
    away = (cell_middles(grid, boxes) - cell[..., None, None]) / sigma[..., None, None]
    return torch.exp(-0.5 * away.square().sum(1)) * visible[:, None, None]


def decode_maps(maps: Maps) -> Tensor:
    """(B, 4, G, G) centre x, centre y, width, height at every cell, in units of the crop's side."""
    grid = maps["score"].shape[-1]
    centre = (cell_middles(grid, maps["offset"]) + maps["offset"]) / grid
    return torch.cat([centre, maps["size"]], dim=1)


def focal(score: Tensor, target: Tensor) -> Tensor:
    """CornerNet's focal loss, summed, divided by the number of centres (at least one)."""
    score = score.clamp(1e-4, 1 - 1e-4)
    centre = target.eq(1)
    hit = torch.log(score) * (1 - score).square() * centre
    miss = torch.log(1 - score) * score.square() * (1 - target).pow(4) * ~centre
    return -(hit + miss).sum() / centre.sum().clamp(min=1)


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU of boxes (B, 4, ...) as centre x, centre y, width, height: (B, ...), broadcast."""
    low_a, high_a = a[:, :2] - a[:, 2:] / 2, a[:, :2] + a[:, 2:] / 2
    low_b, high_b = b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2
    shared = (torch.minimum(high_a, high_b) - torch.maximum(low_a, low_b)).clamp(min=0).prod(1)
    hull = (torch.maximum(high_a, high_b) - torch.minimum(low_a, low_b)).prod(1)
    union = a[:, 2:].prod(1) + b[:, 2:].prod(1) - shared
    return shared / union.clamp(min=1e-7) - (hull - union) / hull.clamp(min=1e-7)


def tracking_losses(maps: Maps, boxes: Tensor, visible: Tensor) -> dict[str, Tensor]:
    """maps over (B, ., G, G), boxes (B, 4), visible (B,) -> named scalar losses, unweighted.

    Boxes are learned in every cell within 1.5 cells of the centre, so a neighbour's answer is right as well.
    """
    grid = maps["score"].shape[-1]
    target = heat_map(boxes, visible.to(boxes.dtype), grid)
    centre = torch.cat([boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]], dim=1)[
        ..., None, None
    ]  # (B, 4, 1, 1)
    away = cell_middles(grid, boxes) - centre[:, :2] * grid
    weight = (
        torch.exp(-away.square().sum(1)) * (away.abs().amax(1) < 1.5) * visible[:, None, None]
    )  # (B, G, G)
    total = weight.sum().clamp(min=1e-6)
    decoded = decode_maps(maps)
    scale = torch.cat([boxes[:, 2:], boxes[:, 2:]], dim=1)[..., None, None].clamp(min=1e-3)
    error = (decoded - centre) / scale  # relative to the target's own size
    square = error.detach().square().clamp(max=4.0)
    log_variance = maps["log_variance"]
    likelihood = 0.5 * (square * torch.exp(-log_variance) + log_variance).mean(1)
    return {
        "heat": focal(maps["score"][:, 0], target),
        "giou": ((1 - giou(decoded, centre)) * weight).sum() / total,
        "l1": (error.abs().mean(1) * weight).sum() / total,
        "uncertainty": (likelihood * weight).sum() / total,
    }


def weighted_total(losses: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """Raises TrainingError, naming the term, as soon as one is not finite."""
    total: Tensor | None = None
    for name, loss in losses.items():
        if not torch.isfinite(loss):
            raise TrainingError(
                f"loss {name!r} is {loss.item()}",
                "lower the learning rate, or resume from the last checkpoint",
            )
        term = weights[name] * loss
        total = term if total is None else total + term
    if total is None:
        raise TrainingError("there is no loss to minimise", "give at least one loss a weight")
    return total


def feature_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Smooth L1 between features (B, C, G, G) and a teacher's, each cell of it scaled to length √C."""
    return functional.smooth_l1_loss(student, functional.normalize(teacher, dim=1) * teacher.shape[1] ** 0.5)


def answer_distance(raw: Tensor, answer: Tensor, side: int) -> Tensor:
    """How far a map (B, 5, G, G) of a logit and four logs of distances is from a teacher's answer.

    ``answer`` is as ``AnswerTeacher`` gives it, ``side`` the crop's in pixels. Cells on and off the target
    weigh the same in sum; distances count where the teacher is sure of the target.
    """
    chance = answer[:, 0]
    error = functional.binary_cross_entropy_with_logits(raw[:, 0], chance, reduction="none")
    on = chance.gt(0.5).to(error.dtype)
    loss = (error * on).sum() / on.sum().clamp(min=1) + (error * (1 - on)).sum() / (1 - on).sum().clamp(min=1)
    wanted = torch.log(answer[:, 1:].clamp(min=1) / side)
    apart = functional.smooth_l1_loss(raw[:, 1:], wanted, reduction="none", beta=0.1).mean(1)
    return loss + (apart * on).sum() / on.sum().clamp(min=1)
