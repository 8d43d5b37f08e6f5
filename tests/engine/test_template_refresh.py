"""What a session carries from frame to frame, and how its template is renewed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from framestate.engine import Engine, Tracking, TrackingOptions
from framestate.vision import Box, Frame

Clip = list[tuple[Frame, Box]]
OpenEngine = Callable[..., Engine]
Call = Callable[..., Any]
OPTIONS = TrackingOptions(sure=0.3, seen=0.1, override=0.3)
REFRESHING = replace(OPTIONS, refresh_every=3, refresh_sure=0.0, refresh_share=0.25)


@pytest.mark.parametrize(("sure", "seen"), [(0.99, 0.1), (0.5, 0.1), (0.0, 0.0)])
def test_only_a_sure_frame_hands_its_state_on(
    fragile: Any, clips: list[Clip], sure: float, seen: float
) -> None:
    options = replace(OPTIONS, sure=sure, seen=seen, override=seen, carry=0.75)
    target = Engine(fragile, options=options).open(clips[0][0][0], box=clips[0][0][1])
    statuses = [target.push(frame).status for frame, _ in clips[0][1:]]
    carried = [float(inputs["carry"][0]) for function, inputs in fragile.calls if function == "step"]
    assert carried == [0.0, *(0.75 if status == "tracking" else 0.0 for status in statuses[:-1])]
    assert ("tracking" in statuses) == (sure < 0.9)


def test_a_refresh_blends_the_template_and_nothing_else(open_engine: OpenEngine, clips: list[Clip]) -> None:
    """After a step, what the step only reads is first and fresh blended; what it writes is the step's."""
    sure = replace(OPTIONS, sure=0.0, seen=0.0, override=0.0)
    refreshing = replace(sure, refresh_every=1, refresh_sure=0.0, refresh_share=0.25)
    engine, plain = open_engine(refreshing), open_engine(sure)
    target, twin = (
        engine.open(clips[0][0][0], box=clips[0][0][1]),
        plain.open(clips[0][0][0], box=clips[0][0][1]),
    )
    rows, theirs = engine.store, plain.store
    assert rows is not None
    assert theirs is not None
    first = rows.save_row(target.slot)
    carried = set(engine.runtime.spec.function("step").writes_state)
    for at in (1, 2):  # the second blend starts from the first template too, not from the last blend
        frame = clips[0][at][0]
        track = target.push(frame)
        twin.push(frame)
        assert isinstance(engine.task, Tracking)
        _, fresh = engine.runtime.call("init", engine.task.template(target.memory, frame, track.box), None)
        row = rows.save_row(target.slot)
        for name, value in row.items():
            if name not in carried:
                expected = 0.75 * first[name] + 0.25 * np.asarray((fresh or {})[name])[0]
                np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-6)
        if at == 1:
            untouched = theirs.save_row(twin.slot)
            assert all(np.array_equal(row[name], untouched[name]) for name in carried)


def test_a_refresh_waits_for_its_turn_and_a_sure_frame(fragile: Any, clips: list[Clip]) -> None:
    def refreshes(options: TrackingOptions) -> list[int]:
        fragile.calls.clear()
        engine = Engine(fragile, options=options)
        target = engine.open(clips[0][0][0], box=clips[0][0][1])
        seen = []
        for frame, _ in clips[0][1:]:
            before = len(fragile.calls)
            target.push(frame)
            called = [function for function, _ in fragile.calls[before:]]
            assert called in (["step"], ["step", "init"], ["step", "init", "init"])  # the first one's once
            if called != ["step"]:
                seen.append(frame.index)
        return seen

    always = replace(OPTIONS, sure=0.0, seen=0.0, override=0.0, refresh_every=4, refresh_sure=0.0)
    assert refreshes(always) == [4, 8, 12]
    assert refreshes(replace(always, refresh_every=0)) == []
    assert refreshes(replace(always, refresh_sure=1.0)) == []


def test_a_share_of_nothing_changes_nothing(open_engine: OpenEngine, clips: list[Clip], follow: Call) -> None:
    none = replace(REFRESHING, refresh_every=1, refresh_share=0.0)
    assert follow(open_engine(none), clips[0]) == follow(open_engine(), clips[0])
