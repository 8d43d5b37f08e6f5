"""First stage of a tracker's training: the stem learns a teacher's features on any picture, boxes or none.

Pictures cost nothing to label this way, and a stem that knows what things look like leaves the second stage
only the tracking to learn. The teacher's cells are scaled to length √C, so only directions are learned.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from ...vision.crop import SquareCrop, cut, normalise
from ..datasets.footage import FootageMix
from ..training.loaders import batches_of
from .archives import Still
from .clips import Clip
from .losses import feature_distance
from .photometry import colour_curve, degrade, recolour
from .teacher import FeatureTeacher

Pixels = npt.NDArray[np.uint8]
NUM_HELD_OUT = 64
CLIP_SHARE = 0.25


@dataclass(frozen=True)
class ViewSource:
    """Random square views of pictures and of frames of clips; view ``i`` is a pure function of (seed, i)."""

    stills: tuple[Still, ...]
    clips: tuple[Clip, ...]
    size: int
    seed: int
    mix: FootageMix | None = None  # data sets, in place of the clips

    def __getitem__(self, index: int) -> Pixels:
        """View ``index``, (size, size, 3) uint8 RGB; black where it reaches past the picture."""
        rng = np.random.default_rng((self.seed, index, 7))
        if self.mix is not None and (not self.stills or rng.random() < CLIP_SHARE):
            image = self.mix.frame(rng)
        elif self.clips and (not self.stills or rng.random() < CLIP_SHARE):
            clip = self.clips[rng.integers(len(self.clips))]
            image = clip.pixels(int(rng.integers(len(clip.frames))))
        else:
            image = self.stills[rng.integers(len(self.stills))].pixels()
        height, width = image.shape[:2]
        side = min(height, width) * float(np.exp(rng.uniform(np.log(0.3), np.log(1.4))))
        crop = SquareCrop(
            cx=width * rng.uniform(0.2, 0.8), cy=height * rng.uniform(0.2, 0.8), side=side, size=self.size
        )
        view = cut(image, crop)
        if rng.random() < 0.5:
            view = np.ascontiguousarray(view[:, ::-1])
        outside = ~view.any(-1)
        if rng.random() < 0.6:
            curve, saturation = colour_curve(rng, 0.6)
            view = degrade(recolour(view, curve, saturation), rng, detail=1.0, grey=rng.random() < 0.15)
        view[outside] = 0
        return view


class ViewDataset(Dataset[dict[str, Any]]):
    """Views by index: image (3, S, S) normalised, and the teacher's features (channels, S / 16, S / 16)."""

    def __init__(self, source: ViewSource, first: int, count: int, teacher: FeatureTeacher) -> None:
        self.source, self.first, self.count, self.teacher = source, first, count, teacher

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index >= self.count:
            raise IndexError(index)
        view = self.source[self.first + index]
        return {"image": normalise(view), "teacher": self.teacher(view[None])[0]}


@dataclass
class DistilTask:
    """Learns ``teacher(image)`` by ``model(image)``; the model gives as many channels as the teacher."""

    model: nn.Module
    source: ViewSource
    teacher: FeatureTeacher
    batch: int = 16
    steps: int = 1000
    workers: int = 1

    def batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        """The batches from step ``start`` on; see ``ViewDataset``. The first views are held out."""
        first = NUM_HELD_OUT + start * self.batch
        data = ViewDataset(self.source, first, (self.steps - start) * self.batch, self.teacher)
        yield from batches_of(data, self.batch, self.workers)

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """Smooth L1 between the features, and the cosine of their cells for the log."""
        features: Tensor = self.model(batch["image"].contiguous(memory_format=torch.channels_last)).float()
        loss = feature_distance(features, batch["teacher"])
        cosine = functional.cosine_similarity(features.detach(), batch["teacher"], dim=1).mean()
        return loss, {"loss": loss.item(), "cosine": cosine.item()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Mean cosine of the features' cells over views that were not trained on."""
        cosines = []
        for batch in batches_of(ViewDataset(self.source, 0, NUM_HELD_OUT, self.teacher), 16, 0):
            cosines.append(
                functional.cosine_similarity(model(batch["image"]), batch["teacher"], dim=1).mean()
            )
        return {"held_out_cosine": round(float(torch.stack(cosines).mean()), 4)}
