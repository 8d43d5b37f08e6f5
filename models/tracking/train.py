"""From a recipe and a data folder to trained weights: what ``framestate train`` runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ...errors import OptionError
from ..artrack_mamba import ArtrackMamba
from ..registry import load_weights
from ..training.config import LoopConfig
from ..training.distributed import current
from ..training.loop import Result
from ..training.mode import Mode
from ..weight_files import read_weights
from .distil import DistilTask, ViewSource
from .recipe import TrackerRecipe, open_sources
from .samples import SampleSource
from .task import TrackerTask
from .teacher import FeatureTeacher


def train_tracker(
    recipe: TrackerRecipe,
    data: Path,
    out: Path,
    progress: Callable[[int, dict[str, float]], None] | None = None,
    mode: Mode | None = None,
) -> tuple[Result, dict[str, Any]]:
    """Trains (or resumes) and returns the result and what it was trained on."""
    mode = mode or Mode()
    torch.set_num_threads(recipe.threads)
    cv2.setNumThreads(0)  # before the loaders fork: OpenCV's thread pool does not survive a fork
    torch.manual_seed(recipe.seed)
    source, held_out, report = open_sources(recipe, data)
    recipe = mode.lasting(recipe, None)
    model = mode.model(recipe, recipe.model)
    assert isinstance(model, ArtrackMamba)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if recipe.start:
        load_weights(model, read_weights(Path(recipe.start)))
        report["start"] = Path(recipe.start).name
    teacher = (data / recipe.teacher) if recipe.teacher else None
    if recipe.distil is not None:
        model.stem.load_state_dict(
            distil_stem(recipe, recipe.distil, model, source, data, out, progress, mode)
        )
        report["distilled"] = True
    task = TrackerTask(
        model,
        source,
        held_out,
        batch=recipe.batch,
        steps=recipe.loop.steps,
        workers=recipe.workers,
        teacher=teacher,
        teacher_head=(data / recipe.teacher_head) if recipe.teacher_head else None,
    )
    result = mode.train(recipe, task, recipe.loop, out, progress)
    if source.mix is not None:
        report["unreadable"] = source.mix.skipped
    if teacher is not None:
        report["teacher"] = teacher.name
        del result.model.teacher_head
    if recipe.teacher_head:
        report["teacher_head"] = Path(recipe.teacher_head).name
        del result.model.answer_head
    if recipe.start_share:
        blend(result.model, read_weights(Path(recipe.start)), recipe.start_share)
        with torch.no_grad():
            result = replace(result, metrics=task.validate(result.model))
        report["start_share"] = recipe.start_share
    return result, report


def blend(model: nn.Module, start: Mapping[str, NDArray[Any]], share: float) -> None:
    """Weights as a mean of those of ``model`` and, by ``share``, those that its training started from.

    Between the two lie weights that forget less of what came before and know most of what was added. Source:
    WiSE-FT (Wortsman et al. 2022, arXiv 2109.01903).
    """
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                value.lerp_(torch.from_numpy(start[name]).to(value), share)


def distil_stem(
    recipe: TrackerRecipe,
    config: LoopConfig,
    model: ArtrackMamba,
    source: SampleSource,
    data: Path,
    out: Path,
    progress: Callable[[int, dict[str, float]], None] | None,
    mode: Mode | None = None,
) -> dict[str, Tensor]:
    """The weights of a stem that imitates the teacher, from ``out/stem.safetensors`` where it is done."""
    mode = mode or Mode()
    done = out / "stem.safetensors"
    if not done.exists():
        if model.config.stem_dim != FeatureTeacher.channels:
            raise OptionError(
                f"the stem gives {model.config.stem_dim} channels",
                f"the teacher has {FeatureTeacher.channels}",
            )
        stills = tuple(still for archive in source.archives for still in archive.stills)
        views = ViewSource(stills, tuple(source.clips), recipe.model.search_size, recipe.seed, source.mix)
        task = DistilTask(
            model.stem,
            views,
            FeatureTeacher(data / recipe.teacher),
            batch=recipe.distil_batch,
            steps=config.steps,
            workers=recipe.workers,
        )
        result = mode.train(recipe, task, config, out / "stem", progress)
        if mode.trial is not None:
            return result.model.state_dict()
        ranks = current()
        if ranks.is_main:
            partial = done.with_suffix(".partial")
            weights = result.model.state_dict()
            save_file({name: value.contiguous() for name, value in weights.items()}, partial)
            partial.replace(done)
        ranks.wait()
    return load_file(done)
