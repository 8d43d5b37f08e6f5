"""From a recipe and a data folder to a trained classifier: what ``framestate train`` runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import torch

from ..registry import load_weights
from ..training.distributed import pick_device
from ..training.loop import Result
from ..training.mode import Mode
from ..weight_files import read_weights
from .cifar import read_cifar
from .groups import parameter_groups
from .model import MambaClassifier
from .recipe import ClassifierRecipe
from .task import ClassifierTask, evaluate


def train_classifier(
    recipe: ClassifierRecipe,
    data: Path,
    out: Path,
    progress: Callable[[int, dict[str, float]], None] | None = None,
    mode: Mode | None = None,
) -> tuple[Result, dict[str, Any]]:
    """Trains (or resumes); returns the result, measured on the pictures held out, and what it was trained on.

    Raises:
        DataError: the folder holds no CIFAR.
    """
    mode = mode or Mode()
    torch.set_num_threads(recipe.threads)
    cv2.setNumThreads(0)  # before the loaders fork: OpenCV's thread pool does not survive a fork
    torch.manual_seed(recipe.seed)
    pictures, test = read_cifar(data / recipe.folder)
    pictures, test = pictures.first(recipe.images), test.first(recipe.held_out)
    config = replace(recipe.model, labels=pictures.names)
    recipe = mode.lasting(recipe, len(pictures))
    model = mode.model(recipe, config)
    assert isinstance(model, MambaClassifier)
    if recipe.start:
        load_weights(model, read_weights(Path(recipe.start)))

    def measured(share: float) -> None:
        if progress is not None:
            progress(0, {"measured": share})

    task = ClassifierTask(
        model,
        pictures,
        test,
        batch=recipe.batch,
        steps=recipe.loop.steps,
        workers=recipe.workers,
        seed=recipe.seed,
        augmenting=recipe.augment,
        tick=measured,
    )
    groups = parameter_groups(model, recipe.loop.weight_decay, recipe.groups)
    result = mode.train(recipe, task, recipe.loop, out, progress, groups)
    assert isinstance(result.model, MambaClassifier)
    if recipe.tta and mode.trial is None:
        mode.say(f"measuring {len(test):,} pictures in five views each")
        device = pick_device(recipe.loop.device)
        result.metrics = evaluate(result.model.to(device), test, views=True, tick=measured)
        result.model.cpu()
    report = {
        "images": {recipe.folder: {"stills": len(pictures)}},
        "test": len(test),
        "labels": len(test.names),
        **({"start": Path(recipe.start).name} if recipe.start else {}),
    }
    return result, report
