"""Training a tracker: samples into batches, carried state between search crops, optional feature teacher."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ...errors import DataError
from ...vision.crop import normalise
from ..artrack_mamba import ArtrackMamba
from ..training.loaders import batches_of, moved
from .losses import (
    Maps,
    answer_distance,
    decode_maps,
    feature_distance,
    tracking_losses,
    weighted_total,
)
from .samples import SampleSource
from .teacher import AnswerTeacher, FeatureTeacher

LOSS_WEIGHTS = {"heat": 1.0, "giou": 2.0, "l1": 1.0, "uncertainty": 0.1, "teacher": 2.0, "answer": 1.0}


class SampleDataset(Dataset[dict[str, Any]]):
    """Samples by index, normalised, with a teacher's features beside them where there is a teacher.

    template (3, S_z, S_z), search (K, 3, S_x, S_x), boxes (K, 4) as x, y, w, h in shares of the search crop,
    visible (K,), chance (K,) uniform in [0, 1), perhaps teacher (K, channels, G, G) and answer (K, 5, G, G).
    The task decides by ``chance``; drawn here, it follows from seed and index as the sample does, so a
    resumed run sees the same.
    """

    def __init__(
        self,
        source: SampleSource,
        first: int,
        count: int,
        teacher: FeatureTeacher | None,
        answers: AnswerTeacher | None = None,
    ) -> None:
        self.source, self.first, self.count = source, first, count
        self.teacher, self.answers = teacher, answers

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index >= self.count:
            raise IndexError(index)
        sample = self.source[self.first + index]
        result: dict[str, Any] = {
            "template": normalise(sample["template"]),
            "search": normalise(sample["search"]),
            "boxes": sample["boxes"] / self.source.config.search_size,
            "visible": sample["visible"],
            "chance": np.random.default_rng((self.source.seed, self.first + index, 1)).random(
                len(sample["visible"]), np.float32
            ),
        }
        if self.teacher is not None:
            result["teacher"] = self.teacher(sample["search"])
            if self.answers is not None:
                template = self.teacher(sample["template"][None])
                result["answer"] = self.answers(template, result["teacher"])
        return result


@dataclass
class TrackerTask:
    """The training task of an ARTrackMamba tracker."""

    model: ArtrackMamba
    source: SampleSource
    held_out: SampleSource | None
    batch: int = 16
    steps: int = 1000
    workers: int = 1
    teacher: Path | None = None
    teacher_head: Path | None = None
    carry_share: float = 0.5

    def __post_init__(self) -> None:
        for path in (self.teacher, self.teacher_head):
            if path is not None and not path.exists():
                raise DataError(f"teacher {path} does not exist", "give the ONNX file of one, or none")
        self._teacher = None if self.teacher is None else FeatureTeacher(self.teacher)
        if self._teacher is not None:
            wide = self.model.config.stem_dim
            same = wide == self._teacher.channels  # then the stem has the teacher's own channels to learn
            self.model.add_module(
                "teacher_head", nn.Identity() if same else nn.Conv2d(wide, self._teacher.channels, 1)
            )
        self._answers = None if self.teacher_head is None else AnswerTeacher(self.teacher_head)
        if self._answers is not None:
            self.model.add_module("answer_head", nn.Conv2d(self.model.config.head_dim, 5, 1))

    def batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        """The batches of a run from step ``start`` to its end; see ``SampleDataset``."""
        data = SampleDataset(
            self.source,
            start * self.batch,
            (self.steps - start) * self.batch,
            self._teacher,
            self._answers,
        )
        yield from batches_of(data, self.batch, self.workers)

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """Runs the template once and the searches in order, sometimes carrying the state between them.

        Returns the weighted total and every term by name. Raises TrainingError when a term is not finite.
        """
        template, search = batch["template"], batch["search"]
        size, searches = search.shape[:2]
        state = self.model.init(template)
        features = self.model.stem(search.flatten(0, 1)).unflatten(0, (size, searches))
        sums: dict[str, Tensor] = {}
        for k in range(searches):
            chance = batch["chance"][:, k]
            carry = torch.zeros_like(chance) if k == 0 else (chance < self.carry_share).to(chance.dtype)
            trunk, written = self.model.step_trunk(features[:, k], carry, state)
            state = {**state, **written}
            maps = self.model.head.maps(trunk)
            losses = tracking_losses(maps, batch["boxes"][:, k], batch["visible"][:, k])
            if "answer" in batch:
                raw = self.model.get_submodule("answer_head")(trunk).float()
                losses["answer"] = answer_distance(raw, batch["answer"][:, k], self.model.config.search_size)
            for name, value in losses.items():
                sums[name] = sums.get(name, torch.zeros(())) + value / searches
        if "teacher" in batch:
            student = self.model.get_submodule("teacher_head")(features.flatten(0, 1))
            sums["teacher"] = feature_distance(student.float(), batch["teacher"].flatten(0, 1))
        total = weighted_total(sums, LOSS_WEIGHTS)
        return total, {"loss": total.item(), **{name: value.item() for name, value in sums.items()}}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Mean IoU of the best-scored cell's box on held-out samples, restarting and carrying the state."""
        assert isinstance(model, ArtrackMamba)
        if self.held_out is None:
            return {}
        overlaps: dict[str, list[Tensor]] = {"iou_restart": [], "iou_carry": []}
        device = next(model.parameters()).device
        loader = moved(batches_of(SampleDataset(self.held_out, 0, 256, None), 32, 0), device)
        for batch in loader:
            seen = batch["visible"][:, -1]
            for name, carry in (("iou_restart", 0.0), ("iou_carry", 1.0)):
                maps = follow(model, batch["template"], batch["search"], carry)
                overlaps[name].append(best_overlap(maps, batch["boxes"][:, -1])[seen])
        return {name: round(float(torch.cat(values).mean()), 4) for name, values in overlaps.items()}


def follow(model: ArtrackMamba, template: Tensor, search: Tensor, carry: float) -> Maps:
    """The maps of the last of the search crops (B, K, 3, S_x, S_x), after all of them in order."""
    state = model.init(template)
    maps: Maps = {}
    for k in range(search.shape[1]):
        maps, written = model.step(search[:, k], search.new_full((len(search),), carry if k else 0.0), state)
        state = {**state, **written}
    return maps


def best_overlap(maps: dict[str, Tensor], boxes: Tensor) -> Tensor:
    """(B,) IoU of the box at the best-scored cell with the true one (x, y, w, h, shares of the crop)."""
    best = maps["score"].flatten(1).argmax(1)
    decoded = decode_maps(maps).flatten(2)
    picked = decoded[torch.arange(len(best)), :, best]
    truth = torch.cat([boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]], dim=1)
    low = torch.maximum(picked[:, :2] - picked[:, 2:] / 2, truth[:, :2] - truth[:, 2:] / 2)
    high = torch.minimum(picked[:, :2] + picked[:, 2:] / 2, truth[:, :2] + truth[:, 2:] / 2)
    shared = (high - low).clamp(min=0).prod(1)
    union = picked[:, 2:].prod(1) + truth[:, 2:].prod(1) - shared
    return shared / union.clamp(min=1e-9)
