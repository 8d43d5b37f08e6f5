from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from framestate.engine import InterpolationOptions
from framestate.engine.interpolation.timeline import Moment, Source, Timeline, common_tick
from framestate.errors import OptionError
from hypothesis import given
from hypothesis import strategies as st

MILLI = Fraction(1, 1000)


def shown(
    options: InterpolationOptions, pts: list[int], tick: Fraction = MILLI
) -> list[tuple[Fraction, Fraction]]:
    """Every output: its place among the source frames, and its time in seconds."""
    timeline = Timeline(options, pts[0], tick)
    found = [(Fraction(0), timeline.first())]
    sources = [Source(place, time) for place, time in enumerate(pts)]
    for earlier, later in pairwise(sources):
        moments = list(timeline.between(earlier, later, len(found)))
        found += [(earlier.number + moment.part, moment) for moment in moments]
    if len(sources) > 1:
        last: Moment | None = timeline.end(sources[-2], sources[-1], len(found))
        found += [] if last is None else [(Fraction(len(pts) - 1), last)]
    assert [moment.number for _, moment in found] == list(range(len(found)))
    return [(place, moment.pts * timeline.time_base) for place, moment in found]


gaps = st.integers(1, 20) | st.integers(1, 700)
increasing = st.lists(gaps, min_size=1, max_size=6).map(
    lambda gaps: [sum(gaps[: place + 1]) for place in range(len(gaps))]
)
ticks = st.sampled_from([MILLI, Fraction(1, 90000), Fraction(1001, 30000), Fraction(1, 25)])
factors = st.fractions(1, 9, max_denominator=7)


@given(increasing, ticks, factors, st.fractions(1, 5, max_denominator=3))
def test_a_factor_spreads_outputs_evenly_between_frames(
    pts: list[int], tick: Fraction, factor: Fraction, slow: Fraction
) -> None:
    outputs = shown(InterpolationOptions(factor=factor, slow_motion=slow), pts, tick)
    start = pts[0] * tick
    for number, (place, time) in enumerate(outputs):
        index = min(place.numerator // place.denominator, len(pts) - 2) if len(pts) > 1 else 0
        assert place == min(number / factor, Fraction(len(pts) - 1))
        if number / factor <= len(pts) - 1 and len(pts) > 1:
            exact = (pts[index] + (place - index) * (pts[index + 1] - pts[index])) * tick
            assert time == start + slow * (exact - start)
    assert outputs[-1][0] == len(pts) - 1  # the last frame is always shown
    assert all(one[1] < other[1] for one, other in pairwise(outputs))


@given(increasing, st.integers(2, 9))
def test_a_whole_factor_keeps_every_frame_at_its_own_time(pts: list[int], factor: int) -> None:
    outputs = shown(InterpolationOptions(factor=Fraction(factor)), pts)
    assert len(outputs) == factor * (len(pts) - 1) + 1
    assert outputs[::factor] == [(Fraction(place), time * MILLI) for place, time in enumerate(pts)]


@given(increasing, ticks, st.fractions(1, 120, max_denominator=1001))
def test_a_rate_gives_an_even_grid_to_the_last_frame(pts: list[int], tick: Fraction, fps: Fraction) -> None:
    outputs = shown(InterpolationOptions(fps=fps), pts, tick)
    assert [time for _, time in outputs] == [pts[0] * tick + number / fps for number in range(len(outputs))]
    assert outputs == sorted(outputs)
    end = pts[-1] * tick
    gap = (pts[-1] - pts[-2]) * tick if len(pts) > 1 else Fraction(0)
    assert outputs[-1][1] < end + gap + 1 / fps
    for place, time in outputs:  # each stands where its time is, or within a short tick of a frame
        index = min(place.numerator // place.denominator, max(len(pts) - 2, 0))
        if len(pts) > 1 and time <= end:
            exact = (pts[index] + (place - index) * (pts[index + 1] - pts[index])) * tick
            assert abs(exact - time) <= tick


def test_times_that_a_container_rounded_are_taken_for_what_they_mean() -> None:
    rounded = [round(Fraction(1000, 24) * place) for place in range(49)]  # 0, 42, 83, 125, ...
    outputs = shown(InterpolationOptions(fps=Fraction(48)), rounded)
    assert [place for place, _ in outputs if place.denominator == 1] == list(range(49))
    coarse = shown(InterpolationOptions(fps=Fraction(60)), list(range(26)), Fraction(1, 25))
    assert [place for place, _ in coarse[:6]] == [Fraction(number, 12) * 5 for number in range(6)]


def test_slow_motion_alone_keeps_the_rate() -> None:
    outputs = shown(InterpolationOptions.of(slow_motion=4), [0, 40, 80])
    assert [time for _, time in outputs] == [place * Fraction(40, 1000) for place in range(9)]
    even = shown(InterpolationOptions.of(slow_motion=2, fps=50), [0, 40, 80])
    assert [place for place, _ in even] == [Fraction(number, 4) for number in range(9)]


def test_fewer_frames_a_second_do_not_go_on_past_the_end() -> None:
    outputs = shown(InterpolationOptions.of(fps=2), [40 * place for place in range(26)])
    assert [time for _, time in outputs] == [0, Fraction(1, 2), 1]
    assert outputs[1][0] == Fraction(25, 2)


@pytest.mark.parametrize(
    ("value", "rate"),
    [
        (60, Fraction(60)), ("23.976", Fraction(24000, 1001)), (59.94, Fraction(60000, 1001)),
        ("29.97", Fraction(30000, 1001)), ("30000/1001", Fraction(30000, 1001)), ("12.5", Fraction(25, 2)),
    ],
)  # fmt: skip
def test_rates_as_people_write_them(value: float | str, rate: Fraction) -> None:
    assert InterpolationOptions.of(fps=value).fps == rate


@pytest.mark.parametrize(
    "wrong",
    [
        {"factor": 0.5}, {"factor": 0}, {"factor": -2}, {"factor": 257}, {"factor": "two"},
        {"factor": float("nan")},
        {"fps": 0}, {"fps": 1e6}, {"fps": float("inf")}, {"slow_motion": 0.5}, {"factor": 2, "fps": 60},
        {"scale": 0.3}, {"scale": "half"}, {"scale": float("nan")}, {"factor": "1/0"},
        {"factor": "1.00000001"},
    ],
)  # fmt: skip
def test_numbers_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        InterpolationOptions.of(**wrong)


@given(st.lists(st.fractions(0, 100, max_denominator=100), min_size=1).filter(any))
def test_the_common_tick_divides_all(times: list[Fraction]) -> None:
    tick = common_tick(*times)
    assert all((time / tick).denominator == 1 for time in times)
    assert tick == max(times) or any((time / (2 * tick)).denominator != 1 for time in times)
