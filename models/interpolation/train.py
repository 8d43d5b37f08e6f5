"""From a recipe and a data folder to a trained interpolator: what ``framestate train`` runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import torch
from safetensors.numpy import load_file

from ...errors import DataError
from ...plugins import eager_operators
from ..registry import load_weights
from ..training.loop import Result, train
from .cache import build_cache, clip_files, open_cache
from .model import HybridInterpolator
from .recipe import InterpolationRecipe
from .samples import TripletSource
from .task import InterpolationTask


def train_interpolator(
    recipe: InterpolationRecipe,
    data: Path,
    out: Path,
    progress: Callable[[int, dict[str, float]], None] | None = None,
    cache: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[Result, dict[str, Any]]:
    """Trains (or resumes) and returns the result and what it was trained on.

    ``cache`` is where decoded frames are kept, by default a folder of ``out``.
    """
    torch.set_num_threads(recipe.threads)
    cv2.setNumThreads(0)  # before the loaders fork: OpenCV's thread pool does not survive a fork
    torch.manual_seed(recipe.seed)
    folder = cache or out / "frames"
    files = clip_files(data, recipe.videos)
    index = build_cache(files, folder, say)
    missing = sorted(set(recipe.held_out) - set(index))
    if missing:
        raise DataError(f"held-out clips {', '.join(missing)} are not in {data}", "correct the recipe")
    names = [name for name in files if name in index]
    kept = [name for name in names if name not in recipe.held_out]
    source = TripletSource(recipe.samples, open_cache(folder, kept), recipe.seed)
    model = HybridInterpolator(recipe.model, eager_operators()).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if recipe.start:
        load_weights(model, load_file(recipe.start))
    task = InterpolationTask(
        model,
        source,
        open_cache(folder, list(recipe.held_out)),
        batch=recipe.batch,
        steps=recipe.loop.steps,
        workers=recipe.workers,
        losses=recipe.losses,
    )
    result = train(task, recipe.loop, out, progress)
    report = {
        "clips": len(kept),
        "frames": sum(int(str(index[name]["frames"])) for name in kept),
        "triplets": sum(int(str(index[name]["usable"])) for name in kept),
        "held_out": list(recipe.held_out),
        "sources": {name: index[name]["sha256"] for name in kept},
    }
    return result, report
