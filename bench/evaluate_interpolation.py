"""Make the withheld frames of clips in several ways and score them: ``framestate eval interpolation``.

Odd frames are withheld and predicted from the even ones. Where more than one frame lies between two that are
seen (X-TEST), they are made by halves, as VFIMamba's benchmark does: first the middle one. All methods run
over a clip before the next one begins, so that a busy machine slows all of them alike. Only making is timed:
decoding and scoring are not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice, pairwise
from typing import NotRequired, TypedDict

import numpy as np

from ..errors import DataError, FramestateError, OptionError
from .fidelity import Levels, interpolation_error, psnr, rounded, ssim, ssim_matlab
from .interpolation_clips import Clip
from .interpolation_peers import Image, Made, MiddleMaker
from .perception import LARGE, LEAST, gmsd, haarpsi, motion_of, patch_errors
from .run_store import KeptFolder
from .worst_frames import Look, WorstFrames

MEASURES = ("psnr_db", "ssim", "gmsd", "haarpsi", "worst_patch")
"""Of every made frame; the last three see what PSNR does not, see `bench.perception`."""


class FidelityNumbers(TypedDict):
    """How good the made frames are, and how many were made a second. NaN where there were none."""

    psnr_db: float
    ssim: float
    gmsd: float
    """Gradient magnitude similarity deviation: 0 is equal."""
    haarpsi: float
    """Haar wavelet-based perceptual similarity: 1 is equal; NaN for clips of frames too small for it."""
    worst_patch: float
    """The 99th percentile of the errors of patches of a frame, in levels."""
    fps: float
    ssim_matlab: NotRequired[float]
    """This and what follows is measured on public test sets only, see `bench.fidelity`."""
    psnr_unrounded_db: NotRequired[float]
    ssim_matlab_unrounded: NotRequired[float]
    interpolation_error: NotRequired[float]


class ClipResult(FidelityNumbers):
    """One method on one clip."""

    frames: int
    """Frames made and scored."""
    error: NotRequired[str]
    """Why the clip was not finished; its numbers are not part of the means then."""


class GroupResult(FidelityNumbers):
    """One method on the clips of one group: means over the clips, FPS pooled over their frames."""

    num_clips: int


class LargeMotion(TypedDict):
    """One method on the frames between two that lie far apart: means over the clips that have such."""

    num_clips: int
    num_frames: int
    psnr_db: float
    ssim: float
    gmsd: float
    haarpsi: float
    worst_patch: float


class MethodResult(FidelityNumbers):
    """One method on all clips: means over the clips, FPS pooled over all frames."""

    failures: int
    large_motion: LargeMotion
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

    measures: dict[str, list[float]] = field(default_factory=dict)
    motion: list[float] = field(default_factory=list)
    frames: int = 0
    seconds: float = 0.0
    error: str | None = None

    @classmethod
    def of(cls, text: str, place: str) -> _Run:
        """A run out of a text that was kept. Raises DataError, naming the ``place``, for another text."""
        try:
            run = cls(**json.loads(text))
            lists = [*run.measures.values(), run.motion]
            lengths = {len([float(value) for value in values]) for values in lists}
            if not set(MEASURES) <= set(run.measures):
                raise ValueError("it lacks measures")
            whole = lengths <= {run.frames} and run.seconds >= 0
        except (ValueError, TypeError, AttributeError) as error:
            raise DataError(f"{place} is no run of a method ({error})", "Delete the file.") from error
        if not whole:
            raise DataError(f"{place} has not one measure a frame", "Delete the file.")
        return run

    def add(self, made: Levels, truth: Image, motion: float, published: bool) -> None:
        """Measure one frame."""
        shown = rounded(made)
        found = {
            "psnr_db": psnr(shown, truth),
            "ssim": ssim(shown, truth),
            "gmsd": gmsd(shown, truth),
            "haarpsi": haarpsi(shown, truth) if min(shown.shape[:2]) >= LEAST else float("nan"),
            "worst_patch": patch_errors(shown, truth).percentile,
        }
        if published:
            found["ssim_matlab"] = ssim_matlab(shown, truth)
            found["psnr_unrounded_db"] = psnr(made, truth)
            found["ssim_matlab_unrounded"] = ssim_matlab(made, truth)
            found["interpolation_error"] = interpolation_error(shown, truth)
        for name, value in found.items():
            self.measures.setdefault(name, []).append(value)
        self.motion.append(motion)
        self.frames += 1

    def result(self) -> ClipResult:
        found = ClipResult(**_numbers([self]), frames=self.frames)  # type: ignore[typeddict-item]
        if self.error is not None:
            found["error"] = self.error
        return found


def evaluate_interpolation(
    methods: Mapping[str, MiddleMaker],
    clips: Sequence[Clip],
    *,
    progress: Callable[[Progress], None] | None = None,
    published: bool = False,
    kept: KeptFolder | None = None,
    worst: WorstFrames | None = None,
) -> InterpolationResults:
    """Run every method over every clip and score what it makes.

    A method that fails on a clip, and a clip that cannot be read, are noted in the results; the run goes on.

    Args:
        methods: by the name they are reported under.
        clips: see `load_clips`.
        progress: called before each run, and after the last one.
        published: measure what published tables of the public test sets hold, too.
        kept: where finished clips are kept; those that are there are not made again.
        worst: is shown every made frame, so all clips are made again.

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
        stamp = "" if kept is None else clip.stamp
        found = {} if kept is None or worst is not None else _kept(kept, list(methods), clip.name, stamp)
        images, error = ([], None) if len(found) == len(methods) else _load(clip)
        motion = _motion(images, clip.factor)
        for number, (name, method) in enumerate(methods.items()):
            if progress is not None:
                progress(Progress(name, clip.name, place * len(methods) + number, total))
            run = found.get(name)
            if run is None:
                look = None if worst is None else worst.looker(name, clip.name)
                run = _Run(error=error)
                if error is None:
                    run = _run(method, images, clip.factor, motion, published, look)
                if kept is not None and run.error is None:
                    kept.write(name, clip.name, stamp, json.dumps(asdict(run)))
            runs[name][clip.name] = run
    if progress is not None:
        progress(Progress("", "", total, total))
    groups = list(dict.fromkeys(clip.group for clip in clips if clip.group))
    members = {group: [clip.name for clip in clips if clip.group == group] for group in groups}
    return {"methods": {name: _summary(found, members) for name, found in runs.items()}}


