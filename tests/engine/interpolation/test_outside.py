"""Parts of the shipped model that do the same in less time: warping between graphs, encoding what is read."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from framestate.bundles import load_bundle
from framestate.engine import Engine
from framestate.engine.interpolation.anywhere import Anywhere
from framestate.engine.interpolation.model import check_interpolator
from framestate.engine.interpolation.options import InterpolationOptions
from framestate.engine.interpolation.outside import Desks, remap_is_exact, warps_outside
from framestate.errors import BundleError
from framestate.runtimes import Runtime, open_runtime
from framestate.vision import Frame, Image
from framestate.vision.synthetic import demo_clip

from .conftest import PARTS, Without


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    opened = open_runtime(load_bundle("interp-nano"), "onnx", device="cpu", threads=1)
    yield opened
    opened.close()


def clip(count: int = 3, size: tuple[int, int] = (200, 120)) -> list[Image]:
    return [image for image, _, _ in demo_clip(seed=7, frames=count, size=size)]


def made(runtime: Runtime, images: list[Image], **options: Any) -> list[Image]:
    with Engine(runtime, capacity=1).open(**options) as session:
        frames = (Frame(image, index, Fraction(1, 25), index) for index, image in enumerate(images))
        return [one.image for frame in frames for one in session.push(frame)]


def test_encoding_what_is_read_changes_no_bit(runtime: Runtime) -> None:
    images = clip()
    with_it, without = (Without(runtime, *PARTS, *more) for more in ((), ("encode_fine",)))
    found, expected = made(with_it, images, scale=0.5), made(without, images, scale=0.5)
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    assert with_it.calls.count("encode_fine") == with_it.calls.count("encode") == 3
    assert without.calls.count("encode") == 6
    assert "encode_fine" not in made_calls(runtime, images)


def made_calls(runtime: Runtime, images: list[Image]) -> list[str]:
    counting = Without(runtime)
    made(counting, images)
    return counting.calls


def test_warping_between_graphs_makes_the_same_frames(runtime: Runtime) -> None:
    if not remap_is_exact():
        pytest.skip("OpenCV 4 rounds places")
    images = clip()
    outside, inside = Without(runtime), Without(runtime, *PARTS)
    assert warps_outside(outside)
    assert not warps_outside(inside)
    pairs = list(
        zip(
            made(outside, images, factor=3, scale=1),
            made(inside, images, factor=3, scale=1),
            strict=True,
        )
    )
    differences = np.stack([np.abs(one.astype(int) - other) for one, other in pairs])
    assert differences.max() <= 1
    assert (differences > 0).mean() < 1e-3
    assert outside.calls.count("aim") == outside.calls.count("mend") == inside.calls.count("interpolate") == 4


def test_deep_pictures_stay_deep_when_warped_outside(runtime: Runtime) -> None:
    images = [(image.astype(np.uint16) * 257).astype(np.uint16) for image in clip(2)]
    found = made(runtime, images)  # type: ignore[arg-type]
    assert [one.dtype for one in found] == [np.uint16] * 3


def test_frames_in_any_order_are_those_of_a_session(runtime: Runtime) -> None:
    images = clip(4)
    with Engine(runtime, capacity=1).open(lookahead=True) as session:
        frames = (Frame(image, index, Fraction(1, 25), index) for index, image in enumerate(images))
        expected = [one.image for frame in frames for one in session.push(frame)]
        expected += [one.image for one in session.flush() or ()]
    anywhere = Anywhere(runtime, 120, 200, InterpolationOptions.of(2))
    shown = dict(enumerate(images))
    for place in (2, 0, 1, 2):
        assert np.array_equal(anywhere.between(place, 0.5, shown, frozenset()), expected[2 * place + 1])
    assert np.array_equal(anywhere.between(1, 0.75, shown, frozenset({1})), images[2])
    still = {0: images[0], 1: images[0]}
    fresh = Anywhere(runtime, 120, 200, InterpolationOptions.of(2))
    assert np.array_equal(fresh.between(0, 0.75, still, frozenset()), images[0])


def test_parts_that_do_not_belong_together_are_refused() -> None:
    spec = load_bundle("interp-nano").spec
    functions = dict(spec.functions)

    def refused(words: str, **changes: Any) -> None:
        kept = {name: one for name, one in {**functions, **changes}.items() if one is not None}
        with pytest.raises(BundleError, match=words):
            check_interpolator(replace(spec, functions=kept))

    mend = functions["mend"]
    refused("it has aim and not both", mend=None)
    refused("mend takes", mend=replace(mend, inputs=mend.inputs[1:]))
    refused("mend gives", mend=replace(mend, outputs=mend.outputs[:1]))
    swapped = tuple(
        replace(one, shape=two.shape) for one, two in zip(mend.outputs, mend.outputs[::-1], strict=True)
    )
    refused("mend gives patches of", mend=replace(mend, outputs=swapped))
    image = functions["interpolate"].outputs
    check_interpolator(replace(spec, functions={**functions, "blend": replace(mend, outputs=image)}))
    refused("blend gives", mend=None, blend=mend)
    refused("aim does not give 'flow'", aim=replace(functions["aim"], outputs=functions["aim"].outputs[1:]))
    refused(
        "encode_fine does not write all",
        encode_fine=replace(functions["encode_fine"], writes_state=("second.image",)),
    )


def test_what_is_kept_for_the_next_frame_is_freed() -> None:
    desks = Desks()
    desk = desks.lend()
    pixels = np.zeros((32, 48, 3), np.uint8)
    planes = desk.both(pixels, pixels, np.zeros((1, 4, 8, 12), np.float32), slice(0, 8), 4)
    kept = [weakref.ref(one) for one in planes]
    desks.take_back(desk)
    del planes, desk
    assert all(one() is not None for one in kept)
    desks.give_back()
    assert all(one() is None for one in kept)
