"""From a recipe and a data folder to trained weights: what ``framestate train`` runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import torch

from ...plugins import eager_operators
from ..artrack_mamba import ArtrackMamba
from ..training.loop import Result, train
from .recipe import TrackerRecipe, open_sources
from .task import TrackerTask


def train_tracker(
    recipe: TrackerRecipe,
    data: Path,
    out: Path,
    progress: Callable[[int, dict[str, float]], None] | None = None,
) -> tuple[Result, dict[str, Any]]:
    """Trains (or resumes) and returns the result and what it was trained on."""
    torch.set_num_threads(recipe.threads)
    cv2.setNumThreads(0)  # before the loaders fork: OpenCV's thread pool does not survive a fork
    torch.manual_seed(recipe.seed)
    source, held_out, report = open_sources(recipe, data)
    model = ArtrackMamba(recipe.model, eager_operators()).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    teacher = (data / recipe.teacher) if recipe.teacher else None
    task = TrackerTask(
        model,
        source,
        held_out,
        batch=recipe.batch,
        steps=recipe.loop.steps,
        workers=recipe.workers,
        teacher=teacher,
    )
    result = train(task, recipe.loop, out, progress)
    if teacher is not None:
        report["teacher"] = teacher.name
        del result.model.teacher_head
    return result, report
