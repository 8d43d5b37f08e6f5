"""The interpolator that ships, on the demo's pond: its frames are near the truth, and tiles show no seam."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from framestate.engine import Engine, InterpolationOptions
from framestate.vision import Frame, Image
from framestate.vision.synthetic import Scene

from .conftest import PARTS, Without

TIMES = (20, 22)


@pytest.fixture(scope="module")
def shipped() -> Iterator[Engine]:
    with Engine.load("interp-nano", runtime="onnx", threads=1) as engine:
        yield engine


@pytest.fixture(scope="module")
def pond() -> Scene:
    return Scene(size=(640, 360))


def middle(engine: Engine, scene: Scene, options: InterpolationOptions) -> tuple[Image, int]:
    with engine.open(options=options) as session:
        shown: list[Frame] = []
        for index, time in enumerate(TIMES):
            shown += session.push(Frame(scene.render(time), index, Fraction(1, 25), index))
        assert session.memory.num_tiles is not None
        return shown[1].image, session.memory.num_tiles


def distance(one: Image, other: Image) -> float:
    """In dB, as PSNR."""
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2)))


def test_better_than_a_blend(shipped: Engine, pond: Scene) -> None:
    made, _ = middle(shipped, pond, InterpolationOptions())
    truth = pond.render(21)
    blended = np.rint((pond.render(20).astype(float) + pond.render(22)) / 2).astype(np.uint8)
    assert distance(made, truth) > distance(blended, truth) + 1


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_tiles_show_no_seam(shipped: Engine, pond: Scene, scale: float) -> None:
    engine = Engine(Without(shipped.runtime, *PARTS)) if scale < 1 else shipped
    whole, _ = middle(engine, pond, InterpolationOptions(scale=scale))
    options = InterpolationOptions(scale=scale, tile_pixels=384 * 320, overlap=128)
    tiled, count = middle(engine, pond, options)
    assert count >= 3
    assert distance(whole, tiled) > 40
    truth = pond.render(21)
    assert distance(tiled, truth) > distance(whole, truth) - 0.3
    # A seam is a step from one column (or row) to the next that the whole picture does not have. The
    # outermost ones are left out: no seam is there, but the padding of the whole picture is.
    for axis in (0, 1):
        steps = [np.diff(image.astype(float), axis=axis) for image in (tiled, whole)]
        lines = np.abs(steps[0] - steps[1]).mean(axis=(1 - axis, 2))
        assert lines[16:-16].max() < 1.5
