"""From a recipe and a data folder to a trained ARTrackMamba: what ``framestate train`` runs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import cv2
import torch

from ..datasets.footage import FootageMix
from ..datasets.opening import ClipSet
from ..registry import load_weights
from ..tracking.recipe import open_sources
from ..training.loop import Result, parameter_groups
from ..training.mode import Mode
from ..weight_files import read_weights
from .model import ArtrackMambaV2
from .recipe import TrajectoryRecipe
from .sequence import SequenceTask
from .task import PairTask
from .vim_weights import load_vim, read_state_dict


def train_trajectory(
    recipe: TrajectoryRecipe,
    data: Path,
    out: Path,
    progress: Callable[[int, dict[str, float]], None] | None = None,
    mode: Mode | None = None,
) -> tuple[Result, dict[str, Any]]:
    """Trains (or resumes) and returns the result and what it was trained on.

    Raises:
        DataError: data or weights to start from are missing, or are not what the recipe says.
        TrainingError: see ``training.loop.train``.
    """
    mode = mode or Mode()
    torch.set_num_threads(recipe.threads)
    cv2.setNumThreads(0)  # before the loaders fork: OpenCV's thread pool does not survive a fork
    torch.manual_seed(recipe.seed)
    source, held_out, report = open_sources(recipe, data)
    recipe = mode.lasting(recipe, None)
    model = mode.model(recipe, recipe.model)
    assert isinstance(model, ArtrackMambaV2)
    from_vim: Collection[str] = ()
    if recipe.vim:
        found = load_vim(model, read_state_dict(data / recipe.vim))
        mode.say(found.summary)
        report["vim"] = {"file": Path(recipe.vim).name, "loaded": len(found.loaded), "unused": found.unused}
        from_vim = found.loaded
    if recipe.start:
        load_start(model, Path(recipe.start))
        report["start"] = Path(recipe.start).name
    pairs = PairTask(
        model, source, held_out, recipe.batch, recipe.loop.steps, recipe.workers, recipe.carry_share
    )
    groups = grouped(model, recipe.loop.weight_decay, from_vim, recipe.trunk_share)
    if recipe.sequence is None:
        result = mode.train(recipe, pairs, recipe.loop, out, progress, groups)
    else:
        mix = source.mix or FootageMix([ClipSet("clips", list(source.clips))])
        task = SequenceTask(pairs, mix, recipe.sequence, recipe.seed)
        result = mode.train(recipe, task, recipe.loop, out, progress, groups)
    if source.mix is not None:
        report["unreadable"] = source.mix.skipped
    return result, report


def load_start(model: ArtrackMambaV2, path: Path) -> None:
    """Weights of an earlier phase, all of them. Raises DataError, or BundleError where they do not fit."""
    load_weights(model, read_weights(path, "give weights.safetensors of an earlier bundle"))


def grouped(
    model: ArtrackMambaV2, weight_decay: float, slow: Collection[str], share: float
) -> list[dict[str, object]]:
    """``parameter_groups``, those of the parameters named in ``slow`` at a share of the learning rate."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups: list[dict[str, object]] = []
    for group in parameter_groups(model, weight_decay):
        parameters = group["params"]
        assert isinstance(parameters, list)
        for scale, chosen in (
            (1.0, [p for p in parameters if names[id(p)] not in slow]),
            (share, [p for p in parameters if names[id(p)] in slow]),
        ):
            if chosen:
                groups.append({**group, "params": chosen, "scale": scale})
    return groups
