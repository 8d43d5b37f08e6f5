"""Which sizes of frames an interpolator's plans are built for, from what a user writes as ``--size``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from ..bundles import ModelSpec, Size
from ..engine.interpolation.model import InterpolationModel
from ..engine.interpolation.options import InterpolationOptions
from ..engine.interpolation.padding import padded_size
from ..engine.interpolation.sized_model import SizedModel
from ..errors import OptionError
from ..runtimes import Runtime
from ..runtimes.tensorrt_plan import FrameRange

DEFAULT = ("128x128:1280x720:1920x1088",)
"""Most videos, tuned for 720p; one size alone runs faster."""

LEAST_SIDE = 64
"""Pixels: less shows nothing to prove motion by."""

FORM = "give WIDTHxHEIGHT, such as 1280x720, or least:usual:most, such as 256x256:1280x720:1920x1080"


@dataclass(frozen=True)
class Described:
    """As much of a runtime as tells how the engine cuts frames: the model, and nothing to run."""

    spec: ModelSpec


def frame_ranges(spec: ModelSpec, texts: Sequence[str]) -> tuple[FrameRange, ...]:
    """The sizes for a model, each once; none where no shape depends on them. Raises OptionError."""
    if spec.is_sized:
        if texts:
            raise OptionError(
                f"the shapes of {spec.name!r} do not depend on the size of the frames", "leave --size out"
            )
        return ()
    found: list[FrameRange] = []
    for text in texts or DEFAULT:
        found += one_range(spec, text)
    return tuple(dict.fromkeys(found))


def one_range(spec: ModelSpec, text: str) -> list[FrameRange]:
    """The sizes that one text names: all that the engine needs for such frames, or a range as it stands."""
    sizes = [size_of(part) for part in text.split(":")]
    if len(sizes) == 1:
        return [FrameRange.only(size) for size in engine_sizes(spec, *sizes[0])]
    if len(sizes) != 3:
        raise OptionError(f"--size {text!r} names {len(sizes)} sizes", FORM)
    multiple = spec.preprocess.get("multiple", 1)
    assert isinstance(multiple, int), "an interpolator says so"
    least, usual, most = (padded_size(*size, multiple) for size in sizes)
    return [FrameRange(least, usual, most)]


def size_of(text: str) -> Size:
    """``WIDTHxHEIGHT`` as height and width. Raises OptionError."""
    found = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text.strip().lower())
    if found is None or min(int(found[1]), int(found[2])) < LEAST_SIDE:
        raise OptionError(f"--size {text!r} is no size of at least {LEAST_SIDE} pixels a side", FORM)
    return int(found[2]), int(found[1])


def engine_sizes(spec: ModelSpec, height: int, width: int) -> list[Size]:
    """What the engine shows the model of frames of a size, each (height, width), padded; see ``SizedModel``.

    These are the tiles, and the whole frame where motion is found at a smaller size.
    """
    model = InterpolationModel(cast("Runtime", Described(spec)))
    frames = SizedModel(model, height, width, InterpolationOptions())
    times = round(1 / frames.scale)
    whole = padded_size(height, width, model.multiple * times)
    return list(dict.fromkeys([frames.tile_size, (whole[0] // times, whole[1] // times)]))
