"""Training samples of interpolators: three frames of a clip, cut, turned and recoloured alike.

A sample follows from the seed and its index, so a run that was interrupted sees what it would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import DataError, OptionError
from .cache import GAPS, SHRINK, CachedClip
from .untold import dissolve, hold, spark, stop, with_noise

Picture = npt.NDArray[Any]
"""RGB, uint8, (H, W, 3)."""

TEACHER_LEVEL = 8  # of the flows that a sample brings


@dataclass(frozen=True)
class TripletConfig:
    """How samples are drawn.

    Attributes:
        crops: sides in pixels, multiples of 32: a curriculum, each from its step of ``crop_steps`` on.
        gaps: how often the frames before and after the middle are 1, 2 and 3 frames away from it.
        off_middle: share of samples whose time is a third or a quarter rather than the middle.
        rescaled: share of samples shrunk or enlarged.
        scales: the least and the most of that; the more, the further things move.
        dissolved: share of samples that fade into another clip, or from or to one colour.
        held: share of samples whose middle is one of its ends, as in drawings that are held.
        still: share of samples in which nothing moves, although the pairs around say so.
        sparks: share of samples with specks that are elsewhere in each frame.
        before: whether samples bring the frame before the pair too, for models that carry something.
        seek_motion: share of samples cut where, of three places, most moves.
        start: whether samples bring a flow to start from, for models that want one.
        bend: whether they bring how the motion bends, too.
        before_dropped, after_dropped: share of samples that are not told so by the pair before, or after.
        start_dropped: share of samples whose flow to start from says that nothing moves.
        noisy: share of samples whose ends, not the frame to make, have noise of up to 6 levels added.
    """

    crops: tuple[int, ...] = (192,)
    crop_steps: tuple[int, ...] = (0,)
    gaps: tuple[float, ...] = (0.55, 0.3, 0.15)
    off_middle: float = 0.2
    rescaled: float = 0.3
    scales: tuple[float, float] = (0.67, 1.3)
    dissolved: float = 0.0
    held: float = 0.0
    still: float = 0.0
    sparks: float = 0.0
    seek_motion: float = 0.5
    before: bool = False
    start: bool = False
    bend: bool = False
    before_dropped: float = 0.1
    after_dropped: float = 0.4
    start_dropped: float = 0.04
    noisy: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "gaps", tuple(self.gaps))
        object.__setattr__(self, "crops", tuple(self.crops))
        object.__setattr__(self, "crop_steps", tuple(self.crop_steps))
        if not self.crops or any(crop < 32 or crop % 32 for crop in self.crops):
            raise OptionError(f"crops is {self.crops}", "give multiples of 32")
        if len(self.crop_steps) != len(self.crops) or sorted(self.crop_steps) != [0, *self.crop_steps[1:]]:
            raise OptionError(
                f"crop_steps is {self.crop_steps}", "give a step for each of the crops, rising from 0"
            )
        object.__setattr__(self, "scales", tuple(self.scales))
        if len(self.scales) != 2 or not 0.25 <= self.scales[0] <= self.scales[1] <= 4:
            raise OptionError(f"scales is {self.scales}", "give the least and the most, from 0.25 to 4")
        if len(self.gaps) != len(GAPS) or min(self.gaps) < 0 or sum(self.gaps) <= 0:
            raise OptionError(f"gaps is {self.gaps}", f"give {len(GAPS)} shares")

        if min(self.dissolved, self.held, self.still, self.sparks) < 0 or self.untold > 1:
            raise OptionError(
                f"dissolved, held, still and sparks are {self.untold:g} in all", "give shares of one"
            )

    @property
    def untold(self) -> float:
        """The share of samples whose motion cannot be told."""
        return self.dissolved + self.held + self.still + self.sparks

    def crop_at(self, step: int) -> int:
        """The side of the crops of a step."""
        return [crop for crop, start in zip(self.crops, self.crop_steps, strict=True) if start <= step][-1]


@dataclass(frozen=True)
class Choice:
    """Which frames of which clip: both ends, the one to make, and the teacher's gap."""

    clip: CachedClip
    ends: tuple[int, int]
    target: int
    middle: int
    gap: int  # index into GAPS, -1 where the time is not the middle
    span: int  # index into GAPS, of the ends

    def before(self, reverse: bool) -> int | None:
        """The frame as far before the pair as the pair is wide (behind it, where time is reversed)."""
        wide = self.ends[1] - self.ends[0]
        index = self.ends[1] + wide if reverse else self.ends[0] - wide
        return index if 0 <= index < len(self.clip.frames) else None


