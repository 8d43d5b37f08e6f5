"""The systems that ``docs/models.md`` lists: a name, how it is built, and what a frame of it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from ..bundles import ModelSpec, Size, load_bundle
from ..models.artrack_mamba import ArtrackMamba, ArtrackMambaConfig
from ..models.artrack_mamba_v2 import ArtrackMambaV2, ArtrackMambaV2Config
from ..models.artrack_mamba_v2 import base as artrack_base
from ..models.artrack_mamba_v2 import small as artrack_small
from ..models.artrack_mamba_v2 import tiny as artrack_tiny
from ..models.classification import ClassifierConfig, MambaClassifier
from ..models.interpolation import HybridInterpolator, InterpolatorConfig
from ..models.interpolation.config import base as interpolator_base
from ..models.interpolation.config import nano as interpolator_nano
from ..models.vil_tracker import VilTracker, VilTrackerConfig
from ..models.vil_tracker.config import small as vil_small
from ..plugins import Operators


@dataclass(frozen=True)
class System:
    """One line of the table.

    Attributes:
        name: as users call it.
        build: the model around given operators, weights as they start.
        functions: what one frame runs, in order.
        what: a few words.
        size: height and width of the frames, where the spec leaves them open.
    """

    name: str
    build: Callable[[Operators], nn.Module]
    functions: tuple[str, ...]
    what: str
    size: Size | None = None

    def spec(self, model: nn.Module) -> ModelSpec:
        """What a runtime must know of the model."""
        spec: Any = model.spec(self.name)  # type: ignore[operator]
        assert isinstance(spec, ModelSpec)
        return spec


def trajectory(config: ArtrackMambaV2Config) -> Callable[[Operators], nn.Module]:
    """An ARTrackMamba with a trajectory head."""
    return lambda operators: ArtrackMambaV2(config, operators)


def shipped_tracker(operators: Operators) -> nn.Module:
    """The model of the bundle that ships."""
    config = dict(load_bundle("tracker-nano").spec.config)
    return ArtrackMamba(ArtrackMambaConfig.from_dict(config), operators)


def interpolator(config: InterpolatorConfig) -> Callable[[Operators], nn.Module]:
    """A frame interpolator."""
    return lambda operators: HybridInterpolator(config, operators)


def vil(config: VilTrackerConfig) -> Callable[[Operators], nn.Module]:
    """A ViL-Tracker."""
    return lambda operators: VilTracker(config, operators)


TEN = tuple(str(digit) for digit in range(10))
STEP = ("step",)
FRAME = ("encode", "motion", "interpolate")
HD = (736, 1280)
FAST = replace(artrack_tiny(), mixer="mamba2", states=64)

SYSTEMS: tuple[System, ...] = (
    System("tracker-nano", shipped_tracker, STEP, "the shipped tracker: centre head, 256 px search"),
    System(
        "artrack-mamba-tiny", trajectory(artrack_tiny()), STEP, "Mamba-1 (Vim-Ti's shape), trajectory head"
    ),
    System("artrack-mamba-tiny-mamba2", trajectory(FAST), STEP, "the same with Mamba-2 mixers, 64 states"),
    System("artrack-mamba-small", trajectory(artrack_small()), STEP, "Vim-S's shape"),
    System("artrack-mamba-base", trajectory(artrack_base()), STEP, "Vim-B's shape"),
    System("vil-tracker", vil(vil_small()), STEP, "24 mLSTM blocks, FiLM, experts, centre head"),
    System(
        "mamba-small",
        lambda ops: MambaClassifier(ClassifierConfig(labels=TEN), ops),
        ("classify",),
        "CIFAR classifier",
    ),
    System("interp-nano", interpolator(interpolator_nano()), FRAME, "one made frame, 1280 x 736", HD),
    System("interp-base", interpolator(interpolator_base()), FRAME, "one made frame, 1280 x 736", HD),
)
