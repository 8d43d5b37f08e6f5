"""Sequence-level training: the model follows stretches of video by its own answers, and learns from the last.

A stretch is followed without gradients up to its last ``gradient`` frames, which are learned from: crops,
history boxes and state are the tracker's own all along, so it learns from the errors that it makes. Around
every frame's target a window is kept, wide enough for a tracker that strays; one that leaves it is put back
on the target.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ...errors import DataError, ImageError, OptionError
from ...vision.box import Box
from ...vision.crop import IMAGENET_MEAN, IMAGENET_STD, SquareCrop, around, cut, normalise
from ..datasets.footage import TRIES, FootageMix, Stretch
from ..tracking.losses import weighted_total
from ..training.loaders import batches_of
from .config import ArtrackMambaV2Config
from .losses import LOSS_WEIGHTS, cut_views, overlap, trajectory_losses
from .model import ArtrackMambaV2
from .task import PairTask, learned_step, templates_of
from .vocabulary import read_boxes, to_words

SURE = 0.35
"""Score from which a frame hands its state on, as the engine's option ``sure``."""
FLOOR = np.array([-np.inf, -np.inf, 1, 1])
"""Least x, y, w and h of a target that counts as seen."""
WINDOW = 2
"""Side of a window, in search crops."""


@dataclass(frozen=True)
class SequenceConfig:
    """``frames`` of a stretch after its first one, the last ``gradient`` of them learned from."""

    frames: int = 16
    gradient: int = 4
    most_step: int = 2  # video frames from one of them to the next

    def __post_init__(self) -> None:
        if not 1 <= self.gradient <= self.frames or self.most_step < 1:
            raise OptionError(
                f"frames is {self.frames}, gradient {self.gradient} and most_step {self.most_step}",
                "learn from 1 to all of the frames, and step by 1 or more",
            )


class StretchDataset(Dataset[dict[str, Any]]):
    """Stretches by index: a pure function of seed and index.

    template (3, S_z, S_z) normalised, windows (N, W, W, 3) uint8 with places (N, 3) left, top, side and boxes
    (N, 4) x, y, w, h in image pixels, first (4,) the box of the template, visible (N,).
    """

    def __init__(
        self,
        mix: FootageMix,
        config: ArtrackMambaV2Config,
        plan: SequenceConfig,
        seed: int,
        first: int,
        count: int,
    ) -> None:
        self.mix, self.config, self.plan, self.seed = mix, config, plan, seed
        self.first, self.count = first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index >= self.count:
            raise IndexError(index)
        rng = np.random.default_rng((self.seed, self.first + index))
        for _ in range(TRIES):
            stretch = self.mix.stretch(rng, self.plan.frames + 1, self.plan.most_step)
            mirror = bool(rng.random() < 0.5)
            try:
                return self.sample(stretch, mirror)
            except ImageError:
                self.mix.skip()
        raise DataError(f"pictures of {TRIES} drawn sequences do not decode", "get undamaged copies of them")

    def sample(self, stretch: Stretch, mirror: bool) -> dict[str, Any]:
        """A stretch as arrays, perhaps mirrored."""
        c = self.config
        boxes = stretch.boxes
        visible: npt.NDArray[np.bool_] = np.all(np.isfinite(boxes) & (np.nan_to_num(boxes) >= FLOOR), axis=1)
        first = Box(*boxes[0])
        template = cut(stretch.pixels(0), around(first, c.template_factor, c.template_size))
        windows, places, last = [], [], first
        for index in range(1, len(boxes)):
            last = Box(*boxes[index]) if visible[index] else last
            side = WINDOW * c.search_factor * float(np.sqrt(last.w * last.h))
            crop = SquareCrop(*last.centre, side, WINDOW * c.search_size)
            windows.append(cut(stretch.pixels(index), crop))
            places.append((crop.left, crop.top, side))
        place, known = np.array(places, np.float32), np.nan_to_num(boxes).astype(np.float32)
        view, window = template, np.stack(windows)
        if mirror:  # about the image's left edge
            view, window = np.ascontiguousarray(view[:, ::-1]), np.ascontiguousarray(window[:, :, ::-1])
            place[:, 0] = -place[:, 0] - place[:, 2]
            known[:, 0] = -known[:, 0] - known[:, 2]
        return {
            "template": normalise(view),
            "windows": window,
            "places": place,
            "boxes": known[1:],
            "first": known[0],
            "visible": visible[1:],
        }


