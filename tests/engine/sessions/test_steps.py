"""An engine that runs inline: rows, failures, refreshed templates, batches."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from framestate.bundles import Bundle
from framestate.engine import Engine, TrackingOptions
from framestate.engine.lanes import Lanes
from framestate.engine.tracking import BoxFilter
from framestate.errors import CapacityError, FrameError, SessionError, StepError

from ..together import pushed_together

BOX = (12.0, 10.0, 16.0, 12.0)
Make = Callable[..., Any]


def solo(open_runtime: Make, frame: Make, seed: int, count: int, **options: Any) -> list[Any]:
    """The tracks of a clip, alone in an engine."""
    with Engine(open_runtime(), capacity=1, options=TrackingOptions(**options)) as engine:
        target = engine.open(frame(seed, 0), box=BOX)
        return [key(target.push(frame(seed, index))) for index in range(1, count)]


def key(track: Any) -> tuple[Any, ...]:
    """What has to be equal bit for bit."""
    return track.box, track.score, track.status, track.frame_index


@pytest.mark.parametrize("failing", ["raise", "nan"])
def test_a_failed_step_leaves_the_session_as_it_was(
    runtime: Any, open_runtime: Make, frame: Make, failing: str
) -> None:
    expected = solo(open_runtime, frame, 3, 12)
    runtime.failing = failing
    with Engine(runtime, capacity=1) as engine:
        target = engine.open(frame(3, 0), box=BOX)
        found = []
        for index in range(1, 12):
            with pytest.raises(StepError):
                target.push(frame(3, index, poison=True))
            found.append(key(target.push(frame(3, index))))
    assert found == expected


def test_an_interrupt_leaves_every_session_as_it_was(
    runtime: Any, frame: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(runtime, capacity=1)
    target = engine.open(frame(0, 0), box=BOX)
    before = target.snapshot()

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(BoxFilter, "update", interrupt)
    monkeypatch.setattr(BoxFilter, "coast", interrupt)
    with pytest.raises(KeyboardInterrupt):
        target.push(frame(0, 1))
    assert target.snapshot() == before


@pytest.mark.parametrize("lanes", [Lanes(), Lanes(2), Lanes(batched=True, max_batch=8)])
def test_a_batch_gives_what_its_frames_give_alone(
    runtime: Any, open_runtime: Make, frame: Make, lanes: Lanes
) -> None:
    """Three sessions a step; one frame of one of them fails, and the two others do not notice."""
    seeds = [1, 2, 3]
    expected = {seed: solo(open_runtime, frame, seed, 8, refresh_every=2, refresh_sure=0.1) for seed in seeds}
    runtime.failing = "nan"
    options = TrackingOptions(refresh_every=2, refresh_sure=0.1)
    with Engine(runtime, capacity=4, options=options, lanes=lanes) as engine:
        targets = {seed: engine.open(frame(seed, 0), box=BOX) for seed in seeds}
        found: dict[int, list[Any]] = {seed: [] for seed in seeds}
        for index in range(1, 8):
            for bad in (2, None):
                working = [2] if bad is None else seeds
                shown = [frame(s, index, poison=s == bad) for s in working]
                answers = pushed_together(engine, [targets[s] for s in working], shown)
                for seed, answer in zip(working, answers, strict=True):
                    if seed == bad:
                        assert isinstance(answer, StepError)
                    else:
                        found[seed].append(key(answer))
        assert found == expected
        assert engine.store is not None
        assert not any(array.any() for array in engine.store.save_row(4).values()), "the padding row is used"


def test_a_reused_row_carries_nothing_over(runtime: Any, open_runtime: Make, frame: Make) -> None:
    with Engine(runtime, capacity=1) as engine:
        assert engine.store is not None
        for seed in range(4):
            with engine.open(frame(seed, 0), box=BOX) as target:
                with pytest.raises(CapacityError):
                    engine.open(frame(seed, 0), box=BOX)
                found = [key(target.push(frame(seed, index))) for index in range(1, 5)]
            assert found == solo(open_runtime, frame, seed, 5)
            engine.slots.check()
            assert engine.slots.num_used == 0
            assert not any(array.any() for array in engine.store.save_row(0).values())


def test_order_and_size_are_checked(runtime: Any, frame: Make) -> None:
    engine = Engine(runtime, capacity=1)
    target = engine.open(frame(0, 5), box=BOX)
    with pytest.raises(FrameError, match="in order"):
        target.push(frame(0, 5))
    with pytest.raises(FrameError, match="size"):
        target.push(np.zeros((8, 8, 3), np.uint8))
    assert target.push(frame(0, 6).image).frame_index == 6
    target.close()
    target.close()
    with pytest.raises(SessionError):
        target.push(frame(0, 7))
    engine.close()
    with pytest.raises(SessionError):
        engine.open(frame(0, 0), box=BOX)


@pytest.mark.parametrize("runtime_name", ["onnx", "eager"])
def test_lanes_and_batches_of_a_real_model(tiny_bundle: Bundle, frame: Make, runtime_name: str) -> None:
    """Side by side: bit for bit what calls one after the other give. Batched with padding: within 1e-3 px."""
    from framestate.runtimes import open_runtime

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    opened = open_runtime(tiny_bundle, runtime_name, device="cpu", threads=1)
    tracks = []
    for lanes in (Lanes(), Lanes(2), Lanes(batched=True)):
        engine = Engine(opened, capacity=3, lanes=lanes)
        targets = [engine.open(frame(seed, 0), box=BOX) for seed in range(3)]
        answers = []
        for index in range(1, 6):
            answers += pushed_together(engine, targets, [frame(seed, index) for seed in range(3)])
        tracks.append([key(answer) for answer in answers])
        for target in targets:
            target.close()
    assert tracks[1] == tracks[0]
    for one, other in zip(tracks[0], tracks[2], strict=True):
        assert one[0].xywh == pytest.approx(other[0].xywh, abs=1e-3)
        assert one[1:] == (pytest.approx(other[1], abs=1e-4), *other[2:])
