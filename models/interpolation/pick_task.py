"""Learning whose motion to take, the model's own or the far one, and how what is taken is mended.

Of each sample it is kept how wrong three frames are around each place: the one by the model's own motion, the
one by the far one, and the mean of both frames. Half of a motion is worse than all of either, so a choice
that is learned through the frame that it makes does not begin. So it is told which is right, place by place,
and that counts by how much it gains. At first nothing else is learned; later the frame counts, too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .late_task import LateTask, reported, terms_of
from .layers import shrink
from .losses import log_error
from .rest import at_rest
from .task import picture

PICKED = ("trunk", "own", "far", "one", "two")
LEAST_ERROR = 1e-4  # of squared errors around a place: less is not seen
FIRST = 0.2  # of a run
JUDGED_LATER = 0.3  # the weight of what is judged when the frame counts, too


def regret(choice: Tensor, cost: Tensor) -> Tensor:
    """How wrong a choice is (a logit) of what costs so much more, or less where it is right: a mean."""
    right = (cost < 0).float()
    return functional.binary_cross_entropy_with_logits(choice, right, weight=cost.abs())


class PickTask(LateTask):
    """The task of the part "pick"; see ``LateTask``."""

    def also_told(self) -> dict[nn.Module, tuple[str, ...]]:
        """What the choice is given."""
        assert self.model.pick is not None, "the recipe was checked"
        return {self.model.pick: PICKED}

    def also_kept(self, sample: dict[str, Tensor], told: dict[str, Tensor]) -> dict[str, Tensor]:
        """Both motions, exactly, and the squared errors of the three frames, (3, H/4, W/4)."""
        first, second, real = (picture(sample[name]) for name in ("first", "second", "target"))
        nothing = torch.zeros_like(told["own"][:, :1])
        frames = [
            self.model.shown(first, second, told[motion], told["trunk"], 1 - nothing)
            for motion in ("own", "far")
        ]
        errors = [
            shrink((one - real).square().mean(1, keepdim=True), 4) for one in (*frames, (first + second) / 2)
        ]
        around = functional.avg_pool2d(torch.cat(errors, dim=1), 3, 1, 1, count_include_pad=False)
        del told["trunk"]  # the fine part of ``rest`` is told it, too
        return {"errors": around[0], "own": told["own"][0], "far": told["far"][0]}

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """The weighted total, and every term by name. Raises TrainingError when it is not finite."""
        pick = self.model.pick
        assert pick is not None, "the recipe was checked"
        trunk = batch["fine"][:, : self.model.config.flow_width[2]]
        picked = pick(*(batch.get(name, trunk).float() for name in PICKED))
        resting = self.resting(batch) + picked.resting
        own, far, mixed = torch.log10(batch["errors"] + LEAST_ERROR).split(1, dim=1)
        chosen = torch.where(picked.choice > 0, far, own).detach()
        judged = regret(picked.choice, far - own) + regret(resting, mixed - chosen)
        gained = (own - torch.where(resting > 0, mixed, chosen)).mean()
        rests, share = torch.sigmoid(resting), torch.sigmoid(picked.choice)
        told = {"judged": judged, "gained_db": 10 * gained, "share": share.mean(), "resting": rests.mean()}
        if int(batch["step"]) < FIRST * self.steps:
            return reported(judged, told)
        first, second, real = (picture(batch[name]) for name in ("first", "second", "target"))
        known = at_rest(picked.known, 1 - rests, rests.new_full((len(first), 1), 0.5))
        terms = terms_of(self.model.shown(first, second, known, picked.trunk, 1 - rests), real)
        total = JUDGED_LATER * judged
        for name, value in terms.items():
            total = total + getattr(self.losses, name) * value
        above = 10 * (log_error((first + second) / 2, real) - terms["log_error"])
        return reported(total, {**told, **terms, "above_mix_db": above})
