"""A system with random weights: what measures its cost, and the agreement of its graphs."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.numpy import save
from torch import nn

from ..bundles import Bundle, write_bundle
from ..models import dump_weights
from ..models.systems import System
from ..plugins import eager_operators

SEED = 0


@torch.no_grad()
def drawn(system: System) -> nn.Module:
    """The model with random weights, those that start at zero too: else nothing behind them would be seen."""
    torch.manual_seed(SEED)
    model = system.build(eager_operators()).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1 and not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return model


def write_untrained(system: System, out: Path) -> Bundle:
    """A bundle of a system's random weights, without graphs. Raises BundleError: it cannot be written."""
    model = drawn(system)
    files: dict[str, Path | bytes] = {"weights.safetensors": save(dump_weights(model))}
    about = f"random weights of seed {SEED}, for measuring"
    return write_bundle(
        out, system.spec(model), files, provenance={"trained_on": about}, metrics={}, parity={}
    )
