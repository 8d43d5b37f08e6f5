"""A recipe of a tiny interpolator, and weights of a tiny VGG for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from framestate.models.interpolation.recipe import InterpolationRecipe
from framestate.models.plans import read_plan
from safetensors.numpy import save_file


def write_vgg(path: Path) -> Path:
    """Weights as torchvision names them, of two stages with few channels."""
    shapes = {0: (4, 3), 2: (4, 4), 5: (6, 4)}
    weights: dict[str, Any] = {"classifier.0.weight": np.zeros((2, 2), np.float32)}
    rng = np.random.default_rng(0)
    for place, (out, into) in shapes.items():
        weights[f"features.{place}.weight"] = rng.normal(size=(out, into, 3, 3)).astype(np.float32)
        weights[f"features.{place}.bias"] = np.zeros(out, np.float32)
    save_file(weights, path)
    return path


def recipe(folder: Path, **changes: str) -> InterpolationRecipe:
    """A recipe of a tiny model; ``changes`` are lines by table."""
    path = folder / "tiny.toml"
    tables = {
        "": 'task = "interpolation"\nname = "tiny"\nbatch = 2\nworkers = 0\n'
        'videos = ["clips"]\nheld_out = ["kept"]',
        "model": "channels = [4, 4, 8, 8]\nencoder_depth = [0, 1, 1, 0]\nhead_channels = 4\nstates = 4\n"
        'flow_width = [8, 8, 8]\nhidden = 2\nrefine = "quarter"\nstart_flow = "none"\n'
        "bend = false\nrest = false\ncorrelation_radius = 4",
        "samples": "" if "samples" in changes else "crops = [64]",
        "losses": "half_steps = 2\nteacher_steps = 30",
        "loop": ("" if "loop" in changes else "steps = 4\n")
        + "warmup_steps = 1\nlog_every = 1\nsave_every = 2\nlearning_rate = 2e-3\nema = 0.5",
    }
    tables |= {name: f"{tables.get(name, '')}\n{text}" for name, text in changes.items()}
    path.write_text("\n".join(f"[{name}]\n{text}" if name else text for name, text in tables.items()))
    found = read_plan(path)
    assert isinstance(found, InterpolationRecipe)
    return found