class TripletSource:
    """Samples by index. Raises DataError where no clip has a triplet to learn from."""

    def __init__(self, config: TripletConfig, clips: Sequence[CachedClip], seed: int) -> None:
        self.config, self.seed = config, seed
        self.places: list[list[tuple[CachedClip, npt.NDArray[np.intp]]]] = []
        for index in range(len(GAPS)):
            found = [(clip, np.flatnonzero(clip.usable[:, index])) for clip in clips]
            self.places.append([(clip, middles) for clip, middles in found if len(middles)])
        if not self.places[0]:
            raise DataError("no clip of the cache has a triplet that moves", "give other clips")

    def sample(self, index: int, size: int) -> dict[str, Any]:
        """A sample of side S = ``size``:

        first, target, second uint8 (3, S, S); t (1,); flow (4, S/8, S/8); known (1,): 1 where it holds.
        With ``before`` also before (3, S, S) and seen (1,): 1 where there is such a frame; with ``start``
        also start (4, S/8, S/8), with ``bend`` also bend, alike. Flows are in pixels of their grids."""
        rng = np.random.default_rng((self.seed, index))
        found = self.cut(self.choose(rng), size, rng)
        kind = rng.random() if self.config.untold else 1.0
        if kind < self.config.dissolved:
            other = None if rng.random() < 0.3 else self.cut(self.choose(rng), size, rng)
            return dissolve(found, other, rng)
        kind -= self.config.dissolved
        for share, change in (
            (self.config.held, hold),
            (self.config.still, stop),
            (self.config.sparks, spark),
        ):
            if 0 <= kind < share:
                return change(found, rng)
            kind -= share
        return found

    def choose(self, rng: np.random.Generator) -> Choice:
        """A clip, each as likely as the others, and three of its frames."""
        shares = np.array(self.config.gaps) * [bool(places) for places in self.places]
        gap = int(rng.choice(len(GAPS), p=shares / shares.sum()))
        clip, middles = self.places[gap][int(rng.integers(len(self.places[gap])))]
        middle = int(rng.choice(middles))
        span = GAPS[gap]
        ends = (middle - span, middle + span)
        if span > 1 and rng.random() < self.config.off_middle * 2:  # gap 1 has nothing between but the middle
            inside = [i for i in range(ends[0] + 1, ends[1]) if i != middle]
            return Choice(clip, ends, int(rng.choice(inside)), middle, -1, gap)
        return Choice(clip, ends, middle, middle, gap, gap)

    def cut(self, choice: Choice, size: int, rng: np.random.Generator) -> dict[str, Any]:
        """The sample, cut out of the frames and changed by chance."""
        scale = (
            float(np.exp(rng.uniform(*np.log(self.config.scales))))
            if rng.random() < self.config.rescaled
            else 1.0
        )
        frames = choice.clip.frames
        height, width = frames.shape[1:3]
        side = min(round(size / scale / SHRINK) * SHRINK, height // SHRINK * SHRINK, width // SHRINK * SHRINK)
        top, left = self.place(choice, side, rng)
        rows, columns = slice(top, top + side), slice(left, left + side)
        reverse = bool(rng.random() < 0.5)
        places = [choice.ends[0], choice.target, choice.ends[1]]
        earlier = choice.before(reverse)
        if self.config.before:
            places.append(choice.ends[0] if earlier is None else earlier)
        pictures: list[Picture] = [np.asarray(frames[index, rows, columns]) for index in places]
        if side != size:
            way = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
            pictures = [cv2.resize(picture, (size, size), interpolation=way) for picture in pictures]
        known = choice.gap >= 0
        grid = size // TEACHER_LEVEL
        flows = np.zeros((3, 2, 2, grid, grid), np.float32)
        if known:
            flows[0] = fitted(choice.clip.flows[choice.middle, choice.gap], top, left, side, size)
        started = self.config.start and bool(rng.random() >= self.config.start_dropped)
        if started:
            assert choice.clip.starts is not None, "the cache was built with them"
            flows[1] = fitted(choice.clip.starts[choice.middle, choice.span], top, left, side, size)
        if started and self.config.bend:
            assert choice.clip.bends is not None, "the cache was built with them"
            flows[2] = fitted(choice.clip.bends[choice.middle, choice.span], top, left, side, size)
        t = (choice.target - choice.ends[0]) / (choice.ends[1] - choice.ends[0])
        pictures, flows, t = turn(pictures, flows, t, reverse, rng)
        extra: dict[str, Any] = {}
        if self.config.start:
            extra["start"] = np.ascontiguousarray(flows[1].reshape(4, grid, grid))
        if self.config.bend:
            dropped = (self.config.before_dropped, self.config.after_dropped)
            told = (rng.random(2) >= dropped).astype(np.float32)
            extra["bend"] = (flows[2] * told.reshape(2, 1, 1, 1)).reshape(4, grid, grid)
        pictures = recolour(pictures, rng)
        if self.config.noisy and rng.random() < self.config.noisy:
            pictures[::2] = [with_noise(picture, rng) for picture in pictures[::2]]  # both ends
        if self.config.before:
            extra["before"] = planes(pictures[3])
            extra["seen"] = np.array([earlier is not None], np.float32)
        return {
            **extra,
            "first": planes(pictures[0]),
            "target": planes(pictures[1]),
            "second": planes(pictures[2]),
            "t": np.array([t], np.float32),
            "flow": np.ascontiguousarray(flows[0].reshape(4, grid, grid)),
            "known": np.array([known], np.float32),
        }

    def place(self, choice: Choice, side: int, rng: np.random.Generator) -> tuple[int, int]:
        """Top and left of a square of ``side``, on the grid of the stored flow."""
        height, width = choice.clip.frames.shape[1:3]
        tries = 3 if rng.random() < self.config.seek_motion else 1
        best = (-1.0, 0, 0)
        for _ in range(tries):
            top = int(rng.integers(0, (height - side) // SHRINK + 1)) * SHRINK
            left = int(rng.integers(0, (width - side) // SHRINK + 1)) * SHRINK
            moved = 0.0
            if tries > 1:
                part = (
                    slice(top // SHRINK, (top + side) // SHRINK, 4),
                    slice(left // SHRINK, (left + side) // SHRINK, 4),
                )
                moved = float(
                    np.abs(
                        choice.clip.flows[choice.middle, max(choice.gap, 0), :, :, part[0], part[1]]
                    ).mean()
                )
            best = max(best, (moved, top, left))
        return best[1], best[2]


def fitted(
    stored: npt.NDArray[np.float16], top: int, left: int, side: int, size: int
) -> npt.NDArray[np.float32]:
    """A square of a cached flow (2, 2, H/4, W/4), as that of a sample of ``size`` made of it.

    top, left and side are in pixels of the full size, and multiples of 4.
    """
    rows, columns = (slice(start // SHRINK, (start + side) // SHRINK) for start in (top, left))
    grid = size // TEACHER_LEVEL
    square = stored[:, :, rows, columns].astype(np.float32)
    planes = [
        cv2.resize(plane, (grid, grid), interpolation=cv2.INTER_AREA)
        for plane in square.reshape(4, *square.shape[2:])
    ]
    found: npt.NDArray[np.float32] = np.stack(planes).reshape(2, 2, grid, grid)
    return found * np.float32(size / side / TEACHER_LEVEL)


def turn(
    pictures: list[Picture], flow: npt.NDArray[np.float32], t: float, reverse: bool, rng: np.random.Generator
) -> tuple[list[Picture], npt.NDArray[np.float32], float]:
    """Mirrors and transposes by chance, and reverses time. Flows (…, 2 sides, x and y, h, w) turn along.

    What follows the first three pictures is mirrored with them, but stays where it is in time.
    """
    if rng.random() < 0.5:
        pictures = [picture[:, ::-1] for picture in pictures]
        flow = flow[..., ::-1] * np.array([-1, 1], np.float32).reshape(2, 1, 1)
    if rng.random() < 0.5:
        pictures = [picture[::-1] for picture in pictures]
        flow = flow[..., ::-1, :] * np.array([1, -1], np.float32).reshape(2, 1, 1)
    if rng.random() < 0.5:
        pictures = [picture.transpose(1, 0, 2) for picture in pictures]
        flow = flow.swapaxes(-1, -2)[..., ::-1, :, :]
    if reverse:
        return [*pictures[2::-1], *pictures[3:]], flow[..., ::-1, :, :, :], 1.0 - t
    return pictures, flow, t


def recolour(pictures: list[Picture], rng: np.random.Generator) -> list[Picture]:
    """Gamma, gain and channel order, by chance, the same for all pictures."""
    if rng.random() < 0.3:
        order = rng.permutation(3)
        pictures = [picture[..., order] for picture in pictures]
    if rng.random() < 0.4:
        gamma, gain, offset = rng.uniform(0.7, 1.4), rng.uniform(0.7, 1.15), rng.uniform(0.0, 0.1)
        table = np.clip(255 * (offset + gain * (np.arange(256) / 255) ** gamma), 0, 255).astype(np.uint8)
        pictures = [table[picture] for picture in pictures]
    return pictures


def planes(picture: Picture) -> Picture:
    """(H, W, 3) -> (3, H, W)."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1))
