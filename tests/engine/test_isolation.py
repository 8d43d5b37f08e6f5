"""Sessions of one engine beside and after one another: each is as if it were alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from framestate.bundles import Bundle
from framestate.engine import Engine, Session, Track, TrackingOptions
from framestate.engine.lanes import Lanes
from framestate.errors import CapacityError
from framestate.vision import Box, Frame
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load

from .together import pushed_together

Clip = list[tuple[Frame, Box]]
OpenEngine = Callable[..., Engine]
Call = Callable[..., Any]
OPTIONS = TrackingOptions(sure=0.3, seen=0.1, override=0.3)
REFRESHING = replace(OPTIONS, refresh_every=3, refresh_sure=0.0, refresh_share=0.25)


def replace_pts(frame: Frame, pts: int) -> Frame:
    return Frame(frame.image, pts, frame.time_base, frame.index)


@pytest.mark.parametrize("options", [OPTIONS, REFRESHING], ids=["plain", "refreshing"])
def test_one_after_the_other_in_either_order(
    open_engine: OpenEngine, clips: list[Clip], options: TrackingOptions, follow: Call
) -> None:
    """With one slot, so that each runs in what the last one left."""
    engine, turned = open_engine(options, capacity=1), open_engine(options, capacity=1)
    first, second = follow(engine, clips[0]), follow(engine, clips[1])
    assert first != second
    assert follow(turned, clips[1]) == second
    assert follow(turned, clips[0]) == first
    assert follow(turned, clips[1]) == second


@pytest.mark.parametrize("options", [OPTIONS, REFRESHING], ids=["plain", "refreshing"])
def test_interleaved_is_as_alone(
    open_engine: OpenEngine, clips: list[Clip], options: TrackingOptions, follow: Call, answer: Call
) -> None:
    """Three sessions that open, move on and close at different times, bit for bit as three engines."""
    alone = [follow(open_engine(options), clip) for clip in clips]
    engine = open_engine(options, capacity=3)
    targets: list[Session[Track] | None] = [None] * 3
    found: list[list[tuple[Any, ...]]] = [[], [], []]
    for tick in range(20):
        for index, clip in enumerate(clips):
            at = tick - 2 * index
            target = targets[index]
            if at == 0:
                targets[index] = engine.open(clip[0][0], box=clip[0][1])
            elif target is not None and 0 < at < len(clip):
                found[index].append(answer(target.push(clip[at][0])))
            elif target is not None and at == len(clip):
                target.close()
    assert found == alone


@settings(max_examples=30)
@given(moves=st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=60))
def test_any_order_of_opening_moving_and_closing(
    tiny_bundle: Bundle, clips: list[Clip], follow: Call, answer: Call, moves: list[tuple[int, bool]]
) -> None:
    """Two slots for three clips; each answer is that of a session alone, and no slot is ever lost."""
    with Engine.load(tiny_bundle, runtime="onnx", threads=1, capacity=2, options=OPTIONS) as engine:
        alone = [follow(engine, clip[:5]) for clip in clips]
        targets: dict[int, Session[Track]] = {}
        done = [0, 0, 0]
        for index, close in moves:
            if index not in targets and len(targets) == 2:
                with pytest.raises(CapacityError):
                    engine.open(clips[index][0][0], box=clips[index][0][1])
            elif index not in targets:
                targets[index], done[index] = engine.open(clips[index][0][0], box=clips[index][0][1]), 0
            elif close or done[index] == 4:
                targets.pop(index).close()
            else:
                done[index] += 1
                found = answer(targets[index].push(clips[index][done[index]][0]))
                assert found == alone[index][done[index] - 1]
            engine.slots.check()
            assert engine.slots.num_used == len(targets)


def test_two_targets_of_one_video(
    open_engine: OpenEngine, clips: list[Clip], follow: Call, answer: Call
) -> None:
    frames, box = [frame for frame, _ in clips[0]], clips[0][0][1]
    other = Box(5, 5, 30, 20)
    alone = [follow(open_engine(), [(frame, start) for frame in frames]) for start in (box, other)]
    engine = open_engine()
    first, second = engine.open(frames[0], box=box), engine.open(frames[0], box=other)
    found = [(answer(first.push(frame)), answer(second.push(frame))) for frame in frames[1:]]
    assert [list(answers) for answers in zip(*found, strict=True)] == alone


def test_a_batch_of_sessions_is_its_sessions_one_by_one(open_engine: OpenEngine, clips: list[Clip]) -> None:
    engine, solo = open_engine(lanes=Lanes(batched=True)), open_engine()
    together, alone = ([one.open(clip[0][0], box=clip[0][1]) for clip in clips] for one in (engine, solo))
    for at in range(1, 8):
        tracks = pushed_together(engine, together, [clip[at][0] for clip in clips])
        expected = [target.push(clip[at][0]) for target, clip in zip(alone, clips, strict=True)]
        for ours, theirs in zip(tracks, expected, strict=True):
            assert isinstance(ours, Track)
            assert ours.box.xywh == pytest.approx(theirs.box.xywh, abs=1e-2)
            assert ours.score == pytest.approx(theirs.score, abs=1e-4)
            assert ours.status == theirs.status


def test_answers_depend_on_what_was_seen_before(
    open_engine: OpenEngine, clips: list[Clip], follow: Call
) -> None:
    """Without which the tests of isolation would prove nothing."""
    fading = follow(open_engine(replace(OPTIONS, carry=0.0)), clips[0])
    assert fading != follow(open_engine(), clips[0])
    assert follow(open_engine(REFRESHING), clips[0]) != follow(open_engine(), clips[0])
    (frame, box), later = clips[0][0], clips[0][5:]
    assert follow(open_engine(), [(frame, box), *later])[1:] != follow(open_engine(), clips[0])[5:]


def test_a_freed_row_is_empty(open_engine: OpenEngine, clips: list[Clip]) -> None:
    engine = open_engine()
    target = engine.open(clips[0][0][0], box=clips[0][0][1])
    target.push(clips[0][1][0])
    store = engine.store
    assert store is not None
    assert any(array.any() for array in store.save_row(target.slot).values())
    target.close()
    assert not any(array.any() for array in store.save_row(target.slot).values())


def test_time_reaches_the_filter(open_engine: OpenEngine, clips: list[Clip], follow: Call) -> None:
    late = [(replace_pts(frame, 3 * frame.index), box) for frame, box in clips[0]]
    assert follow(open_engine(), late) != follow(open_engine(), clips[0])


def test_a_frame_costs_the_same_however_long_the_session(
    fragile: Any, clips: list[Clip], state_of: Call
) -> None:
    """Nothing that belongs to a session grows: neither what a call is given, nor what is kept."""
    engine = Engine(fragile, options=OPTIONS)
    target = engine.open(clips[0][0][0], box=clips[0][0][1])
    sizes = []
    for tick in range(1, 300):
        target.push(replace_pts(clips[0][tick % 15][0], tick))
        if tick in (10, 299):
            given = {name: array.shape for name, array in fragile.calls[-1][1].items()}
            row, _, _, blob = state_of(engine, target)
            kept = [len(content) for content in row.values()]
            about = json.loads(load(blob)["session"].tobytes())["memory"]
            sizes.append((given, kept, shape_of(about), len(vars(target))))
            fragile.calls.clear()
    assert sizes[0] == sizes[1]


def shape_of(value: Any) -> Any:
    """Of plain JSON: which members there are, and how long its lists are."""
    if isinstance(value, dict):
        return {key: shape_of(one) for key, one in value.items()}
    return [shape_of(one) for one in value] if isinstance(value, list) else type(value) in (int, float)
