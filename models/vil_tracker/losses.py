"""Losses of ViL-Tracker beside the common ones of ``tracking.losses``, and how all of them are weighed.

Glossary: looks are (B, dim), the mean features of a target in one picture; N is the number of looks compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import OptionError, TrainingError

POSITIVE = ("heat", "giou", "l1", "contrast", "teacher")
"""Losses that cannot be negative, which are what adaptive weighting is for."""
WIDEST = 3.0
"""Bound of a learned log variance: no loss is weighed more than e³ times, or less than e⁻³."""


@dataclass(frozen=True)
class LossConfig:
    """What each loss counts; 0 leaves it out.

    heat: focal loss of the centre's heat map (CornerNet). giou, l1: of boxes, L1 relative to the target's
    size. uncertainty: likelihood of the boxes under the model's own deviations. contrast: of looks. teacher:
    distance from a teacher's features. The last two are terms of their own only with film and a teacher.
    """

    heat: float = 1.0
    giou: float = 2.0
    l1: float = 1.0
    uncertainty: float = 0.1
    contrast: float = 0.0
    teacher: float = 1.0
    temperature: float = 0.1  # of the contrast
    adaptive: bool = True  # weights on top of these are learned

    def __post_init__(self) -> None:
        for name in (*POSITIVE, "uncertainty"):
            if getattr(self, name) < 0:
                raise OptionError(f"the weight of {name} is {getattr(self, name)}", "give 0 or more")
        if self.temperature <= 0:
            raise OptionError(f"temperature is {self.temperature}", "give more than 0, such as 0.1")


def memory_contrast(memory: Tensor, looks: Tensor, visible: Tensor, temperature: float = 0.1) -> Tensor:
    """How well the looks (B, dim) of targets tell which memory (B, dim) is theirs, and the other way round.

    Symmetric cross entropy of cosine similarities (InfoNCE; van den Oord et al., "Contrastive Predictive
    Coding", section 2.3) over the rows in which the target is visible (B,); 0 where fewer than two are.
    """
    rows = visible.nonzero().flatten()
    ours, theirs = (functional.normalize(part[rows].float(), dim=1) for part in (memory, looks))
    if len(rows) < 2:
        return (ours.sum() + theirs.sum()) * 0
    likeness = ours @ theirs.T / temperature  # (N, N), pairs that belong together on the diagonal
    own = torch.arange(len(rows), device=likeness.device)
    return (functional.cross_entropy(likeness, own) + functional.cross_entropy(likeness.T, own)) / 2


def feature_imitation(student: Tensor, teacher: Tensor, boxes: Tensor) -> Tensor:
    """Attention-free distillation: how far features (B, C, G, G) are from a teacher's, in direction alone.

    One less the cosine of every cell, where cells on the target and cells off it count the same in sum: no
    attention map is compared, so student and teacher may mix their tokens in different ways. ``boxes`` (B, 4)
    as x, y, w, h in shares of the crop say where the target is. Teachers of another grid are resampled.
    """
    grid = student.shape[-1]
    if teacher.shape[-1] != grid:
        teacher = functional.interpolate(teacher, size=(grid, grid), mode="bilinear", align_corners=False)
    apart = 1 - functional.cosine_similarity(student.float(), teacher.float(), dim=1)  # (B, G, G)
    line = (torch.arange(grid, dtype=boxes.dtype, device=boxes.device) + 0.5) / grid
    low, high = boxes[:, :2, None], (boxes[:, :2] + boxes[:, 2:])[..., None]
    within = ((line >= low) & (line <= high)).to(apart.dtype)  # (B, 2, G): columns, then rows
    on = within[:, 1, :, None] * within[:, 0, None, :]
    parts = [(apart * part).sum() / part.sum() for part in (on, 1 - on) if bool(part.any())]
    return torch.stack(parts).mean()


class AdaptiveWeights(nn.Module):
    """Weights that are learned with the model: ``Σ ½ (e^{-s} L + s)`` with an s of its own for each loss L.

    Source: Kendall, Gal and Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses", section 3.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_variances = nn.Parameter(torch.zeros(len(POSITIVE)))

    def forward(self, losses: dict[str, Tensor]) -> Tensor:
        """Losses by name (those of ``POSITIVE``), weighed as the recipe says already -> their sum."""
        spread = self.log_variances.clamp(-WIDEST, WIDEST)
        terms = []
        for name, loss in losses.items():
            s = spread[POSITIVE.index(name)]
            terms.append(0.5 * (torch.exp(-s) * loss + s))
        return torch.stack(terms).sum()


def total_loss(
    losses: dict[str, Tensor],
    config: LossConfig,
    adaptive: AdaptiveWeights | None,
    ease: float | Tensor = 1.0,
) -> Tensor:
    """The scalar to minimise. ``ease`` is the curriculum's share of all losses but that of the heat map.

    Raises TrainingError, naming the loss, as soon as one is not finite, or when nothing is left to minimise.
    """
    for name, loss in losses.items():
        if not torch.isfinite(loss):
            raise TrainingError(
                f"loss {name!r} is {loss.item()}",
                "lower the learning rate, or resume from the last checkpoint",
            )
    weighed = {
        name: getattr(config, name) * (1.0 if name == "heat" else ease) * loss
        for name, loss in losses.items()
        if getattr(config, name) > 0
    }
    if not weighed:
        raise TrainingError("there is no loss to minimise", "give at least one loss a weight")
    if adaptive is None:
        return torch.stack(list(weighed.values())).sum()
    plain = [weighed.pop("uncertainty")] if "uncertainty" in weighed else []
    return torch.stack([*plain, *([adaptive(weighed)] if weighed else [])]).sum()
