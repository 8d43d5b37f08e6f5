"""From a recipe and a data folder to a trained ViL-Tracker: what ``framestate train`` runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import torch

from ...errors import DataError
from ..registry import load_weights
from ..tracking.recipe import open_sources
from ..tracking.teacher import FeatureTeacher
from ..training.loop import Result
from ..training.mode import Mode
from ..weight_files import read_weights
from .experts import ExpertMixture
from .model import VilTracker
from .official import read_official
from .recipe import VilRecipe
from .task import VilTask


def train_vil_tracker(
    recipe: VilRecipe,
    data: Path,
    out: Path,
    progress: Callable[[int, dict[str, float]], None] | None = None,
    mode: Mode | None = None,
) -> tuple[Result, dict[str, Any]]:
    """Trains (or resumes) and returns the result and what it was trained on.

    Raises:
        DataError: data, weights to start from or a teacher are missing, or are not what the recipe says.
        TrainingError: see ``training.loop.train``.
    """
    mode = mode or Mode()
    torch.set_num_threads(recipe.threads)
    cv2.setNumThreads(0)  # before the loaders fork: OpenCV's thread pool does not survive a fork
    torch.manual_seed(recipe.seed)
    source, held_out, report = open_sources(recipe, data)
    recipe = mode.lasting(recipe, recipe.curriculum.epoch_samples)
    model = mode.model(recipe, recipe.model)
    assert isinstance(model, VilTracker)
    report |= begin(model, recipe, data)
    task = VilTask(
        model,
        source,
        held_out,
        recipe.curriculum,
        recipe.losses,
        batch=recipe.batch,
        steps=recipe.loop.steps,
        workers=recipe.workers,
        carry_share=recipe.carry_share,
        teacher=open_teacher(recipe, data),
    )
    result = mode.train(recipe, task, recipe.loop, out, progress)
    for helper in ("adaptive", "teacher_head"):  # what only training needs
        if hasattr(result.model, helper):
            delattr(result.model, helper)
    if recipe.teacher:
        report["teacher"] = Path(recipe.teacher).name
    if source.mix is not None:
        report["unreadable"] = source.mix.skipped
    return result, report


def begin(model: VilTracker, recipe: VilRecipe, data: Path) -> dict[str, Any]:
    """Puts the weights that the recipe names into the model, freezes what it freezes; what was done."""
    report: dict[str, Any] = {}
    if recipe.start:
        path = Path(recipe.start)
        load_weights(model, read_weights(path, "give weights.safetensors of an earlier phase's bundle"))
        report["start"] = Path(recipe.start).name
    if recipe.published:
        accounting = read_official(model, data / recipe.published)
        report["published"] = {"file": Path(recipe.published).name, "tensors": len(accounting.loaded)}
    if recipe.freeze_shared:
        for mixture in model.mixtures:
            assert isinstance(mixture, ExpertMixture)
            mixture.freeze_shared()
    return report


def open_teacher(recipe: VilRecipe, data: Path) -> FeatureTeacher | None:
    """The teacher that the recipe names, if any. Raises DataError when it is not there."""
    if not recipe.teacher:
        return None
    path = data / recipe.teacher
    if not path.exists():
        raise DataError(f"teacher {path} does not exist", "give the ONNX file of one, or none")
    teacher = FeatureTeacher(path)
    teacher.channels = recipe.teacher_channels
    return teacher
