"""A very small ViL-Tracker, in which every part has a say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from framestate.models.vil_tracker import VilTracker, VilTrackerConfig
from framestate.plugins import Operators, eager_operators
from torch import nn

BuildVil = Callable[..., VilTracker]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def build_vil() -> BuildVil:
    """Builds a small model in evaluation mode, with weights that no part starts from as nothing."""

    def make(operators: Operators | None = None, seed: int = 0, **options: Any) -> VilTracker:
        small: dict[str, Any] = {"template_size": 32, "search_size": 64, "dim": 16, "layers": 3}
        small |= {"expert_layers": 1, "experts": 3, "expert_hidden": 8, "shared_hidden": 8}
        small |= {"film_hidden": 8, "film_rank": 4, "head_dims": (16, 16, 8), "uncertainty_dims": (8, 8)}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = VilTracker(VilTrackerConfig(**{**small, **options}), operators or eager_operators())
            for name, parameter in model.named_parameters():
                if name.endswith("norm.weight"):
                    nn.init.uniform_(parameter, 0.5, 1.5)
                elif name.startswith(("film.affine", "kinds")) or "gate.weight" in name or "router" in name:
                    nn.init.normal_(parameter, std=0.3)
                elif name.endswith("4.weight"):  # the last layer of every tower
                    nn.init.normal_(parameter)
        return model.eval()

    return make
