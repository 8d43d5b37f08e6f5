"""Training a ViL-Tracker: samples by curriculum, search crops in order, every loss by name."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ..tracking.losses import heat_map, tracking_losses
from ..tracking.samples import SampleSource
from ..tracking.task import SampleDataset, best_overlap
from ..tracking.teacher import FeatureTeacher
from ..training.loaders import batches_of, moved
from .curriculum import CurriculumConfig
from .film import pooled
from .losses import AdaptiveWeights, LossConfig, feature_imitation, memory_contrast, total_loss
from .model import VilTracker

HELD_OUT = 256
"""Samples of a validation."""


class CurriculumDataset(Dataset[dict[str, Any]]):
    """``SampleDataset`` by curriculum; beside each sample its stage's ``film`` and ``ease``, both scalars."""

    def __init__(
        self,
        source: SampleSource,
        curriculum: CurriculumConfig,
        first: int,
        count: int,
        teacher: FeatureTeacher | None = None,
    ) -> None:
        self.source, self.curriculum, self.teacher = source, curriculum, teacher
        self.first, self.count = first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index >= self.count:
            raise IndexError(index)
        place = self.first + index
        stage = self.curriculum.stage(place)
        source = self.curriculum.source(self.source, stage.difficulty)
        sample = SampleDataset(source, place, 1, self.teacher)[0]
        return {**sample, "film": torch.tensor(stage.film), "ease": torch.tensor(stage.ease)}


@dataclass
class VilTask:
    """The training task of a ViL-Tracker."""

    model: VilTracker
    source: SampleSource
    held_out: SampleSource | None
    curriculum: CurriculumConfig
    losses: LossConfig = field(default_factory=LossConfig)
    batch: int = 32
    steps: int = 1000
    workers: int = 1
    carry_share: float = 0.5
    teacher: FeatureTeacher | None = None

    def __post_init__(self) -> None:
        if self.losses.adaptive:
            self.model.add_module("adaptive", AdaptiveWeights())
        if self.teacher is not None:
            project = nn.Conv2d(self.model.config.dim, self.teacher.channels, 1)
            self.model.add_module("teacher_head", project)

    @property
    def phases(self) -> dict[int, str]:
        """The steps from which on something is different, and what."""
        epoch = self.curriculum.epoch_samples / self.batch
        joined = math.ceil(self.curriculum.film_epoch * epoch) if self.model.config.temporal == "film" else 0
        found = {0: "training"} | ({joined: "with temporal features"} if joined else {})
        ramped = math.ceil(self.curriculum.ramp_epochs * epoch)
        return {**found, **({ramped: "at full difficulty"} if ramped else {})}

    def batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        """The batches of a run from step ``start`` to its end; see ``CurriculumDataset``."""
        count = (self.steps - start) * self.batch
        data = CurriculumDataset(self.source, self.curriculum, start * self.batch, count, self.teacher)
        yield from batches_of(data, self.batch, self.workers)

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """Runs the template once and the searches in order, some going on from the features of the last.

        Returns the weighted total and every loss by name, unweighted. Raises TrainingError when one is not
        finite.
        """
        search, film = batch["search"], batch["film"].to(batch["search"].dtype)
        searches = search.shape[1]
        state = self.model.init(batch["template"])
        sums: dict[str, Tensor] = {}
        for k in range(searches):
            going_on = (batch["chance"][:, k] < self.carry_share).to(film.dtype)
            carry = torch.zeros_like(film) if k == 0 else going_on * film
            seen = self.model.look(search[:, k], carry, state)
            state = {**state, **seen.written}
            boxes, visible = batch["boxes"][:, k], batch["visible"][:, k]
            losses = tracking_losses(seen.maps, boxes, visible)
            if self.losses.contrast and "temporal.start" in state:
                look = target_look(seen.features, boxes)
                memory = state["temporal.start"]
                losses["contrast"] = memory_contrast(memory, look, visible, self.losses.temperature)
            if "teacher" in batch:
                student = self.model.get_submodule("teacher_head")(seen.features)
                losses["teacher"] = feature_imitation(student, batch["teacher"][:, k], boxes)
            for name, value in losses.items():
                sums[name] = sums[name] + value / searches if name in sums else value / searches
        adaptive = self.model.get_submodule("adaptive") if self.losses.adaptive else None
        assert adaptive is None or isinstance(adaptive, AdaptiveWeights)
        total = total_loss(sums, self.losses, adaptive, batch["ease"].mean())
        return total, {"loss": total.item(), **{name: value.item() for name, value in sums.items()}}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Mean IoU of the best-scored cell's box on held-out samples, without and with temporal features."""
        assert isinstance(model, VilTracker)
        if self.held_out is None:
            return {}
        overlaps: dict[str, list[Tensor]] = {"iou_restart": [], "iou_carry": []}
        device = next(model.parameters()).device
        for batch in moved(batches_of(SampleDataset(self.held_out, 0, HELD_OUT, None), 32, 0), device):
            for name, carry in (("iou_restart", 0.0), ("iou_carry", 1.0)):
                state = model.init(batch["template"])
                maps: dict[str, Tensor] = {}
                for k in range(batch["search"].shape[1]):
                    share = batch["search"].new_full((len(batch["search"]),), carry if k else 0.0)
                    maps, written = model.step(batch["search"][:, k], share, state)
                    state = {**state, **written}
                overlap = best_overlap(maps, batch["boxes"][:, -1])
                overlaps[name].append(overlap[batch["visible"][:, -1]])
        return {name: round(float(torch.cat(values).mean()), 4) for name, values in overlaps.items()}


def target_look(features: Tensor, boxes: Tensor) -> Tensor:
    """The mean (B, dim) of features (B, dim, G, G) where the target truly is; boxes (B, 4) as shares."""
    weights = heat_map(boxes, torch.ones_like(boxes[:, 0]), features.shape[-1])
    return pooled(features.flatten(2).transpose(1, 2), weights.flatten(1).to(features.dtype))