def _kept(kept: KeptFolder, methods: Sequence[str], clip: str, stamp: str) -> dict[str, _Run]:
    texts = {name: kept.read(name, clip, stamp) for name in methods}
    return {
        name: _Run.of(text, str(kept.file(name, clip))) for name, text in texts.items() if text is not None
    }


def _load(clip: Clip) -> tuple[list[Image], str | None]:
    try:
        return clip.images(), None
    except (FramestateError, OSError) as error:
        return [], f"{type(error).__name__}: {error}"


def _motion(images: Sequence[Image], factor: int) -> list[float]:
    """How far things move between the seen neighbours of each withheld frame, see `motion_of`."""
    pairs = [motion_of(one, other) for one, other in pairwise(images[::factor])]
    return [pair for pair in pairs for _ in range(factor - 1)]


def _run(
    method: MiddleMaker,
    images: Sequence[Image],
    factor: int,
    motion: Sequence[float],
    published: bool,
    look: Look | None,
) -> _Run:
    run = _Run()
    withheld = [place for place in range(len(images)) if place % factor]
    made_frames = between(method, images[::factor], factor)
    try:
        for (made, seconds), place, moved in zip(made_frames, withheld, motion, strict=True):
            run.seconds += seconds
            run.add(made, images[place], moved, published)
            if look is not None:
                before = place - place % factor
                look(place, rounded(made), images[place], images[before], images[before + factor])
    except Exception as error:  # a method from outside may raise anything; the other runs are worth keeping
        run.error = f"frame {run.frames + 1}: {type(error).__name__}: {error}"
    return run


def between(method: MiddleMaker, images: Sequence[Image], factor: int) -> Iterator[Made]:
    """``factor - 1`` frames between each two neighbours, in the order of time; a power of two.

    Made by halves: each frame is the middle of two that are there, which are rounded for that.
    """
    if factor < 2 or factor & (factor - 1):
        raise OptionError(f"the factor is {factor}", "Give a power of two.")
    middles = method.middles(images)
    if factor == 2:
        yield from middles
        return
    halves = list(middles)
    finer = [images[0]]
    for (made, _), image in zip(halves, images[1:], strict=True):
        finer += [rounded(made), image]
    parts = between(method, finer, factor // 2)
    for middle in halves:
        yield from islice(parts, factor // 2 - 1)
        yield middle
        yield from islice(parts, factor // 2 - 1)


def _summary(runs: Mapping[str, _Run], members: Mapping[str, Sequence[str]]) -> MethodResult:
    groups = {}
    for group, names in members.items():
        finished = [runs[name] for name in names if runs[name].error is None]
        groups[group] = GroupResult(**_numbers(finished), num_clips=len(finished))
    return {
        **_numbers([run for run in runs.values() if run.error is None]),
        "failures": sum(run.error is not None for run in runs.values()),
        "large_motion": _large(runs),
        "groups": groups,
        "clips": {name: run.result() for name, run in runs.items()},
    }


def _large(runs: Mapping[str, _Run]) -> LargeMotion:
    parts = []
    for run in runs.values():
        chosen = [place for place, moved in enumerate(run.motion) if moved >= LARGE]
        if chosen and run.error is None:
            parts.append({name: [run.measures[name][place] for place in chosen] for name in MEASURES})
    means = {name: _mean([_mean(part[name]) for part in parts]) for name in MEASURES}
    frames = sum(len(part["psnr_db"]) for part in parts)
    return {**means, "num_clips": len(parts), "num_frames": frames}  # type: ignore[typeddict-item]


def _numbers(runs: Sequence[_Run]) -> FidelityNumbers:
    """Means over runs of their means over frames; FPS over all frames together."""
    scored = [run for run in runs if run.frames]
    frames, seconds = sum(run.frames for run in scored), sum(run.seconds for run in scored)
    names = MEASURES if not scored else tuple(scored[0].measures)
    means = {name: _mean([_mean(run.measures[name]) for run in scored]) for name in names}
    return {**means, "fps": frames / seconds if seconds > 0 else 0.0}  # type: ignore[typeddict-item]


def _mean(values: Sequence[float]) -> float:
    """Of those that are numbers."""
    known = [value for value in values if value == value]
    return float(np.mean(known)) if known else float("nan")
