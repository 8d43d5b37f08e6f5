"""The flow that motion starts from: what the model is handed, in tiles, side by side, and hostile input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pytest
from framestate.bundles import BATCH, FunctionSpec, ModelSpec, TensorSpec, load_bundle
from framestate.engine import Engine, InterpolationOptions
from framestate.engine.interpolation.model import check_interpolator
from framestate.engine.interpolation.prior import Prior, prior_of
from framestate.errors import BundleError, StepError
from framestate.vision import Frame, Image
from framestate.vision.motion import WAYS, Grey, MiddleFlow, grey_of

from .conftest import Pictures, Watched, frames


def shown(engine: Engine, images: list[Image], **options: Any) -> list[Image]:
    given = InterpolationOptions(cuts=False, duplicates=False, **options)
    with engine.open(options=given) as session:
        return [one.image for frame in frames(images) for one in session.push(frame)]


def test_the_model_is_handed_the_flow_of_the_frame_as_it_sees_it(
    shipped: Engine, watched: Watched, picture: Pictures
) -> None:
    images = [picture(shift, size=(70, 100)) for shift in (0, 3)]
    shown(shipped, images)
    (flow,) = watched.flows
    assert flow.shape == (1, 4, 96 // 8, 128 // 8)
    one, other = (grey_of(np.pad(image, ((0, 26), (0, 28), (0, 0)), mode="edge")) for image in images)
    np.testing.assert_array_equal(flow[0], MiddleFlow("dis-fine").find(one, other, 12, 16).middle)


def test_a_frame_is_made_grey_once(
    shipped: Engine, watched: Watched, picture: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Image] = []
    guide = Prior.guide

    def counted(prior: Prior, image: Image) -> Grey:
        seen.append(image)
        return guide(prior, image)

    monkeypatch.setattr(Prior, "guide", counted)
    shown(shipped, [picture(2 * step, size=(64, 96)) for step in range(4)], factor=Fraction(3))
    assert len(seen) == 4
    assert len(watched.flows) == 3


def test_each_tile_has_a_flow_of_its_own(shipped: Engine, watched: Watched, picture: Pictures) -> None:
    images = [picture(shift, size=(260, 390)) for shift in (0, 4)]
    given = InterpolationOptions(cuts=False, scale=1.0, tile_pixels=192 * 224, overlap=32)
    with shipped.open(options=given) as session:
        made = [one.image for frame in frames(images) for one in session.push(frame)]
        assert made[1].shape == (260, 390, 3)
        assert session.memory.num_tiles == len(watched.flows) > 1
    assert len({flow.shape for flow in watched.flows}) == 1
    assert watched.flows[0].shape[2] * watched.flows[0].shape[3] * 64 <= 192 * 224
    assert all(flow.any() for flow in watched.flows)


def test_motion_on_a_smaller_frame_starts_from_its_flow(
    shipped: Engine, watched: Watched, picture: Pictures
) -> None:
    made = shown(shipped, [picture(shift, size=(260, 390)) for shift in (0, 4)], scale=0.5)
    assert made[1].shape == (260, 390, 3)
    (flow,) = watched.flows
    assert flow.shape == (1, 4, 320 // 16, 448 // 16)
    assert flow.any()


def test_sessions_beside_one_another_change_no_frame(shipped: Engine, picture: Pictures) -> None:
    clips = [[picture(4 * step, scene, size=(64, 96)) for step in range(5)] for scene in (0, 1)]
    alone = [shown(shipped, clip) for clip in clips]
    options = InterpolationOptions(cuts=False, duplicates=False)
    with shipped.open(options=options) as one, shipped.open(options=options) as other:
        mixed: list[list[Image]] = [[], []]
        for pair in zip(*(frames(clip) for clip in clips), strict=True):
            for place, session in enumerate((one, other)):
                mixed[place] += [frame.image for frame in session.push(pair[place])]
    for found, wanted in ((mixed[0], alone[0]), (mixed[1], alone[1])):
        assert len(found) == len(wanted) == 9
        assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (33, 7)])
def test_tiny_frames_pass(shipped: Engine, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    images = list(rng.integers(0, 256, (3, *size, 3), np.uint8))
    made = shown(shipped, images)
    assert [image.shape for image in made] == [(*size, 3)] * 5


def test_still_frames_stay(shipped: Engine, picture: Pictures) -> None:
    image = picture(size=(64, 96))
    made = shown(shipped, [image, image.copy()])[1]
    assert np.abs(made.astype(int) - image).mean() < 2


def test_a_failure_of_opencv_is_a_failed_step(
    shipped: Engine, picture: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [picture(step, size=(64, 96)) for step in (0, 3)]
    monkeypatch.setattr("framestate.vision.motion.LEAST", 0)
    session = shipped.open()
    first, second = frames(images)
    session.push(first)
    small = np.zeros((4, 4), np.uint8)
    with monkeypatch.context() as broken:
        broken.setattr(Prior, "guide", lambda self, image: small)
        with pytest.raises(StepError, match="DIS flow failed on 96 x 64"):
            session.push(Frame(second.image, second.pts, second.time_base, 1))
    session.close()


def spec_of(preprocess: Mapping[str, Any], *inputs: TensorSpec) -> ModelSpec:
    spec = load_bundle("interp-nano").spec
    motion = spec.function("motion")
    changed = FunctionSpec(inputs, motion.outputs, motion.reads_state, motion.writes_state)
    kept = {name: value for name, value in spec.preprocess.items() if name != "start_flow"}
    functions = {**spec.functions, "motion": changed}
    return replace(spec, preprocess={**kept, **preprocess}, functions=functions)


def test_a_bundle_says_in_which_way_its_flow_is_found() -> None:
    rng = np.random.default_rng(4)
    small = rng.random((48, 64), np.float32)
    first = (cv2.resize(small, (128, 96), interpolation=cv2.INTER_CUBIC).clip(0, 1) * 255).astype(np.uint8)
    pair = first, np.roll(first, 2, axis=1)
    flow = TensorSpec("flow", "float32", (BATCH, 4, "height/8", "width/8"))
    for way in WAYS:
        prior = prior_of(spec_of({"start_flow": way}, flow))
        assert prior is not None
        for quick, expected in ((False, way), (True, "dis")):
            told = prior.find(*pair, 192, 256, quick=quick).middle
            np.testing.assert_array_equal(told, MiddleFlow(expected).find(*pair, 24, 32).middle)


def test_what_a_bundle_may_ask_for() -> None:
    flow = TensorSpec("flow", "float32", (BATCH, 4, "height/16", "width/16"))
    spec = spec_of({"start_flow": "dis"}, flow)
    check_interpolator(spec)
    prior = prior_of(spec)
    assert prior is not None
    assert prior.shrink == 16
    assert not prior.bends
    assert prior_of(spec_of({})) is None
    bent = spec_of({"start_flow": "dis"}, flow, replace(flow, name="bend"))
    check_interpolator(bent)
    prior = prior_of(bent)
    assert prior is not None
    assert prior.bends


@pytest.mark.parametrize(
    ("names", "shapes"),
    [
        (("bend",), (8,)),
        (("bend", "flow"), (8, 8)),
        (("flow", "bend"), (8, 16)),
    ],
)
def test_a_bend_comes_with_a_flow_of_its_shape(names: tuple[str, ...], shapes: tuple[int, ...]) -> None:
    inputs = [
        TensorSpec(name, "float32", (BATCH, 4, f"height/{side}", f"width/{side}"))
        for name, side in zip(names, shapes, strict=True)
    ]
    spec = spec_of({"start_flow": "dis"}, *inputs)

    def open_it() -> None:
        check_interpolator(spec)
        prior_of(spec)

    with pytest.raises(BundleError, match="motion"):
        open_it()


@pytest.mark.parametrize(
    ("preprocess", "shape"),
    [
        ({}, (BATCH, 4, "height/8", "width/8")),
        ({"start_flow": "raft"}, (BATCH, 4, "height/8", "width/8")),
        ({"start_flow": ["dis"]}, (BATCH, 4, "height/8", "width/8")),
        ({"start_flow": "dis"}, (BATCH, 2, "height/8", "width/8")),
        ({"start_flow": "dis"}, (BATCH, 4, "width/8", "height/8")),
        ({"start_flow": "dis"}, (BATCH, 4, "height/8", "width/16")),
        ({"start_flow": "dis"}, (BATCH, 4, 8, "width/8")),
        ({"start_flow": "dis"}, None),
    ],
)
def test_what_a_bundle_may_not_ask_for(
    preprocess: Mapping[str, Any], shape: tuple[int | str, ...] | None
) -> None:
    inputs = () if shape is None else (TensorSpec("flow", "float32", shape),)
    spec = spec_of(preprocess, *inputs)

    def open_it() -> None:
        check_interpolator(spec)
        prior_of(spec)

    with pytest.raises(BundleError):
        open_it()
