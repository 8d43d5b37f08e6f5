"""Boxes into words and logits into boxes: answers known beforehand; and what a model is told."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from framestate.bundles import FunctionSpec, ModelSpec, TensorSpec
from framestate.engine.tracking import TrackingOptions, TrackingTask, TrackingWork
from framestate.engine.tracking.decode import open_decoder
from framestate.engine.tracking.portable import pack_memory, unpack_memory
from framestate.engine.tracking.trajectory import TrajectoryDecoder, Vocabulary
from framestate.errors import BundleError, StateError
from framestate.vision import Box, Frame, SquareCrop
from hypothesis import given
from hypothesis import strategies as st

BINS, SPAN, TOLD = 400, 2, 3
CROP = SquareCrop(cx=200, cy=100, side=80, size=256)  # from (160, 60) to (240, 140)


def tracker(places: int = BINS * SPAN, templates: int = 1, **preprocess: object) -> ModelSpec:
    crop = ("batch", 3, 16, 16) if templates == 1 else ("batch", templates, 3, 16, 16)
    inputs = (
        TensorSpec("search", "float32", ("batch", 3, 32, 32)),
        TensorSpec("history", "int64", ("batch", 4 * TOLD)),
    )
    outputs = (
        TensorSpec("logits", "float32", ("batch", 4, places)),
        TensorSpec("score", "float32", ("batch", 1)),
    )
    told = {"decode": "trajectory", "bins": BINS, "span": SPAN, "template_size": 16, "search_size": 32}
    return ModelSpec(
        "t",
        "tracking",
        "none",
        {},
        {**told, "template_factor": 2.0, "search_factor": 4.0, **preprocess},  # type: ignore[dict-item]
        {
            "init": FunctionSpec((TensorSpec("template", "float32", crop),), (), (), ("x",)),
            "step": FunctionSpec(inputs, outputs, ("x",), ("x",)),
        },
        (TensorSpec("x", "float32", ("batch", 1)),),
    )


def sure(words: list[int]) -> dict[str, np.ndarray]:
    logits = np.full((4, BINS * SPAN), -1e4, np.float32)
    logits[np.arange(4), words] = 0
    return {"logits": logits, "score": np.array([0.7], np.float32)}


def test_words_are_places_from_half_a_crop_before_to_half_a_crop_after() -> None:
    words = Vocabulary(tracker()).words([Box(160, 60, 80, 80), Box(120, 140, 40, 1000)], CROP)
    # shares 0, 0, 1, 1 and -0.5, 1, 0, 14 (which is clipped to 1.5), each moved by 0.5 and times 399
    assert words.tolist() == [199, 199, 598, 598, 0, 598, 199, 798]


def test_a_sure_answer_is_the_mean_of_its_two_readings() -> None:
    found = open_decoder(tracker(), TrackingOptions())(sure([299, 249, 499, 349]), CROP, Box(0, 0, 1, 1))

    def reading(word: int) -> float:
        return ((word + 0.5) / (BINS - 1) - 0.5 + (word + 0.5) / BINS - 0.5) / 2

    left, top, right, bottom = (
        start + 80 * reading(word)
        for start, word in zip((160, 60, 160, 60), (299, 249, 499, 349), strict=True)
    )
    assert found.box.xyxy == pytest.approx((left, top, right, bottom))
    assert found.score == pytest.approx(0.7)
    assert found.std == pytest.approx([0, 0, 0, 0], abs=1e-6)


def test_doubt_is_the_spread_of_the_distribution() -> None:
    maps = sure([200, 250, 600, 650])
    maps["logits"][0, 240] = 0  # the left side: half at either of two places 0.1 apart
    found = TrajectoryDecoder(tracker())(maps, CROP, Box(0, 0, 1, 1))
    assert found.std == pytest.approx([0.05 * 80 / 2, 0, 0.05 * 80, 0], abs=1e-6)


def test_a_box_inside_out_still_has_a_size() -> None:
    found = TrajectoryDecoder(tracker())(sure([500, 500, 300, 300]), CROP, Box(0, 0, 1, 1))
    assert found.box.w == pytest.approx(80 / 256)
    assert found.box.centre == pytest.approx((200, 100), abs=1)


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100))
def test_any_logits_give_a_finite_box_near_the_crop(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    logits = (scale * rng.normal(size=(4, BINS * SPAN))).astype(np.float32)
    found = TrajectoryDecoder(tracker())(
        {"logits": logits, "score": np.zeros(1, np.float32)}, CROP, Box(0, 0, 1, 1)
    )
    assert found.box.is_finite
    assert min(found.box.w, found.box.h) > 0
    assert (found.std >= 0).all()
    assert max(abs(found.box.centre[0] - 200), abs(found.box.centre[1] - 100)) <= 81


@given(st.floats(-300, 700), st.floats(-300, 700), st.floats(1, 300), st.floats(1, 300))
def test_a_word_says_where_to_within_a_bin(x: float, y: float, w: float, h: float) -> None:
    vocabulary, box = Vocabulary(tracker()), Box(x, y, w, h)
    words = vocabulary.words([box], CROP)
    assert words.min() >= 0
    assert words.max() < vocabulary.places
    found = (words / (BINS - 1) - 0.5) * 80 + [160, 60, 160, 60]
    inside = np.clip(box.xyxy, [120, 20, 120, 20], [280, 180, 280, 180])
    assert np.abs(found - inside).max() <= 80 / (BINS - 1) + 1e-9


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (tracker(places=700), "no logits of 4 x 800"),
        (tracker(bins="many"), "preprocess.bins"),
        (tracker(bins=1), "1 bins"),
        (tracker(decode="words"), "known decoders: centre, points, trajectory"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(spec: ModelSpec, problem: str) -> None:
    with pytest.raises(BundleError, match=problem):
        open_decoder(spec, TrackingOptions())


def frame(index: int) -> Frame:
    return Frame(np.full((200, 300, 3), 90, np.uint8), index, Fraction(1, 25), index)


def test_the_model_is_told_the_last_boxes_in_the_crop_of_now() -> None:
    task = TrackingTask(tracker(templates=2), TrackingOptions(size_floor=1.0))
    start = Box(100, 80, 40, 20)
    memory = task.open(frame(0), start)
    assert task.template(memory, frame(0), start)["template"].shape == (1, 2, 3, 16, 16)
    assert memory.recent == (start,) * TOLD
    boxes = [start] * TOLD
    for index in range(1, 5):
        work = TrackingWork(0, memory, frame(index))
        inputs = task.prepare([work])
        assert work.crop is not None
        assert inputs["history"].dtype == np.int64
        assert (inputs["history"][0] == Vocabulary(tracker()).words(boxes, work.crop)).all()
        words = [300 + 20 * index, 350, 420 + 20 * index, 420]
        outputs = {name: value[None] for name, value in sure(words).items()}
        (track,) = task.finish([work], outputs)
        boxes = [*boxes[1:], track.box]
        assert memory.recent == tuple(boxes)
    assert len(set(boxes)) == TOLD


def test_the_last_boxes_survive_a_step_taken_back_and_a_snapshot() -> None:
    task = TrackingTask(tracker())
    memory = task.open(frame(0), Box(100, 80, 40, 20))
    saved = memory.save()
    work = TrackingWork(0, memory, frame(1))
    task.prepare([work])
    task.finish([work], {name: value[None] for name, value in sure([300, 350, 420, 420]).items()})
    moved = memory.recent
    values, arrays = pack_memory(memory)
    assert unpack_memory(values, arrays, task.options, TOLD).recent == moved
    memory.restore(saved)
    assert memory.recent == (Box(100, 80, 40, 20),) * TOLD != moved
    for broken in (
        {**values, "recent": values["recent"][:-1]},
        {k: values[k] for k in values if k != "recent"},
    ):
        with pytest.raises(StateError):
            unpack_memory(broken, arrays, task.options, TOLD)
    with pytest.raises(StateError):
        unpack_memory(values, arrays, replace(task.options), 0)  # this model is told no boxes
