"""Training on pairs: a template and a few search crops of it, with histories as a tracker would have them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ..tracking.losses import weighted_total
from ..tracking.samples import SampleSource
from ..tracking.task import SampleDataset
from ..training.loaders import batches_of, moved
from .config import ArtrackMambaV2Config
from .losses import LOSS_WEIGHTS, overlap, target_view, trajectory_losses
from .model import ArtrackMambaV2, Outputs
from .vocabulary import read_boxes, to_words

HELD_OUT = 256
"""Samples of a validation."""


class TrajectoryDataset(Dataset[dict[str, Any]]):
    """``SampleDataset`` with corners (K, 4) for boxes, and made-up histories (K, P, 4), in shares."""

    def __init__(self, source: SampleSource, history: int, first: int, count: int) -> None:
        self.source, self.history, self.first, self.count = source, history, first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index >= self.count:
            raise IndexError(index)
        place = self.first + index
        sample = SampleDataset(self.source, place, 1, None)[0]
        boxes = np.asarray(sample.pop("boxes"), np.float32)
        rng = np.random.default_rng((self.source.seed, place, 2))
        factor = self.source.config.search_factor
        histories = [made_up_history(rng, box[2:], self.history, factor) for box in boxes]
        corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
        return {**sample, "corners": corners, "history": np.stack(histories)}


def made_up_history(
    rng: np.random.Generator, size: npt.NDArray[np.float32], history: int, factor: float
) -> npt.NDArray[np.float32]:
    """Boxes (P, 4) that a tracker might have had before a crop, the last one being what it was laid around.

    ``size`` (2,) is the true one, shares of the crop. At times it stands still, as when tracking begins.
    """
    aspect = float(np.sqrt(max(size[0], 1e-3) / max(size[1], 1e-3))) * float(np.exp(rng.normal(0, 0.1)))
    last = np.array([0.5, 0.5, aspect / factor, 1 / aspect / factor])
    steps = np.zeros((history, 4))
    if rng.random() > 0.25:
        speed = rng.normal(0, 0.04, 2)
        steps[:-1, :2] = speed + rng.normal(0, 0.01, (history - 1, 2))
        steps[:-1, 2:] = rng.normal(0, 0.02, (history - 1, 2))
    back = np.cumsum(steps[::-1], axis=0)[::-1]  # from the last box into the past
    centre, sides = last[:2] - back[:, :2], last[2:] * np.exp(back[:, 2:])
    return np.concatenate([centre - sides / 2, centre + sides / 2], axis=1).astype(np.float32)


@dataclass
class PairTask:
    """The training task on pairs."""

    model: ArtrackMambaV2
    source: SampleSource
    held_out: SampleSource | None
    batch: int = 16
    steps: int = 1000
    workers: int = 1
    carry_share: float = 0.5

    def batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        """The batches of a run from step ``start`` to its end; see ``TrajectoryDataset``."""
        count = (self.steps - start) * self.batch
        data = TrajectoryDataset(self.source, self.model.config.history, start * self.batch, count)
        yield from batches_of(data, self.batch, self.workers)

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """Runs the templates once and the searches in order, some going on from the one before.

        Returns the weighted total and every term by name. Raises TrainingError when a term is not finite.
        """
        config = self.model.config
        search = batch["search"]
        searches = search.shape[1]
        state = self.model.init(templates_of(batch["template"], config))
        sums: dict[str, Tensor] = {}
        for k in range(searches):
            carry = (batch["chance"][:, k] < self.carry_share).to(search.dtype) * (1.0 if k else 0.0)
            words = to_words(batch["history"][:, k], config).flatten(1)
            boxes, visible = batch["corners"][:, k], batch["visible"][:, k]
            outputs, written, redrawn = learned_step(
                self.model, search[:, k], words, carry, state, boxes, visible
            )
            state = {**state, **written}
            losses = trajectory_losses(outputs, boxes, visible, config)
            for name, value in {**losses, **redrawn}.items():
                sums[name] = sums[name] + value / searches if name in sums else value / searches
        total = weighted_total(sums, LOSS_WEIGHTS)
        return total, {"loss": total.item(), **{name: value.item() for name, value in sums.items()}}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Mean IoU on held-out samples of the last crop, restarting and carrying on."""
        assert isinstance(model, ArtrackMambaV2)
        if self.held_out is None:
            return {}
        found: dict[str, list[Tensor]] = {"iou_restart": [], "iou_carry": []}
        data = TrajectoryDataset(self.held_out, model.config.history, 0, HELD_OUT)
        for batch in moved(batches_of(data, 32, 0), next(model.parameters()).device):
            seen = batch["visible"][:, -1]
            for name, carry in (("iou_restart", 0.0), ("iou_carry", 1.0)):
                state = model.init(templates_of(batch["template"], model.config))
                outputs: Outputs = {}
                for k in range(batch["search"].shape[1]):
                    words = to_words(batch["history"][:, k], model.config).flatten(1)
                    sure = batch["chance"].new_full((len(seen),), carry if k else 0.0)
                    outputs, written = model.step(batch["search"][:, k], words, sure, state)
                    state = {**state, **written}
                boxes = read_boxes(outputs["logits"], model.config)
                found[name].append(overlap(boxes, batch["corners"][:, -1])[seen])
        return {name: round(float(torch.cat(values).mean()), 4) for name, values in found.items()}


def templates_of(template: Tensor, config: ArtrackMambaV2Config) -> Tensor:
    """One template (B, 3, S, S) as often as the model wants templates, as when tracking begins."""
    return (
        template if config.templates == 1 else template.unsqueeze(1).expand(-1, config.templates, -1, -1, -1)
    )


def learned_step(
    model: ArtrackMambaV2,
    search: Tensor,
    words: Tensor,
    carry: Tensor,
    state: dict[str, Tensor],
    boxes: Tensor,
    visible: Tensor,
) -> tuple[Outputs, dict[str, Tensor], dict[str, Tensor]]:
    """``model.step``, with the loss of the dynamic template that it draws (where it draws one).

    It is learned with most tokens hidden, as a masked autoencoder; the next frame gets it drawn from all.
    """
    config = model.config
    trunk, written = model.step_trunk(model.tokens.crop(search), words, carry, state)
    outputs = model.head(trunk)
    if not config.dynamic:
        return outputs, written, {}
    own = trunk[:, : config.template_grid**2]
    hide = torch.rand(own.shape[:2], device=own.device) < config.redraw_hidden
    drawn = model.redraw(own, hide)
    wanted = model.tokens.pixels(target_view(search, boxes, config).to(drawn.dtype))
    wrong = (drawn - wanted).square().mean((1, 2)) * visible.to(drawn.dtype)
    written["dynamic.tokens"] = model.tokens.drawn(model.redraw(own))
    return outputs, written, {"redraw": wrong.sum() / visible.sum().clamp(min=1)}
