"""More frames for a clip of VapourSynth, which asks for frames in any order and from several threads."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ..engine import Engine, InterpolationOptions
from ..engine.interpolation.anywhere import Anywhere
from ..errors import OptionError

CUT = "_SceneChangeNext"
"""A property of a source frame: what follows is another scene, and nothing is made between."""

FORMATS = ("RGB24", "RGB48")


def interpolate(
    clip: Any,
    multi: int | float | str | Fraction | None = None,
    fps: int | float | str | Fraction | None = None,
    sc: bool = True,
    model: str = "interp-nano",
    scale: float | str = "auto",
    runtime: str = "auto",
    device: str = "auto",
    threads: int | None = None,
) -> Any:
    """A clip with more frames.

    Args:
        clip: ``vapoursynth.VideoNode``, constant RGB24 or RGB48, of a constant rate.
        multi: frames out for each frame in, such as 2 (the default) or 5/2.
        fps: an even rate instead.
        sc: make nothing across scene cuts: after a frame whose property ``_SceneChangeNext`` is set, as
            ``misc.SCDetect`` sets it, and where the engine finds one. Frames there repeat the nearer.
        model: a name or a bundle's folder.
        scale: the size at which motion is found: 1, 0.5, 0.25, or "auto".
        runtime, device, threads: as of `Engine.load`; the engine lives as long as the clip.

    Raises:
        OptionError: the clip is of another format, or the options do not go together.
        FramestateError: the model cannot be loaded; a frame that cannot be made is VapourSynth's error.
    """
    options = InterpolationOptions.of(multi, fps, scale=scale, cuts=sc)
    known = clip.format is not None and clip.format.name in FORMATS
    if not known or not clip.width or not clip.fps.numerator:
        name = "of no constant format" if clip.format is None else clip.format.name
        raise OptionError(
            f"the clip is {name} at {clip.fps} frames a second",
            "give RGB24 or RGB48 of a constant size and rate: clip.resize.Bicubic(format=vs.RGB24)",
        )
    step = options.steps if options.fps is None else options.fps / Fraction(clip.fps)
    if step < 1:
        raise OptionError(f"fps is {fps}, and the clip has {clip.fps}", "ask for more frames, not fewer")
    rate, last = Fraction(clip.fps) * step, clip.num_frames - 1
    engine = Engine.load(model, runtime=runtime, device=device, threads=threads, capacity=1)
    maker = Anywhere(engine.runtime, clip.height, clip.width, options)
    blank = clip.std.BlankClip(
        length=int(clip.num_frames * step), fpsnum=rate.numerator, fpsden=rate.denominator, keep=True
    )
    around = [shifted(clip, blank, step, offset) for offset in range(-1, 3)]

    def select(n: int, f: Sequence[Any]) -> Any:
        place, part = divmod(Fraction(n) / step, 1)
        frame = f[2].copy()  # the blank one is first, then the one before
        frame.props["_DurationNum"], frame.props["_DurationDen"] = rate.denominator, rate.numerator
        if not part or place >= last:
            return frame
        sources = {place + offset: f[2 + offset] for offset in range(-1, 3) if 0 <= place + offset <= last}
        cuts = frozenset(at for at, source in sources.items() if sc and source.props.get(CUT))
        images = {
            at: np.dstack([np.asarray(source[plane]) for plane in range(3)]) for at, source in sources.items()
        }
        image = maker.between(int(place), float(part), images, cuts)
        for plane in range(3):
            np.copyto(np.asarray(frame[plane]), image[..., plane])
        return frame

    return blank.std.ModifyFrame([blank, *around], select)


def shifted(clip: Any, blank: Any, step: Fraction, offset: int) -> Any:
    """For each output frame the source frame ``offset`` after the one that it follows, within the clip."""
    last = clip.num_frames - 1

    def choose(n: int) -> Any:
        place = min(max(int(Fraction(n) / step) + offset, 0), last)
        return clip[place].std.Loop(n + 1)

    return blank.std.FrameEval(choose)
