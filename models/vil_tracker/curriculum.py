"""The curriculum: samples grow harder, the boxes' losses heavier, and temporal features join in later.

What a sample is like follows from its index alone, so a resumed run sees what an uninterrupted one would.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

from ...errors import OptionError
from ..tracking.poses import SampleConfig
from ..tracking.samples import SampleSource


@dataclass(frozen=True)
class Stage:
    """Where in the curriculum a sample stands.

    ``difficulty`` goes from 0 to 1, ``film`` is 0 before the temporal features join in and 1 after, ``ease``
    is the share that losses of boxes count.
    """

    difficulty: float
    film: float
    ease: float


@dataclass(frozen=True)
class CurriculumConfig:
    """Epochs are of ``epoch_samples`` samples. Shares are of what the samples' own table says."""

    epoch_samples: int = 60000
    ramp_epochs: float = 50.0  # until difficulty is 1; 0 is 1 from the beginning
    film_epoch: float = 30.0  # when temporal features join in
    gap_share: float = 0.1  # of the frames between template and search, at difficulty 0
    jitter_share: float = 0.3  # of shift, zoom, turn and aspect, at difficulty 0
    loss_share: float = 0.5  # of the boxes' losses, at difficulty 0

    def __post_init__(self) -> None:
        for name in ("gap_share", "jitter_share", "loss_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(f"{name} is {getattr(self, name)}", "give a share from 0 to 1")
        if self.epoch_samples < 1 or self.ramp_epochs < 0 or self.film_epoch < 0:
            raise OptionError(
                f"epoch_samples is {self.epoch_samples}, ramp_epochs {self.ramp_epochs} and "
                f"film_epoch {self.film_epoch}",
                "give at least 1 sample, and epochs from 0 on",
            )

    def stage(self, sample: int) -> Stage:
        """Where the sample of this index stands."""
        epoch = sample / self.epoch_samples
        difficulty = min(epoch / self.ramp_epochs, 1.0) if self.ramp_epochs else 1.0
        return Stage(
            difficulty,
            float(epoch >= self.film_epoch),
            self.loss_share + (1 - self.loss_share) * difficulty,
        )

    def ease(self, samples: SampleConfig, difficulty: float) -> SampleConfig:
        """How samples are drawn at a difficulty; at 1 as their table says."""
        jitter = self.jitter_share + (1 - self.jitter_share) * difficulty
        gap = self.gap_share + (1 - self.gap_share) * difficulty
        return replace(
            samples,
            max_gap=max(2, round(samples.max_gap * gap)),
            **{name: getattr(samples, name) * jitter for name in ("shift", "zoom", "turn", "aspect")},
        )

    def source(self, source: SampleSource, difficulty: float) -> SampleSource:
        """The same source at a difficulty."""
        eased = copy.copy(source)
        eased.config = self.ease(source.config, difficulty)
        return eased
