"""A very small interpolator in which every part has a say, and made-up frames for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from framestate.models.interpolation import HybridInterpolator, InterpolatorConfig
from framestate.plugins import Operators, eager_operators
from torch import Tensor, nn
from torch.nn import functional

BuildInterpolator = Callable[..., HybridInterpolator]
SMALL: dict[str, Any] = {
    "channels": (4, 4, 8, 8),
    "encoder_depth": (0, 0, 1, 0),
    "stem_kernel": 5,
    "head_channels": 4,
    "states": 4,
    "window": 4,
    "correlation_channels": 4,
    "correlation_radius": 2,
    "flow_width": (8, 8, 8),
    "flow_depth": (1, 1, 1),
    "hidden": 3,
    "refine_width": 4,
}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def build() -> BuildInterpolator:
    """Builds a small model in evaluation mode; weights that start at zero are given values too."""

    def make(operators: Operators | None = None, seed: int = 0, **options: Any) -> HybridInterpolator:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = HybridInterpolator(
                InterpolatorConfig(**{**SMALL, **options}), operators or eager_operators()
            )
            for parameter in model.parameters():
                if not parameter.any():
                    nn.init.normal_(parameter, std=0.1)
        return model.eval()

    return make


@pytest.fixture
def frames() -> list[Tensor]:
    """Three smooth frames (2, 3, 64, 96), no two alike."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(3, 2, 3, 8, 12, generator=generator)
    return [functional.interpolate(one, scale_factor=8.0, mode="bicubic").clamp(0, 1) for one in coarse]
