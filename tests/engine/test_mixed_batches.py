"""Batches in which some sessions refresh their template and others do not: each is as if it were alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from framestate.bundles import Bundle
from framestate.engine import Engine, Session, Track, TrackingOptions
from framestate.engine.lanes import Lanes
from framestate.errors import StepError
from framestate.runtimes import Arrays, State, open_runtime
from framestate.vision import Box, Frame

from .sessions.conftest import FakeRuntime, picture
from .together import pushed_together

Clip = list[tuple[Frame, Box]]
BOX = (12.0, 10.0, 16.0, 12.0)
OPTIONS = TrackingOptions(refresh_every=3, refresh_sure=0.1)
STARTS = (0, 1, 2, 4)
"""When each session opens: in every frame from then on some of them refresh."""


class Counted(FakeRuntime):
    """Keeps the function and the batch size of each call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, int]] = []

    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        (pixels,) = inputs.values()
        self.calls.append((function, len(pixels)))
        return super().call(function, inputs, state)


def key(track: Any) -> tuple[Any, ...]:
    return track.box, track.score, track.status, track.frame_index


@pytest.mark.parametrize("lanes", [lambda: Lanes(2), lambda: Lanes(batched=True, max_batch=4)])
@pytest.mark.parametrize("failing", [False, True])
def test_refreshed_and_plain_rows_in_one_batch(lanes: Callable[[], Lanes], failing: bool) -> None:
    """Bit for bit, rows too; also where one frame of one session fails beside others that refresh."""
    runtime = Counted()
    runtime.failing = "raise" if failing else ""
    with Engine(runtime, capacity=4, options=OPTIONS, lanes=lanes()) as engine:
        assert engine.store is not None
        sessions: dict[int, Session[Track]] = {}
        found: dict[int, list[Any]] = {seed: [] for seed in range(4)}
        mixed = 0
        for tick in range(14):
            live = list(sessions)
            shown = [
                picture(seed, tick - STARTS[seed], poison=failing and seed == 1 and tick == 8)
                for seed in live
            ]
            runtime.calls.clear()
            answers = pushed_together(engine, [sessions[seed] for seed in live], shown)
            refreshed = 0
            for seed, answer in zip(live, answers, strict=True):
                if isinstance(answer, StepError):
                    assert (seed, tick) == (1, 8)
                    continue
                found[seed].append(key(answer))
                refreshed += sessions[seed].memory.since_refresh == 0
            mixed += 0 < refreshed < len(live)
            if engine.lanes.batched and live and not failing:
                assert max(size for function, size in runtime.calls if function == "step") >= len(live)
            for seed in range(4):
                if STARTS[seed] == tick:
                    sessions[seed] = engine.open(picture(seed, 0), box=BOX)
        assert mixed >= 8, "or the test would prove nothing"
        rows = {seed: engine.store.save_row(session.slot) for seed, session in sessions.items()}
        padding = engine.store.save_row(4)
        assert not any(array.any() for array in padding.values()), "nobody writes the padding row"
    for seed in range(4):
        skipped = 8 - STARTS[seed] if failing and seed == 1 else None
        answers, row = alone(seed, [index for index in range(1, 14 - STARTS[seed]) if index != skipped])
        assert found[seed] == answers
        assert all(np.array_equal(rows[seed][name], array) for name, array in row.items())


def alone(seed: int, indices: list[int]) -> tuple[list[Any], Arrays]:
    """The answers of a session that has an engine for itself, and its row in the end."""
    with Engine(FakeRuntime(), capacity=1, options=OPTIONS) as engine:
        assert engine.store is not None
        session = engine.open(picture(seed, 0), box=BOX)
        answers = [key(session.push(picture(seed, index))) for index in indices]
        return answers, engine.store.save_row(session.slot)


def test_a_batch_shares_its_time_out() -> None:
    """What its frames say that the model took is no more than it took for all of them."""

    class Slow(FakeRuntime):
        def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
            time.sleep(0.05)
            return super().call(function, inputs, state)

    with Engine(Slow(), capacity=4, lanes=Lanes(batched=True, max_batch=4)) as engine:
        sessions = [engine.open(picture(seed, 0), box=BOX) for seed in range(4)]
        began = time.perf_counter()
        answers = pushed_together(engine, sessions, [picture(seed, 1) for seed in range(4)])
        passed = 1e3 * (time.perf_counter() - began)
    assert 50 <= sum(answer.timings.model_ms for answer in answers) <= 2 * passed  # two lanes


@pytest.mark.parametrize("name", ["onnx", "eager"])
def test_with_a_real_model_within_what_a_batch_rounds(
    tiny_bundle: Bundle, clips: list[Clip], name: str
) -> None:
    options = replace(OPTIONS, sure=0.3, seen=0.1, override=0.3, refresh_every=2, refresh_sure=0.0)

    def opened(lanes: Lanes) -> Engine:
        runtime = open_runtime(tiny_bundle, name, device="cpu", threads=1)
        return Engine(runtime, capacity=3, options=options, lanes=lanes)

    with opened(Lanes(batched=True)) as together, opened(Lanes()) as apart:
        sessions: list[Session[Track]] = []
        single: list[Session[Track]] = []
        mixed = 0
        for tick in range(9):
            shown = [clips[place][tick - place][0] for place in range(len(sessions))]
            for place, track in enumerate(pushed_together(together, sessions, shown)):
                expected = single[place].push(shown[place])
                assert together.task.distance(track, expected) <= 1e-2
                assert track.score == pytest.approx(expected.score, abs=1e-4)
                assert track.status == expected.status
            fresh = [session.memory.since_refresh == 0 for session in sessions]
            mixed += any(fresh) and not all(fresh)
            if tick < 3:
                frame, box = clips[tick][0]
                sessions.append(together.open(frame, box=box))
                single.append(apart.open(frame, box=box))
        assert mixed >= 4
