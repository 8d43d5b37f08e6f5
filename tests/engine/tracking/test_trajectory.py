"""Boxes into words and logits into boxes: answers known beforehand; and what a model is told."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from framestate.bundles import FunctionSpec, ModelSpec, Size, TensorSpec
from framestate.engine import Engine
from framestate.engine.tracking import TrackingOptions
from framestate.engine.tracking.cropping import Cropping
from framestate.engine.tracking.decode import open_decoder
from framestate.engine.tracking.following import Following
from framestate.engine.tracking.trajectory import TrajectoryDecoder, Vocabulary
from framestate.errors import BundleError, StateError
from framestate.runtimes import Arrays, HostRuntime, State
from framestate.runtimes.host_store import HostStateStore
from framestate.vision import Box, Frame, SquareCrop
from hypothesis import given
from hypothesis import strategies as st

from .followed import MEMORY

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


@pytest.mark.parametrize("side", range(4))
def test_doubt_is_the_spread_of_the_distribution(side: int) -> None:
    words = [200, 250, 600, 650]
    maps = sure(words)
    maps["logits"][side, words[side] + 40] = 0  # half at either of two places 0.1 apart
    found = TrajectoryDecoder(tracker())(maps, CROP, Box(0, 0, 1, 1))
    wide, high = (0.05 * 80 if side % 2 == axis else 0 for axis in (0, 1))
    assert found.std == pytest.approx([wide / 2, high / 2, wide, high], abs=1e-6)


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
    assert min(found.std) >= 0
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


class Words(HostRuntime):
    """A model that answers with the words it is told to, and keeps what it was given."""

    name, device = "words", "cpu"

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.given: list[Arrays] = []
        self.says: list[int] = []

    def allocate(self, capacity: int, size: Size | None = None) -> HostStateStore:
        return HostStateStore(self.spec, capacity)

    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        self.given.append(inputs)
        outputs = {name: value[None] for name, value in sure(self.says).items()} if function == "step" else {}
        return outputs, {"x": np.zeros((1, 1), np.float32)}

    def close(self) -> None:
        pass


def test_the_model_is_told_the_last_boxes_in_the_crop_of_now() -> None:
    runtime, options = Words(tracker(templates=2)), TrackingOptions(size_floor=1.0)
    start = Box(100, 80, 40, 20)
    with Engine(runtime, options=options) as engine, engine.open(frame(0), box=start) as session:
        assert runtime.given[0]["template"].shape == (1, 2, 3, 16, 16)
        assert session.memory.recent == (start,) * TOLD
        boxes = [start] * TOLD
        rules, cropping = Following(options, TOLD), Cropping(runtime.spec)
        for index in range(1, 5):
            _, expected, growth = rules.predict(session.memory, frame(index))
            words = Vocabulary(tracker()).words(boxes, cropping.search(expected, growth))
            runtime.says = [300 + 20 * index, 350, 420 + 20 * index, 420]
            boxes = [*boxes[1:], session.push(frame(index)).box]
            told = runtime.given[-1]["history"]
            assert told.dtype == np.int64
            assert (told[0] == words).all()
            assert session.memory.recent == tuple(boxes)
        assert len(set(boxes)) == TOLD


def test_the_last_boxes_survive_a_snapshot_and_belong_to_the_model() -> None:
    runtime = Words(tracker())
    runtime.says = [300, 350, 420, 420]
    with Engine(runtime) as engine, engine.open(frame(0), box=Box(100, 80, 40, 20)) as session:
        opened = session.memory
        session.push(frame(1))
        moved = session.memory.recent
        assert opened.recent == (Box(100, 80, 40, 20),) * TOLD != moved
        with engine.restore(session.snapshot(), session_id="copy") as copy:
            assert copy.memory.recent == moved
        values, arrays = MEMORY.write(session.memory)
        for broken in (
            {**values, "recent": values["recent"][:-1]},
            {name: values[name] for name in values if name != "recent"},
        ):
            with pytest.raises(StateError):
                engine.task.restored(MEMORY.read(broken, arrays))
        with pytest.raises(StateError):
            Following(TrackingOptions(), 0).check(session.memory)  # that model is told no boxes
