"""Learning a late part of the model, and nothing else: what comes before it is computed once for each sample.

Such a part is ``rest`` (where to rest) or ``refine`` (how the warped frames are mended). After either, both
frames are warped and mended, and that is all. So a step costs a fraction of one through the whole model, and
few weights see many samples in little time.

Half of a motion is worse than all or nothing of it, so a place that begins to rest is punished at first, and
never would. In the first half of a run of ``rest`` a frame is therefore mixed of two that are whole, one with
all motion and one with none; in the second half, and with ``refine``, it is the frame that the model makes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

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

LatePart = Literal["rest", "refine", "pick"]
LEARNING: Mapping[LatePart, tuple[str, ...]] = MappingProxyType(
    {"rest": ("rest",), "refine": ("refine",), "pick": ("pick", "refine")}
)
"""What of a model learns with each part: what is picked is mended, too."""


def terms_of(shown: Tensor, real: Tensor) -> dict[str, Tensor]:
    """How far made frames are from real ones, by the names of `LossConfig`."""
    return {
        "laplacian": laplacian_distance(shown, real),
        "charbonnier": charbonnier(shown, real),
        "edges": edge_distance(shown, real),
        "log_error": log_error(shown, real),
    }


def reported(total: Tensor, told: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
    """A loss, and what the log says of it. Raises TrainingError where it is not finite."""
    if not torch.isfinite(total):
        raise TrainingError(f"the loss is {total.item()}", "lower the learning rate")
    return total, {"loss": total.item(), **{name: value.item() for name, value in told.items()}}


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
        names = {rest.coarse: ("coarse",), rest.fine: ("fine",), **self.also_told()}
        handles = [
            part.register_forward_pre_hook(
                lambda _, given, called=called: told.update(zip(called, given, strict=True))
            )
            for part, called in names.items()
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
                more = self.also_kept(sample, told)
                for name, value in {**pictures, **halves, "known": known[0], **more}.items():
                    rows.setdefault(name, []).append(value)
        finally:
            last.bias.copy_(before)
            for handle in handles:
                handle.remove()
        return {name: torch.stack(values) for name, values in rows.items()}

    def also_told(self) -> dict[nn.Module, tuple[str, ...]]:
        """Further parts of the model, and the names by which what each is given is kept."""
        return {}

    def also_kept(self, sample: dict[str, Tensor], told: dict[str, Tensor]) -> dict[str, Tensor]:
        """What else is kept of a sample, by name, without its batch."""
        return {}

    def resting(self, batch: dict[str, Tensor]) -> Tensor:
        """The logit by which places rest, (B, 1, H/4, W/4)."""
        rest = self.model.rest
        assert rest is not None, "the recipe was checked"
        coarse: Tensor = rest.coarse(batch["coarse"].float())
        fine: Tensor = rest.fine(batch["fine"].float())
        return enlarge(coarse, 2) + fine

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """The weighted total, and every term by name. Raises TrainingError when it is not finite."""
        weights = self.losses
        first, second, real = (picture(batch[name]) for name in ("first", "second", "target"))
        mixed = 0.5 * (first + second)
        share = torch.sigmoid(self.resting(batch))
        if self.part == "rest" and int(batch["step"]) < self.steps // 2:
            with torch.no_grad():
                moved = self.shown(batch, torch.zeros_like(share))
            shown = moved + enlarge(share, 4) * (mixed - moved)
        else:
            shown = self.shown(batch, share)
        terms = terms_of(shown, real)
        total = sum((getattr(weights, name) * value for name, value in terms.items()), torch.zeros(()))
        above = 10 * (log_error(mixed, real) - terms["log_error"])
        return reported(total, {**terms, "above_mix_db": above, "resting": share.mean()})

    def shown(self, batch: dict[str, Tensor], share: Tensor) -> Tensor:
        """The frames that the model makes where so much of each place rests, (B, 1, H/4, W/4)."""
        first, second = (picture(batch[name]) for name in ("first", "second"))
        known = at_rest(batch["known"], 1 - share, share.new_full((len(first), 1), 0.5))
        trunk = batch["fine"][:, : self.model.config.flow_width[2]].float()
        return self.model.shown(first, second, known, trunk, 1 - share)

    def validate(self, model: nn.Module) -> dict[str, float]:
        """As for the whole model, on the held-out clips."""
        return validated(model, self.held_out)
