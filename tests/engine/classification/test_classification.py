"""Frames in, labels out: smoothed in real time, each session for itself, nothing lost when a call fails."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from framestate.bundles import Bundle
from framestate.engine import ClassificationOptions, Engine
from framestate.engine.classification import ClassificationModel
from framestate.errors import (
    BundleError,
    CapacityError,
    FrameError,
    OptionError,
    SessionError,
    StepError,
)
from framestate.runtimes import Arrays, RuntimeOver, State, open_runtime
from framestate.vision import Frame


@pytest.fixture
def engine(tiny_classifier: Bundle) -> Iterator[Engine]:
    with Engine.load(tiny_classifier, runtime="onnx", device="cpu", threads=1, capacity=2) as loaded:
        yield loaded


def picture(seed: int, shape: tuple[int, int] = (20, 30)) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def at(seconds: float, seed: int = 0) -> Frame:
    return Frame(picture(seed), round(1000 * seconds), Fraction(1, 1000), round(10 * seconds))


def test_the_first_frame_stands_for_itself(engine: Engine) -> None:
    with engine.open() as session:
        answer = session.push(at(3.0))
    assert np.array_equal(answer.smoothed, answer.frame)
    assert answer.smoothed.sum() == pytest.approx(1)
    assert answer.labels == ("cat", "dog", "sea")
    assert (answer.label, answer.probability) == answer.top(1)[0]
    assert [name for name, _ in answer.top(9)] == sorted(
        answer.labels, key=lambda name: -answer.smoothed[answer.labels.index(name)]
    )
    assert (answer.frame_index, answer.seconds) == (30, 3.0)


def test_smoothing_goes_by_real_time(engine: Engine) -> None:
    """What a frame counts has fallen to 1/e after ``smoothing`` seconds, however the gaps lie."""
    with engine.open(smoothing=0.4) as session:
        answers = [session.push(at(t, seed)) for seed, t in enumerate((0.0, 0.04, 0.44, 2.0))]
    expected = answers[0].frame
    for before, answer in pairwise(answers):
        keep = math.exp(-(answer.seconds - before.seconds) / 0.4)
        expected = keep * expected + (1 - keep) * answer.frame
        np.testing.assert_allclose(answer.smoothed, expected, atol=1e-6)


def test_frames_between_that_show_the_same_change_nothing(engine: Engine) -> None:
    """A rate of 100 and a rate of 10 give the same: time counts, not frames."""
    ends = []
    for step in (0.01, 0.1):
        with engine.open() as session:
            answer = session.push(at(0.0, seed=1))
            for index in range(1, round(0.5 / step) + 1):
                answer = session.push(at(index * step, seed=2))
        ends.append(answer.smoothed)
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-5)


def test_without_smoothing_each_frame_stands_alone(engine: Engine) -> None:
    with engine.open(smoothing=0.0) as session:
        for seed in range(4):
            answer = session.push(picture(seed))
            np.testing.assert_allclose(answer.smoothed, answer.frame, atol=1e-7)


@pytest.mark.parametrize("rate", [25, 10])
def test_bare_images_come_at_the_reference_rate(tiny_classifier: Bundle, rate: int) -> None:
    options = ClassificationOptions(smoothing=0.4, reference_rate=rate)
    with (
        Engine.load(tiny_classifier, runtime="onnx", threads=1, options=options) as engine,
        engine.open() as bare,
        engine.open() as timed,
    ):
        for index in range(5):
            one = bare.push(picture(index))
            other = timed.push(Frame(picture(index), index, Fraction(1, rate), index))
            np.testing.assert_allclose(one.smoothed, other.smoothed, atol=1e-6)
            assert one.seconds == pytest.approx(other.seconds)


def test_sessions_side_by_side_are_sessions_alone(engine: Engine) -> None:
    def alone(seeds: range) -> list[npt.NDArray[np.float32]]:
        with engine.open() as session:
            return [session.push(picture(seed)).smoothed for seed in seeds]

    expected = alone(range(6)), alone(range(10, 16))
    with engine.open() as one, engine.open() as other:
        for index in range(6):
            assert np.array_equal(one.push(picture(index)).smoothed, expected[0][index])
            assert np.array_equal(other.push(picture(10 + index)).smoothed, expected[1][index])


def test_rows_are_given_back_and_carry_nothing_over(engine: Engine) -> None:
    session = engine.open()
    session.push(picture(0))
    engine.open()
    with pytest.raises(CapacityError):
        engine.open()
    session.close()
    session.close()
    engine.slots.check()
    with engine.open() as fresh:
        answer = fresh.push(picture(3))
    assert np.array_equal(answer.smoothed, answer.frame)
    with pytest.raises(SessionError, match="is closed"):
        session.push(picture(0))


def test_frames_of_any_size_and_later_ones_only(engine: Engine) -> None:
    with engine.open() as session:
        session.push(at(1.0))
        for seconds in (1.0, 0.5):
            with pytest.raises(FrameError, match="later than the one before"):
                session.push(at(seconds))
        with pytest.raises(FrameError):
            session.push(np.zeros((4, 4), np.uint8))
        square = Frame(picture(0, (90, 16)), 2000, Fraction(1, 1000), 20)
        assert session.push(square).seconds == 2.0


class Failing(RuntimeOver):
    """A runtime that gives no numbers when it is told to."""

    def __init__(self, runtime: Any) -> None:
        super().__init__(runtime)
        self.fails = False

    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        if self.fails:
            inputs = {**inputs, "image": np.full_like(inputs["image"], np.nan)}
        return super().call(function, inputs, state)


def test_a_call_that_fails_leaves_the_session_as_it_was(tiny_classifier: Bundle) -> None:
    runtime = Failing(open_runtime(tiny_classifier, "onnx", device="cpu", threads=1))
    with Engine(runtime, capacity=2) as engine, engine.open() as session, engine.open() as other:
        for each in (session, other):
            each.push(at(0.0, seed=1))
        runtime.fails = True
        with pytest.raises(StepError, match="not finite"):
            session.push(at(0.3, seed=2))
        runtime.fails = False
        again, wanted = session.push(at(0.4, seed=3)), other.push(at(0.4, seed=3))
    assert np.array_equal(again.smoothed, wanted.smoothed)


def test_an_engine_is_for_its_task(engine: Engine, tiny_bundle: Bundle) -> None:
    with pytest.raises(OptionError, match="session of classification cannot be opened with frame, box"):
        engine.open(picture(0), box=(1, 1, 5, 5))
    with pytest.raises(OptionError, match="session of classification cannot be opened with factor"):
        engine.open(factor=2)
    assert engine.slots.num_used == 0
    with (
        Engine.load(tiny_bundle, runtime="onnx", device="cpu") as tracker,
        pytest.raises(OptionError, match="session of tracking cannot be opened with smoothing"),
    ):
        tracker.open(smoothing=0.5)
    engine.close()
    with pytest.raises(SessionError, match="closed"):
        engine.open()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"labels": None}, "does not list two labels"),
        ({"labels": ["cat"]}, "does not list two labels"),
        ({"labels": ["cat", "dog", 3]}, "3 is no name"),
        ({"labels": ["cat", "dog", " "]}, "' ' is no name"),
        ({"labels": ["cat", "dog", "a\x1b[31mb"]}, "is no name"),
        ({"labels": ["cat", "dog", "cat"]}, "stands twice"),
        ({"labels": ["cat", "dog"]}, r"gives .*\(1, 3\).*not .*\(1, 2\)"),
        ({"size": "16"}, "of size '16'"),
        ({"size": 32}, r"takes .*\(1, 3, 16, 16\).*not .*\(1, 3, 32, 32\)"),
        ({"view": "left"}, "'left' of a frame"),
        ({"mean": [0, 0]}, "its mean"),
        ({"std": [1.0, 0.0, 1.0]}, "its std"),
        ({"std": [1.0, True, 1.0]}, "its std"),
    ],
)
def test_a_manifest_that_is_no_classifiers(
    tiny_classifier: Bundle, change: dict[str, Any], problem: str
) -> None:
    spec = tiny_classifier.spec
    with pytest.raises(BundleError, match=problem):
        ClassificationModel(replace(spec, preprocess={**spec.preprocess, **change}))


def test_functions_that_are_no_classifiers(tiny_classifier: Bundle, tiny_bundle: Bundle) -> None:
    spec = tiny_classifier.spec
    with pytest.raises(BundleError, match="is no classifier"):
        ClassificationModel(tiny_bundle.spec)
    stateless = replace(spec.functions["classify"], reads_state=())
    for functions, problem in (
        ({"look": spec.functions["classify"]}, "has no function 'classify'"),
        ({"classify": stateless}, "does not carry all of its state"),
    ):
        with pytest.raises(BundleError, match=problem):
            ClassificationModel(replace(spec, functions=functions))


@pytest.mark.parametrize(
    "options",
    [{"smoothing": -1.0}, {"smoothing": math.nan}, {"smoothing": math.inf}, {"reference_rate": 0.0}],
)
def test_options_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        ClassificationOptions(**options)
