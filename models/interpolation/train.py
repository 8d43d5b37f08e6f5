"""From a recipe and a data folder to a trained interpolator: what ``framestate train`` runs."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import DataError, OptionError
from ...vision.motion import QUICK
from ..registry import load_weights
from ..rife.weights import read_rife
from ..training.distributed import main_first
from ..training.loop import Result
from ..training.mode import Mode
from ..weight_files import read_weights
from .cache import CachedClip, build_bends, build_cache, build_starts, clip_files, open_cache
from .config import InterpolatorConfig
from .late_task import LEARNING, LateTask
from .losses import read_features
from .matvlm import start_mamba_from_attention
from .model import HybridInterpolator
from .moments import MomentSource, open_sets
from .pick_task import PickTask
from .recipe import InterpolationRecipe
from .samples import TripletSource
from .task import InterpolationTask


def train_interpolator(
    recipe: InterpolationRecipe,
    data: Path,
    out: Path,
    progress: Callable[[int, dict[str, float]], None] | None = None,
    mode: Mode | None = None,
    cache: Path | None = None,
) -> tuple[Result, dict[str, Any]]:
    """Trains (or resumes) and returns the result and what it was trained on.

    ``cache`` is where decoded frames are kept, by default a folder of ``out``.
    """
    mode = mode or Mode()
    torch.set_num_threads(recipe.threads)
    cv2.setNumThreads(0)  # before the loaders fork: OpenCV's thread pool does not survive a fork
    torch.manual_seed(recipe.seed)
    with main_first():  # which decodes the videos
        source, held_out, report = open_sources(recipe, data, cache or out / "frames", mode.say)
    triplets = report.get("triplets") or sum(report.get("sets", {}).values())
    recipe = mode.lasting(recipe, triplets)
    model = mode.model(recipe, recipe.model)
    assert isinstance(model, HybridInterpolator)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if recipe.start:
        begun = grown(thinned(read_weights(recipe.start), recipe.without), model)
        if recipe.far:
            begun |= far_weights(Path(recipe.far), recipe.far_sha256, model)
        load_weights(model, begun)
    if recipe.mamba_from_attention:
        start_mamba_from_attention(model)
    task: InterpolationTask | LateTask = InterpolationTask(
        model,
        source,
        held_out,
        batch=recipe.batch,
        steps=recipe.loop.steps,
        workers=recipe.workers,
        losses=recipe.losses,
        curriculum=recipe.samples,
        freeze_backbone=recipe.freeze_backbone,
        perceptual=read_features(data / recipe.features) if recipe.features else None,
    )
    if recipe.part:
        task = late_task(recipe, model, source, held_out)
    result = mode.train(recipe, task, recipe.loop, out, progress)
    if isinstance(source, MomentSource):
        report["unreadable"] = source.skipped
    return result, report


def late_task(
    recipe: InterpolationRecipe,
    model: HybridInterpolator,
    source: TripletSource | MomentSource,
    held_out: list[CachedClip],
) -> LateTask:
    """The task of learning only one part: all else of the model stays as it is."""
    assert isinstance(source, TripletSource), "the recipe was checked"
    assert recipe.part, "the recipe was checked"
    model.requires_grad_(False)
    for name in LEARNING[recipe.part]:
        model.get_submodule(name).requires_grad_(True)
    return (PickTask if recipe.part == "pick" else LateTask)(
        model,
        source,
        held_out,
        recipe.part,
        recipe.part_samples,
        recipe.batch,
        recipe.loop.steps,
        recipe.losses,
        recipe.samples,
    )


ADDED = ("choice.", "rest.", "scale16.start.", "refine.patches.", "refine.join.", "refine.fine.", "pick.")
"""What a model may have that the weights it starts from lack: it begins by adding nothing."""


def thinned(weights: dict[str, NDArray[Any]], without: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Weights with some layers left out; those after them in the same row move up.

    Raises OptionError: there is no such layer.
    """
    found = dict(weights)
    last_first = sorted(set(without), key=lambda name: (len(name), name), reverse=True)  # of each row
    for layer in last_first:
        row, _, place = layer.rpartition(".")
        if not place.isdigit() or not any(name.startswith(f"{layer}.") for name in found):
            raise OptionError(f"without names {layer!r}, which the start lacks", "name layers of its rows")
        moved: dict[str, NDArray[Any]] = {}
        for name, value in found.items():
            number, _, rest = name.removeprefix(f"{row}.").partition(".")
            if not name.startswith(f"{row}.") or int(number) < int(place):
                moved[name] = value
            elif int(number) > int(place):
                moved[f"{row}.{int(number) - 1}.{rest}"] = value
        found = moved
    return found


