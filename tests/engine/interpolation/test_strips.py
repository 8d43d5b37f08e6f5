"""Frames blended a strip of rows at a time are those that are blended whole."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from framestate.bundles import load_bundle
from framestate.engine import Engine
from framestate.engine.interpolation import strips
from framestate.engine.interpolation.outside import remap_is_exact
from framestate.engine.interpolation.strips import reach_of
from framestate.runtimes import Runtime, RuntimeOver, open_runtime
from framestate.vision import Frame, Image
from framestate.vision.synthetic import demo_clip
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(1, 400), st.integers(1, 90), st.none() | st.integers(1, 8))
def test_strips_show_every_row_once_and_see_as_far_as_is_needed(
    rows: int, most: int, reach: int | None
) -> None:
    found = strips.strips(rows, most, reach)
    assert [row for one in found for row in range(one.shown.start, one.shown.stop)] == list(range(rows))
    assert len({one.seen.stop - one.seen.start for one in found}) == 1
    for one in found:
        assert 0 <= one.seen.start <= max(0, one.shown.start - (reach or 0))
        assert min(rows, one.shown.stop + (reach or 0)) <= one.seen.stop <= rows
    assert len(found) == 1 if reach is None or rows <= most else len(found) > 1


class Watched(RuntimeOver):
    """Counts the calls of ``mend``; ``looks_at_all`` lets each place that it gives depend on all others."""

    def __init__(self, runtime: Runtime, *, looks_at_all: bool = False) -> None:
        super().__init__(runtime)
        self.blends, self._looks_at_all = 0, looks_at_all

    def call(self, function: str, inputs: Any, state: Any) -> Any:
        self.blends += function == "mend"
        outputs, written = super().call(function, inputs, state)
        if function == "mend" and self._looks_at_all:
            outputs = {name: one * 0.9 + 0.1 * inputs["mask"].mean() for name, one in outputs.items()}
        return outputs, written

    def close(self) -> None:
        """It is the caller's."""


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    if not remap_is_exact():
        pytest.skip("OpenCV 4 rounds places")
    opened = open_runtime(load_bundle("interp-nano"), "onnx", device="cpu", threads=1)
    yield opened
    opened.close()


def made(runtime: Runtime, size: tuple[int, int], deep: bool, **options: Any) -> list[Image]:
    images: list[Any] = [image for image, _, _ in demo_clip(seed=7, frames=3, size=size)]
    if deep:
        images = [(image.astype(np.uint16) * 257).astype(np.uint16) for image in images]
    with Engine(runtime, capacity=1).open(**options) as session:
        frames = (Frame(image, index, Fraction(1, 25), index) for index, image in enumerate(images))
        return [one.image for frame in frames for one in session.push(frame)]


@pytest.mark.parametrize(
    ("size", "deep", "scale"), [((200, 150), False, 1), ((200, 150), True, 0.5), ((67, 350), False, 1)]
)
def test_strips_make_the_frames_of_the_whole(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], deep: bool, scale: float
) -> None:
    whole, parts = Watched(runtime), Watched(runtime)
    expected = made(whole, size, deep, scale=scale)
    assert whole.blends == 2
    monkeypatch.setattr(strips, "MOST_PIXELS", 60 * size[0])
    found = made(parts, size, deep, scale=scale)
    assert parts.blends > 4
    level = 257 if deep else 1
    difference = np.abs(np.stack(found).astype(int) - np.stack(expected))
    assert difference.max() <= level
    assert (difference >= level).mean() < 1e-3


def test_a_model_that_looks_at_all_of_a_frame_blends_it_whole(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reach_of(runtime, 32) == 2
    looking = Watched(runtime, looks_at_all=True)
    assert reach_of(looking, 32) is None
    monkeypatch.setattr(strips, "MOST_PIXELS", 60 * 200)
    looking.blends = 0
    made(looking, (200, 150), False)
    tried, looking.blends = looking.blends, 0
    assert 2 < tried <= 2 + 1 + 4 * len(strips.REACHES)  # that it is so is found out once
    expected = Watched(runtime, looks_at_all=True)
    monkeypatch.undo()
    assert np.array_equal(made(looking, (200, 150), False), made(expected, (200, 150), False))
