"""What is drawn for a whole batch: mixup, cutmix, smoothed targets, and which branches are left out.

Sources: Zhang et al., "mixup: Beyond Empirical Risk Minimization"; Yun et al., "CutMix"; Huang et al., "Deep
Networks with Stochastic Depth".
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def targets_of(labels: Tensor, classes: int, smoothing: float) -> Tensor:
    """Labels (B,) -> targets (B, K): ``smoothing`` of the mass is spread over all classes."""
    return functional.one_hot(labels, classes).float() * (1 - smoothing) + smoothing / classes


def mix(
    rng: np.random.Generator, images: Tensor, targets: Tensor, mixup: float, cutmix: float
) -> tuple[Tensor, Tensor]:
    """Mixes each picture (B, 3, H, W) and its target with those of another, by mixup or by cutmix.

    ``mixup`` and ``cutmix`` are the α of their Beta(α, α); 0 leaves that way out. Both are as likely.
    """
    ways = [way for way, alpha in (("mixup", mixup), ("cutmix", cutmix)) if alpha > 0]
    if not ways:
        return images, targets
    height, width = images.shape[2], images.shape[3]
    partner = torch.from_numpy(rng.permutation(len(images)))
    if ways[rng.integers(len(ways))] == "mixup":
        share = float(rng.beta(mixup, mixup))
        mixed = share * images + (1 - share) * images[partner]
    else:
        top, left, bottom, right = cut_box(rng, height, width, float(rng.beta(cutmix, cutmix)))
        mixed = images.clone()
        mixed[:, :, top:bottom, left:right] = images[partner, :, top:bottom, left:right]
        share = 1 - (bottom - top) * (right - left) / (height * width)
    return mixed, share * targets + (1 - share) * targets[partner]


def cut_box(rng: np.random.Generator, height: int, width: int, kept: float) -> tuple[int, int, int, int]:
    """Top, left, bottom, right of a box that covers 1 − ``kept`` of the picture, or less at its border."""
    tall, wide = (int(side * (1 - kept) ** 0.5) for side in (height, width))
    y, x = int(rng.integers(height)), int(rng.integers(width))
    top, left = max(y - tall // 2, 0), max(x - wide // 2, 0)
    return top, left, min(y - tall // 2 + tall, height), min(x - wide // 2 + wide, width)


def drop_paths(rng: np.random.Generator, layers: int, batch: int, last: float) -> Tensor | None:
    """Weights (layers, 2, B) of the branches: 0 where one is left out, else 1 over the share that stays.

    The share left out grows evenly from 0 in the first block to ``last`` in the last one.
    """
    if last <= 0:
        return None
    stays = 1 - np.linspace(0, last, layers) if layers > 1 else np.array([1 - last])
    kept = rng.random((layers, 2, batch)) < stays[:, None, None]
    return torch.from_numpy((kept / stays[:, None, None]).astype(np.float32))
