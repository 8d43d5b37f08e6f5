"""Make the withheld frames of clips in several ways and score them: ``framestate eval interpolation``.

Odd frames are withheld and predicted from the even ones. All methods run over a clip before the next one
begins, so that a busy machine slows all of them alike. Only making is timed: decoding and scoring are not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NotRequired, TypedDict

import numpy as np

from ..errors import DataError, FramestateError, OptionError
from .fidelity import psnr, ssim
from .interpolation_clips import InterpolationClip
from .interpolation_peers import Image, MiddleMaker


class FidelityNumbers(TypedDict):
    """PSNR in dB and SSIM of the made frames, and how many were made a second. NaN where there were none."""

    psnr_db: float
    ssim: float
    fps: float


class ClipResult(FidelityNumbers):
    """One method on one clip."""

    frames: int
    """Frames made and scored."""
    error: NotRequired[str]
    """Why the clip was not finished; its numbers are not part of the means then."""


class GroupResult(FidelityNumbers):
    """One method on the clips of one group: means over the clips, FPS pooled over their frames."""

    num_clips: int


class MethodResult(FidelityNumbers):
    """One method on all clips: means over the clips, FPS pooled over all frames."""

    failures: int
    groups: dict[str, GroupResult]
    clips: dict[str, ClipResult]


class InterpolationResults(TypedDict):
    """What ``eval interpolation --json`` prints."""

    methods: dict[str, MethodResult]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an evaluation is: ``done`` of ``total`` runs of a method over a clip."""

    method: str
    clip: str
    done: int
    total: int


@dataclass(slots=True)
class _Run:
    """What one method did on one clip."""

    psnr: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)
    seconds: float = 0.0
    error: str | None = None

    def result(self) -> ClipResult:
        means = _numbers([self])
        found: ClipResult = {
            "psnr_db": means["psnr_db"],
            "ssim": means["ssim"],
            "fps": means["fps"],
            "frames": len(self.psnr),
        }
        if self.error is not None:
            found["error"] = self.error
        return found


def evaluate_interpolation(
    methods: Mapping[str, MiddleMaker],
    clips: Sequence[InterpolationClip],
    *,
    progress: Callable[[Progress], None] | None = None,
) -> InterpolationResults:
    """Run every method over every clip and score what it makes.

    A method that fails on a clip, and a clip that cannot be read, are noted in the results; the run goes on.

    Args:
        methods: by the name they are reported under.
        clips: see `load_clips`.
        progress: called before each run, and after the last one.

    Raises:
        OptionError: there is no method.
        DataError: there is no clip.
    """
    if not methods:
        raise OptionError("There is no method to evaluate", "Name at least one.")
    if not clips:
        raise DataError("There is no clip to evaluate on", "Give a folder with at least one.")
    runs: dict[str, dict[str, _Run]] = {name: {} for name in methods}
    total = len(methods) * len(clips)
    for place, clip in enumerate(clips):
        images, error = _load(clip)
        for number, (name, method) in enumerate(methods.items()):
            if progress is not None:
                progress(Progress(name, clip.name, place * len(methods) + number, total))
            runs[name][clip.name] = _Run(error=error) if error else _run(method, images)
    if progress is not None:
        progress(Progress("", "", total, total))
    groups = list(dict.fromkeys(clip.group for clip in clips if clip.group))
    members = {group: [clip.name for clip in clips if clip.group == group] for group in groups}
    return {"methods": {name: _summary(found, members) for name, found in runs.items()}}


def _load(clip: InterpolationClip) -> tuple[list[Image], str | None]:
    try:
        return [frame.image for frame in clip.frames()], None
    except (FramestateError, OSError) as error:
        return [], f"{type(error).__name__}: {error}"


def _run(method: MiddleMaker, images: Sequence[Image]) -> _Run:
    run = _Run()
    try:
        for (made, seconds), truth in zip(method.middles(images[::2]), images[1::2], strict=True):
            run.seconds += seconds
            run.psnr.append(psnr(made, truth))
            run.ssim.append(ssim(made, truth))
    except Exception as error:  # a method from outside may raise anything; the other runs are worth keeping
        run.error = f"frame {2 * len(run.psnr) + 1}: {type(error).__name__}: {error}"
    return run


def _summary(runs: Mapping[str, _Run], members: Mapping[str, Sequence[str]]) -> MethodResult:
    groups = {}
    for group, names in members.items():
        finished = [runs[name] for name in names if runs[name].error is None]
        groups[group] = GroupResult(**_numbers(finished), num_clips=len(finished))
    return {
        **_numbers([run for run in runs.values() if run.error is None]),
        "failures": sum(run.error is not None for run in runs.values()),
        "groups": groups,
        "clips": {name: run.result() for name, run in runs.items()},
    }


def _numbers(runs: Sequence[_Run]) -> FidelityNumbers:
    """Means over runs of their means over frames; FPS over all frames together."""
    scored = [run for run in runs if run.psnr]
    frames, seconds = sum(len(run.psnr) for run in scored), sum(run.seconds for run in scored)
    return {
        "psnr_db": _mean([_mean(run.psnr) for run in scored]),
        "ssim": _mean([_mean(run.ssim) for run in scored]),
        "fps": frames / seconds if seconds > 0 else 0.0,
    }


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