def grown(weights: dict[str, NDArray[Any]], model: HybridInterpolator) -> dict[str, NDArray[Any]]:
    """Weights of a smaller model as those of ``model``, which first gives what the smaller one gave.

    Residual layers that are missing start at zero, as do the weights of further inputs of a scale; further
    channels of the second look give nothing. Parts by the names of ``ADDED`` keep the values that they were
    made with. Where the correlation reaches less far, what was seen beyond is left out, which does change
    what the model gives; further, and it adds nothing.
    Anything else that is missing or of another shape stays so, for ``load_weights`` to refuse.
    """
    found = dict(weights)
    for name, tensor in model.state_dict().items():
        shape = tuple(tensor.shape)
        if name not in weights:
            if ".body." in name:
                found[name] = np.zeros(shape, np.float32)
            elif name.startswith(ADDED):
                found[name] = tensor.numpy()
        elif name.startswith(WIDER) and weights[name].shape != shape:
            found[name] = widened(weights[name], tensor.numpy(), name.endswith(WIDER_ENDS))
        elif name.startswith("scale8.entry") and len(shape) == 4 and weights[name].shape[1] < shape[1]:
            wider = np.zeros(shape, np.float32)
            wider[:, : weights[name].shape[1]] = weights[name]
            found[name] = wider
    entry = "scale16.entry.0.weight"
    if entry in weights:
        found[entry] = within_reach(weights[entry], model.config)
    return found


WIDER = ("refine.join.", "refine.look.", "refine.fine.")
WIDER_ENDS = (
    "look.body.0.weight",
    "fine.weight",
)  # of these, what sees the channels that there may be more of


def widened(weight: NDArray[Any], fresh: NDArray[Any], sees_more: bool) -> NDArray[Any]:
    """A weight as the first channels of a larger one, to which the others add nothing at first.

    Raises nothing where it is not smaller: it stays as it is, for ``load_weights`` to refuse.
    """
    if weight.ndim != fresh.ndim or any(a > b for a, b in zip(weight.shape, fresh.shape, strict=True)):
        return weight
    found = fresh.copy()
    if sees_more:
        found[: weight.shape[0], weight.shape[1] :] = 0.0
    found[tuple(slice(side) for side in weight.shape)] = weight
    return found


def far_weights(file: Path, sha256: str, model: HybridInterpolator) -> dict[str, NDArray[Any]]:
    """What ``model.far`` is to be of RIFE's weights, as halves hold them, by its names in the model.

    Raises DataError: the file is another one, or cannot be read.
    """
    config, weights = read_rife(file)
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != sha256:
        raise DataError(f"{file} has the sha256 {found}, not {sha256}", "give the file that the recipe names")
    assert model.far is not None, "the recipe was checked"
    if config != model.far.network:
        raise DataError(f"{file} is of another RIFE than 4.25", "give the weights of version 4.25")
    wanted = model.far.state_dict()
    return {
        f"far.{name}": value.astype(np.float16).astype(np.float32)
        for name, value in weights.items()
        if name in wanted
    }


def within_reach(weight: NDArray[Any], config: InterpolatorConfig) -> NDArray[Any]:
    """The weights (out, in, 1, 1) of a first scale whose correlation reached further, or less far.

    What lies beyond what it reached adds nothing. Weights of another shape stay as they are.
    """
    features, radius = 2 * config.channels[2], config.correlation_radius
    span = math.isqrt(max(0, weight.shape[1] - features) // 2)
    away = (span - 1) // 2 - radius
    if radius == 0 or away == 0 or span < 3 or features + 2 * span**2 != weight.shape[1]:
        return weight
    seen = weight[:, features:].reshape(len(weight), 2, span, span, 1, 1)
    if away > 0:
        seen = seen[:, :, away:-away, away:-away]
    else:
        seen = np.pad(seen, ((0, 0), (0, 0), (-away, -away), (-away, -away), (0, 0), (0, 0)))
    return np.ascontiguousarray(
        np.concatenate([weight[:, :features], seen.reshape(len(weight), -1, 1, 1)], axis=1)
    )


def open_sources(
    recipe: InterpolationRecipe, data: Path, folder: Path, say: Callable[[str], None]
) -> tuple[TripletSource | MomentSource, list[CachedClip], dict[str, Any]]:
    """Training samples, held-out clips, and what was read, for the manifest.

    Raises DataError, OptionError: data is missing, or is not what the recipe says.
    """
    way, bend = recipe.model.start_flow, recipe.model.bend
    starts = way != "none"
    if recipe.sets and bend:
        raise OptionError(
            "bend is on, and the frames of data sets come without the pairs around them",
            "train on videos, or set bend = false in [model]",
        )
    if recipe.sets:
        sets = open_sets(data, recipe.sets)
        counts = {name: len(found) for name, found in zip(recipe.sets, sets, strict=True)}
        start = way if starts else None
        return MomentSource(sets, recipe.ratio, recipe.seed, recipe.batch, start), [], {"sets": counts}
    files = clip_files(data, recipe.videos)
    index = build_cache(files, folder, say)
    missing = sorted(set(recipe.held_out) - set(index))
    if missing:
        raise DataError(f"held-out clips {', '.join(missing)} are not in {data}", "correct the recipe")
    names = [name for name in files if name in index]
    kept = [name for name in names if name not in recipe.held_out]
    if starts:
        build_starts(folder, kept, say, way)
    if bend:
        build_bends(folder, kept, say, way)
    samples = replace(recipe.samples, start=starts, bend=bend)
    source = TripletSource(samples, open_cache(folder, kept, way if starts else QUICK), recipe.seed)
    report = {
        "clips": len(kept),
        "frames": sum(int(str(index[name]["frames"])) for name in kept),
        "triplets": sum(int(str(index[name]["usable"])) for name in kept),
        "held_out": list(recipe.held_out),
        "sources": {name: index[name]["sha256"] for name in kept},
    }
    return source, open_cache(folder, list(recipe.held_out)), report
