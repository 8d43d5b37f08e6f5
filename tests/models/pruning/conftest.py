"""Small models of every architecture that can be pruned, with weights in which every part has a say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from framestate.models.artrack_mamba import ArtrackMamba, ArtrackMambaConfig
from framestate.models.artrack_mamba_v2 import ArtrackMambaV2, ArtrackMambaV2Config
from framestate.models.classification import ClassifierConfig, MambaClassifier
from framestate.models.interpolation import HybridInterpolator, InterpolatorConfig
from framestate.models.vil_tracker import VilTracker, VilTrackerConfig
from framestate.plugins import eager_operators
from torch import nn

Build = Callable[[str], nn.Module]
CROPS: dict[str, Any] = {"template_size": 32, "search_size": 64}
TRAJECTORY: dict[str, Any] = {
    **CROPS, "dim": 16, "layers": 2, "states": 8, "head_channels": 8, "attention_heads": 2, "bins": 40,
    "history": 2, "redraw_dim": 8, "redraw_layers": 1, "redraw_heads": 2,
}  # fmt: skip
FRAMES: dict[str, Any] = {
    "channels": (4, 4, 8, 8), "encoder_depth": (0, 0, 1, 0), "stem_kernel": 5, "head_channels": 4,
    "states": 8, "window": 4, "correlation_channels": 4, "correlation_radius": 1, "flow_width": (8, 8, 8),
    "flow_depth": (1, 1, 1), "hidden": 3,
}  # fmt: skip
LABELS = ("cat", "dog", "sea")
MODELS: dict[str, Callable[[], nn.Module]] = {
    "classifier": lambda: MambaClassifier(
        ClassifierConfig(size=16, dim=8, layers=2, states=4, labels=LABELS), eager_operators()
    ),
    "classifier for training": lambda: MambaClassifier(
        ClassifierConfig(dim=8, layers=2, states=4, labels=LABELS), eager_operators()
    ),
    "classifier with a rank": lambda: MambaClassifier(
        ClassifierConfig(size=16, dim=8, layers=2, states=4, dt_rank=3, labels=LABELS), eager_operators()
    ),
    "classifier that attends": lambda: MambaClassifier(
        ClassifierConfig(size=16, dim=8, layers=2, mixer="attention", attention_heads=4, labels=LABELS),
        eager_operators(),
    ),
    "interpolator": lambda: HybridInterpolator(
        InterpolatorConfig(**FRAMES, lgs_layers=(1, 1), carry=("ssm",)), eager_operators()
    ),
    "interpolator, mamba1": lambda: HybridInterpolator(
        InterpolatorConfig(**FRAMES, lgs_layers=(0, 2), mixer="mamba1"), eager_operators()
    ),
    "tracker": lambda: ArtrackMamba(
        ArtrackMambaConfig(**CROPS, stem="mobile", dim=16, layers=2, head_channels=8, states=8, head_dim=12),
        eager_operators(),
    ),
    "tracker with a head as wide": lambda: ArtrackMamba(
        ArtrackMambaConfig(**CROPS, stem="mobile", dim=16, layers=1, head_channels=8, states=8, head_dim=16),
        eager_operators(),
    ),
    "trajectory, mamba1": lambda: ArtrackMambaV2(
        ArtrackMambaV2Config(**TRAJECTORY, temporal="carry"), eager_operators()
    ),
    "trajectory, mamba2": lambda: ArtrackMambaV2(
        ArtrackMambaV2Config(
            **{**TRAJECTORY, "layers": 3}, mixer="mamba2", temporal="carry", attention_layers=(1,)
        ),
        eager_operators(),
    ),
    "vil": lambda: VilTracker(
        VilTrackerConfig(
            **CROPS,
            dim=32,
            layers=2,
            expert_layers=1,
            experts=2,
            expert_hidden=8,
            shared_hidden=8,
            film_hidden=8,
            film_rank=4,
            head_dims=(16, 16, 8),
            uncertainty_dims=(8, 8),
        ),
        eager_operators(),
    ),
}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def build() -> Build:
    """Builds a model by its name in evaluation mode; no weight of it is 0 or 1 any more."""

    def make(name: str) -> nn.Module:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            model = MODELS[name]()
            for parameter in model.parameters():
                parameter.data += 0.1 * torch.randn_like(parameter)
            for module in model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    assert module.running_mean is not None
                    assert module.running_var is not None
                    module.running_mean.normal_()
                    module.running_var.uniform_(0.5, 2)
        return model.eval()

    return make
