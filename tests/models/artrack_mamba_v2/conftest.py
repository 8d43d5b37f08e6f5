"""A very small tracker with every part of the large ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from framestate.models.artrack_mamba_v2 import ArtrackMambaV2, ArtrackMambaV2Config
from framestate.plugins import Operators, eager_operators

BuildModel = Callable[..., ArtrackMambaV2]
SMALL: dict[str, Any] = {
    "template_size": 32, "search_size": 64, "dim": 16, "layers": 3, "states": 8, "head_channels": 8,
    "attention_heads": 2, "bins": 40, "history": 2, "redraw_dim": 8, "redraw_layers": 1, "redraw_heads": 2,
}  # fmt: skip


@pytest.fixture
def build() -> BuildModel:
    """Builds a small model in evaluation mode."""

    def make(operators: Operators | None = None, seed: int = 0, **options: Any) -> ArtrackMambaV2:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            config = ArtrackMambaV2Config(**{**SMALL, **options})
            return ArtrackMambaV2(config, operators or eager_operators()).eval()

    return make
