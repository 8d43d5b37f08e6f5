"""Learning a late part of the model, and nothing else: what comes before it is computed once for each sample.

Such a part is ``rest`` (where to rest) or ``refine`` (how the warped frames are mended). After either, both
frames are warped and mended, and that is all. So a step costs a fraction of one through the whole model, and
few weights see many samples in little time.

Half of a motion is worse than all or nothing of it, so a place that begins to rest is punished at first, and
never would. In the first half of a run of ``rest`` a frame is therefore mixed of two that are whole, one with
all motion and one with none; in the second half, and with ``refine``, it is the frame that the model makes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import TrainingError
from .cache import CachedClip
from .layers import enlarge
from .losses import charbonnier, edge_distance, laplacian_distance, log_error
from .model import HybridInterpolator
from .rest import at_rest
from .samples import TripletConfig, TripletSource
from .task import LossConfig, picture, validated

LatePart = Literal["rest", "refine"]
NEVER = -60.0  # a logit
CHOSEN = 1 << 32
"""Seeds of what samples a step sees begin here, beyond those of the samples."""


@dataclass
class LateTask:
    """The training task of one ``part`` of a model, over ``count`` samples that are kept in memory.

    Of each sample: its frames; what the coarse and the fine part of ``rest`` are told; flow and mask where
    nothing rests. Times are the middle.
    """

    model: HybridInterpolator
    source: TripletSource
    held_out: list[CachedClip]
    part: LatePart
    count: int
    batch: int = 8
    steps: int = 1000
    losses: LossConfig = field(default_factory=LossConfig)
    curriculum: TripletConfig = field(default_factory=TripletConfig)
    phases: dict[int, str] = field(default_factory=dict)
    kept: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        """The batches of a run from step ``start`` to its end; the same whether it was interrupted or not."""
        if not self.kept:
            self.kept = self.computed()
        for step in range(start, self.steps):
            rng = np.random.default_rng((self.source.seed, CHOSEN + step))
            chosen = torch.from_numpy(rng.choice(self.count, self.batch, replace=self.batch > self.count))
            yield {**{name: values[chosen] for name, values in self.kept.items()}, "step": torch.tensor(step)}

    @torch.no_grad()
    def computed(self) -> dict[str, Tensor]:
        """What is kept of all samples, by name: (count, …), what is told in half precision."""
        rest, size = self.model.rest, self.curriculum.crop_at(0)
        assert rest is not None, "the recipe was checked"
        told: dict[str, Tensor] = {}
        last = rest.fine[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        before = last.bias.clone()
        handles = [
            part.register_forward_pre_hook(lambda _, given, name=name: told.update({name: given[0]}))
            for name, part in (("coarse", rest.coarse), ("fine", rest.fine))
        ]
        rows: dict[str, list[Tensor]] = {}
        try:
            last.bias.fill_(NEVER)
            for index in range(self.count):
                sample = {
                    name: torch.from_numpy(x)[None] for name, x in self.source.sample(index, size).items()
                }
                ones, others = (self.model.encode(picture(sample[name])) for name in ("first", "second"))
                motion, _ = self.model.motion(ones, others, {}, sample["start"], sample["bend"])
                _, known = self.model.interpolate(ones, others, motion, sample["t"])
                pictures = {name: sample[name][0] for name in ("first", "second", "target")}
                halves = {name: value[0].half() for name, value in told.items()}
                for name, value in {**pictures, **halves, "known": known[0]}.items():
                    rows.setdefault(name, []).append(value)
        finally:
            last.bias.copy_(before)
            for handle in handles:
                handle.remove()
        return {name: torch.stack(values) for name, values in rows.items()}

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """The weighted total, and every term by name. Raises TrainingError when it is not finite."""
        rest, weights = self.model.rest, self.losses
        assert rest is not None, "the recipe was checked"
        first, second, real = (picture(batch[name]) for name in ("first", "second", "target"))
        fine, mixed = batch["fine"].float(), 0.5 * (first + second)
        share = torch.sigmoid(enlarge(rest.coarse(batch["coarse"].float()), 2) + rest.fine(fine))
        if self.part == "rest" and int(batch["step"]) < self.steps // 2:
            with torch.no_grad():
                moved = self.shown(batch, torch.zeros_like(share))
            shown = moved + enlarge(share, 4) * (mixed - moved)
        else:
            shown = self.shown(batch, share)
        terms: dict[str, Any] = {
            "laplacian": laplacian_distance(shown, real),
            "charbonnier": charbonnier(shown, real),
            "edges": edge_distance(shown, real),
            "log_error": log_error(shown, real),
        }
        total = sum((getattr(weights, name) * value for name, value in terms.items()), torch.zeros(()))
        if not torch.isfinite(total):
            raise TrainingError(f"the loss is {total.item()}", "lower the learning rate")
        above = 10 * (log_error(mixed, real) - log_error(shown, real))
        told = {"above_mix_db": above, "resting": share.mean()}
        return total, {"loss": total.item(), **{k: v.item() for k, v in {**terms, **told}.items()}}

    def shown(self, batch: dict[str, Tensor], share: Tensor) -> Tensor:
        """The frames that the model makes where so much of each place rests, (B, 1, H/4, W/4)."""
        first, second = (picture(batch[name]) for name in ("first", "second"))
        known = at_rest(batch["known"], 1 - share, share.new_full((len(first), 1), 0.5))
        trunk = batch["fine"][:, : self.model.config.flow_width[2]].float()
        return self.model.shown(first, second, known, trunk, 1 - share)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """As for the whole model, on the held-out clips."""
        return validated(model, self.held_out)
