"""Maps into boxes: answers known beforehand, for each kind of head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from framestate.bundles import FunctionSpec, ModelSpec, TensorSpec
from framestate.engine.tracking import TrackingOptions
from framestate.engine.tracking.best_cell import change_penalty, hann_window
from framestate.engine.tracking.decode import CentreDecoder, PointDecoder, map_side, open_decoder
from framestate.engine.tracking.measurement import number
from framestate.errors import BundleError
from framestate.vision import Box, SquareCrop

GRID, SIZE = 9, 144  # cells of 16 crop pixels
PLAIN = TrackingOptions(window=0.0, change=0.0)
CROP = SquareCrop(cx=200, cy=100, side=72, size=SIZE)  # two crop pixels an image pixel
MakeSpec = Callable[..., ModelSpec]


def tracker(maps: dict[str, int], **preprocess: object) -> ModelSpec:
    outputs = tuple(TensorSpec(name, "float32", ("batch", depth, GRID, GRID)) for name, depth in maps.items())
    step = FunctionSpec((TensorSpec("search", "float32", ("batch", 3, SIZE, SIZE)),), outputs)
    return ModelSpec("t", "tracking", "none", {}, preprocess, {"step": step}, ())  # type: ignore[arg-type]


CENTRE = tracker({"score": 1, "offset": 2, "size": 2, "log_variance": 4})
POINTS = tracker({"classes": 2, "sides": 4}, decode="points", stride=16, relative_std=0.1)


def centre_maps() -> dict[str, np.ndarray]:
    return {
        "score": np.full((1, GRID, GRID), 0.1, np.float32),
        "offset": np.zeros((2, GRID, GRID), np.float32),
        "size": np.full((2, GRID, GRID), 0.25, np.float32),
        "log_variance": np.full((4, GRID, GRID), -2.0, np.float32),
    }


def test_a_centre_is_read_in_image_pixels() -> None:
    maps = centre_maps()
    maps["score"][0, 2, 6] = 0.8
    maps["offset"][:, 2, 6] = (0.25, -0.5)
    maps["size"][:, 2, 6] = (0.5, 0.25)
    maps["log_variance"][:, 2, 6] = np.log([0.01, 0.04, 0.09, 0.16])
    found = CentreDecoder(CENTRE, PLAIN)(maps, CROP, Box(190, 90, 20, 20))
    # crop pixels: centre (6.75, 2.0) · 16 = (108, 32), size (72, 36); the crop begins at (164, 64)
    assert found.box.centre == pytest.approx((164 + 54, 64 + 16))
    assert (found.box.w, found.box.h) == pytest.approx((36, 18))
    assert found.score == pytest.approx(0.8)
    assert found.std == pytest.approx([3.6, 0.2 * 18, 0.3 * 36, 0.4 * 18], rel=1e-5)


def test_the_window_prefers_the_middle_among_equals() -> None:
    maps = centre_maps()
    maps["score"][0, 0, 0] = 0.5
    maps["score"][0, 4, 4] = 0.5
    decode = CentreDecoder(CENTRE, replace(PLAIN, window=0.3))
    assert decode(maps, CROP, Box(190, 90, 18, 18)).box.centre == pytest.approx((200, 100))
    maps["score"][0, 0, 0] = 0.75
    assert decode(maps, CROP, Box(190, 90, 18, 18)).score == 0.5
    assert CentreDecoder(CENTRE, PLAIN)(maps, CROP, Box(190, 90, 18, 18)).score == 0.75


def test_a_change_of_size_counts_against_a_cell() -> None:
    maps = centre_maps()
    maps["score"][0, 1, 1], maps["score"][0, 7, 7] = 0.6, 0.5
    maps["size"][:, 1, 1] = 0.75
    before = Box(191, 91, 18, 18)  # a quarter of the crop
    assert CentreDecoder(CENTRE, PLAIN)(maps, CROP, before).score == pytest.approx(0.6)
    strict = CentreDecoder(CENTRE, replace(PLAIN, change=0.2))
    assert strict(maps, CROP, before).score == pytest.approx(0.5)


def test_a_size_of_nothing_is_still_a_box() -> None:
    maps = centre_maps()
    maps["size"][...] = 0
    box = CentreDecoder(CENTRE, PLAIN)(maps, CROP, Box(190, 90, 20, 20)).box
    assert box.w > 0
    assert box.h > 0


def test_a_cell_is_asked_for_and_read_in_shares_of_the_crop() -> None:
    """What a graph that ends with the best cell is told, and what it gives."""
    step = CENTRE.function("step")
    ends = replace(
        step,
        inputs=(*step.inputs, TensorSpec("belief", "float32", ("batch", 4))),
        outputs=(TensorSpec("cell", "float32", ("batch", 9)),),
    )
    spec = replace(CENTRE, functions={"step": ends}, preprocess={"decode": "cell"})
    decode = open_decoder(spec, replace(PLAIN, window=0.25, change=0.5))
    previous = Box(190, 90, 36, 18)
    assert decode.asks(CROP, previous)["belief"].tolist() == [[0.5, 0.25, 0.5, 0.25]]
    assert open_decoder(CENTRE, PLAIN).asks(CROP, previous) == {}
    cell = np.array([0.8, 0.75, 0.25, 0.5, 0.25, *np.log([0.01, 0.04, 0.09, 0.16])], np.float32)
    found = decode({"cell": cell}, CROP, previous)
    assert found.box.centre == pytest.approx((164 + 54, 64 + 18))
    assert (found.box.w, found.box.h) == pytest.approx((36, 18))
    assert found.score == pytest.approx(0.8)
    assert found.std == pytest.approx([3.6, 0.2 * 18, 0.3 * 36, 0.4 * 18], rel=1e-5)


def test_points_are_read_in_image_pixels() -> None:
    maps = {
        "classes": np.zeros((2, GRID, GRID), np.float32),
        "sides": np.full((4, GRID, GRID), 10, np.float32),
    }
    maps["classes"][:, 3, 5] = (-1, 2)
    maps["sides"][:, 3, 5] = (20, 10, 40, 30)  # left, top, right, bottom
    found = PointDecoder(POINTS, PLAIN)(maps, CROP, Box(190, 90, 20, 20))
    # the point is (5 - 4, 3 - 4) · 16 from the middle of the crop: crop pixels (88, 56), box 68…128, 46…86
    assert found.box.xywh == pytest.approx((164 + 34, 64 + 23, 30, 20))
    assert found.score == pytest.approx(1 / (1 + np.exp(-3)))
    assert found.std == pytest.approx([3, 2, 3, 2])


def test_logits_of_any_size_give_a_score() -> None:
    maps = {
        "classes": np.zeros((2, GRID, GRID), np.float32),
        "sides": np.zeros((4, GRID, GRID), np.float32),
    }
    maps["classes"][0] = 3e38
    found = PointDecoder(POINTS, PLAIN)(maps, CROP, Box(190, 90, 20, 20))
    assert 0 <= found.score < 1e-6
    assert found.box.w > 0


def test_the_hann_window() -> None:
    window = hann_window(GRID)
    assert window.shape == (GRID, GRID)
    assert window.argmax() == 4 * GRID + 4
    assert window.max() == pytest.approx(1)
    assert window.min() > 0
    assert np.array_equal(window, window.T)


def test_the_change_penalty() -> None:
    side = np.array([[1.0, 2.0, 0.5]], np.float32)
    same = change_penalty(np.stack([side, side]), (1.0, 1.0), 0.1)
    assert same[0, 0] == pytest.approx(1)
    assert same[0, 1] == pytest.approx(np.exp(-0.1))  # twice as large, half as large: the same
    assert same[0, 2] == pytest.approx(np.exp(-0.1))
    longer = change_penalty(np.stack([side, np.ones_like(side)]), (1.0, 1.0), 0.1)
    assert longer[0, 1] < longer[0, 0]
    assert (change_penalty(np.stack([side, side]), (1.0, 1.0), 0.0) == 1).all()
    assert np.isfinite(change_penalty(0 * np.stack([side, side]), (0.0, 0.0), 0.1)).all()


def test_the_manifest_names_the_decoder() -> None:
    assert isinstance(open_decoder(CENTRE, PLAIN), CentreDecoder)
    assert isinstance(open_decoder(POINTS, PLAIN), PointDecoder)
    with pytest.raises(BundleError, match=r"decoder 'anchors'.*known decoders"):
        open_decoder(replace(CENTRE, preprocess={"decode": "anchors"}), PLAIN)


def test_a_manifest_that_lacks_what_a_decoder_needs() -> None:
    with pytest.raises(BundleError, match="no map 'score'"):
        open_decoder(replace(POINTS, preprocess={}), PLAIN)
    for preprocess in ({}, {"stride": "16"}, {"stride": True}):
        spec = replace(POINTS, preprocess={"decode": "points", **preprocess})
        with pytest.raises(BundleError, match=r"preprocess\.stride"):
            open_decoder(spec, PLAIN)
    assert map_side(CENTRE, "size") == GRID
    assert number(POINTS, "relative_std") == 0.1


def test_points_tell_of_the_likest_other_place() -> None:
    maps = {
        "classes": np.zeros((2, GRID, GRID), np.float32),
        "sides": np.full((4, GRID, GRID), 8.0, np.float32),
    }
    maps["classes"][0] = 9.0  # background, but for three places
    maps["classes"][1, 4, 4], maps["classes"][1, 4, 5], maps["classes"][1, 1, 7] = 12.0, 11.0, 8.0
    decode, target = PointDecoder(POINTS, PLAIN), Box(190, 90, 20, 20)
    rival = decode.rival(maps, CROP, target)
    assert rival is not None
    # the point (7, 1) is 48 right of the crop's middle and 48 above it, in crop pixels, two an image pixel
    assert rival.centre == pytest.approx((200 + 24, 100 - 24))
    assert (rival.w, rival.h) == pytest.approx((8, 8))
    maps["classes"][1, 1, 7] = 0.0
    assert decode.rival(maps, CROP, target) is None, "the next cell still shows the target"