@dataclass
class SequenceTask:
    """The training task on sequences; validated on held-out pairs, as ``pairs`` is."""

    pairs: PairTask
    mix: FootageMix
    plan: SequenceConfig
    seed: int = 0

    @property
    def model(self) -> ArtrackMambaV2:
        """What is trained, in place."""
        return self.pairs.model

    def batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        """The batches of a run from step ``start`` to its end; see ``StretchDataset``."""
        batch = self.pairs.batch
        count = (self.pairs.steps - start) * batch
        data = StretchDataset(self.mix, self.model.config, self.plan, self.seed, start * batch, count)
        yield from batches_of(data, batch, self.pairs.workers)

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """Follows each stretch; the mean of the last frames' losses, and every term by name.

        ``iou`` is the mean overlap over the whole stretch. Raises TrainingError when a term is not finite.
        """
        follower = Follower(self.model, batch)
        sums: dict[str, Tensor] = {}
        for index in range(self.plan.frames):
            learn = index >= self.plan.frames - self.plan.gradient
            with torch.set_grad_enabled(learn and torch.is_grad_enabled()):
                losses = follower.follow(index)
            if learn:
                for name, value in losses.items():
                    part = value / self.plan.gradient
                    sums[name] = sums[name] + part if name in sums else part
        total = weighted_total(sums, LOSS_WEIGHTS)
        terms = {name: value.item() for name, value in sums.items()}
        return total, {"loss": total.item(), **terms, "iou": follower.mean_overlap}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """See ``PairTask.validate``."""
        return self.pairs.validate(model)


class Follower:
    """A batch of stretches, each followed by the model's own answers."""

    def __init__(self, model: ArtrackMambaV2, batch: dict[str, Tensor]) -> None:
        self.model, self.batch = model, batch
        self.box = batch["first"]  # (B, 4) x, y, w, h in image pixels: what is believed
        self.recent = self.box.unsqueeze(1).expand(-1, model.config.history, -1)
        self.carry = batch["first"].new_zeros(len(self.box))
        self.state = model.init(templates_of(batch["template"], model.config))
        self.overlaps: list[Tensor] = []

    @property
    def mean_overlap(self) -> float:
        """Over all frames so far with a target."""
        return float(torch.cat(self.overlaps).mean()) if self.overlaps else 0.0

    def follow(self, index: int) -> dict[str, Tensor]:
        """One frame: crop, step, answer; returns its losses."""
        config, batch = self.model.config, self.batch
        truth, visible, place = (batch[name][:, index] for name in ("boxes", "visible", "places"))
        side = (self.box[:, 2:].prod(1).sqrt() * config.search_factor).ceil().clamp(min=2)
        corner = (self.box[:, :2] + self.box[:, 2:] / 2 - side[:, None] / 2).round()
        windows = batch["windows"][:, index].permute(0, 3, 1, 2).float()
        shares = (corner - place[:, :2]) / place[:, 2:], side / place[:, 2]
        view = normalised(cut_views(windows, *shares, config.search_size))  # black outside, as the engine's

        def in_crop(boxes: Tensor) -> Tensor:  # (B, ..., 4) x, y, w, h -> left, top, right, bottom as shares
            corners = torch.cat([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], dim=-1)
            shape = (-1, *[1] * (boxes.dim() - 2))
            return (corners - corner.repeat(1, 2).reshape(*shape, 4)) / side.reshape(*shape, 1)

        words = to_words(in_crop(self.recent), config).flatten(1)
        wanted = in_crop(truth)
        middle = (wanted[:, :2] + wanted[:, 2:]) / 2
        visible = visible & ((middle > 0) & (middle < 1)).all(1)  # the crop shows it
        outputs, written, redrawn = learned_step(
            self.model, view, words, self.carry, self.state, wanted, visible
        )
        self.state = {**self.state, **written}
        losses = {**trajectory_losses(outputs, wanted, visible, config), **redrawn}
        self.move(outputs, corner, side, truth, place)
        found = torch.cat([self.box[:, :2], self.box[:, :2] + self.box[:, 2:]], dim=1)
        real = torch.cat([truth[:, :2], truth[:, :2] + truth[:, 2:]], dim=1)
        self.overlaps.append(overlap(found, real)[batch["visible"][:, index]].detach())
        return losses

    @torch.no_grad()
    def move(
        self, outputs: dict[str, Tensor], corner: Tensor, side: Tensor, truth: Tensor, place: Tensor
    ) -> None:
        """Takes the answer for the new box, or the truth where that left the window or has no sane size."""
        corners = read_boxes(outputs["logits"], self.model.config) * side[:, None] + corner.repeat(1, 2)
        size = (corners[:, 2:] - corners[:, :2]).clamp(min=2)
        middle = (corners[:, 2:] + corners[:, :2]) / 2
        nominal = place[:, 2:] / (WINDOW * self.model.config.search_factor)  # extent of the target
        off = (middle - place[:, :2] - place[:, 2:] / 2).abs() > place[:, 2:] / 2
        odd = (size > 5 * nominal) | (size < nominal / 5)
        lost = (off | odd).any(1, keepdim=True) & (truth[:, 2:] > 0).all(1, keepdim=True)
        self.box = torch.where(lost, truth, torch.cat([middle - size / 2, size], dim=1))
        self.recent = torch.cat([self.recent[:, 1:], self.box.unsqueeze(1)], dim=1)
        self.carry = (outputs["score"][:, 0] >= SURE).to(self.carry.dtype) * (~lost[:, 0])


def normalised(pictures: Tensor) -> Tensor:
    """Pictures (B, 3, H, W), from 0 to 255, as the model wants them; see ``vision.crop.normalise``."""
    mean, std = (
        torch.tensor(values, device=pictures.device).reshape(3, 1, 1)
        for values in (IMAGENET_MEAN, IMAGENET_STD)
    )
    return (pictures / 255 - mean) / std
