"""The scheduler: nothing is lost, nobody starves, and a batch leaves when it should."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from framestate.engine.scheduler import Policy, Scheduler
from framestate.errors import CapacityError, OptionError, SessionError
from hypothesis import given, settings
from hypothesis import strategies as st

KEYS = ["a", "b", "c", "d"]
ACTIONS = ["open", *3 * ["submit"], *2 * ["take"], "done", "close", "withdraw", "tick"]


class Time:
    """A clock that goes when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.data())
@settings(max_examples=150)
def test_every_frame_ends_once_and_in_order(data: st.DataObject) -> None:
    """Each frame is taken, dropped, refused, withdrawn, handed back or still queued: one of these."""
    clock, numbers = Time(), count()
    max_batch = data.draw(st.integers(1, 5))
    scheduler: Scheduler[int] = Scheduler(max_batch, patience=data.draw(st.sampled_from([0, 1])), clock=clock)
    limits: dict[str, int] = {}
    ends: dict[int, str] = {}
    queued: dict[str, list[int]] = defaultdict(list)
    steps: list[list[tuple[str, int]]] = []
    told: dict[str, int] = defaultdict(int)
    for action in data.draw(st.lists(st.sampled_from(ACTIONS), max_size=80)):
        key = data.draw(st.sampled_from(KEYS))
        if action == "tick":
            clock.now += data.draw(st.sampled_from([0.1, 1.0, 5.0]))
        elif action == "open" and key not in limits:
            limits[key] = data.draw(st.integers(1, 3))
            policy = data.draw(st.sampled_from(list(Policy)))
            scheduler.open(key, policy, limit=limits[key], deadline=data.draw(st.sampled_from([0.1, 3.0])))
            told[key] = 0
        elif action == "submit":
            number = next(numbers)
            try:
                dropped = scheduler.submit(key, number)
            except SessionError:
                assert key not in limits
                ends[number] = "refused"
                continue
            except CapacityError:
                assert len(queued[key]) == limits[key]
                ends[number] = "refused"
                continue
            queued[key].append(number)
            if dropped is not None:
                assert dropped in (number, queued[key][0])
                assert len(queued[key]) == limits[key] + 1
                queued[key].remove(dropped)
                ends[dropped] = "dropped"
                told[key] += 1
        elif action == "take":
            busy = {key for step in steps for key, _ in step}
            batch = scheduler.take()
            keys = [key for key, _ in batch]
            assert len(set(keys)) == len(keys) <= max_batch
            assert not busy & set(keys), "two frames of a session at a time"
            for key, number in batch:
                assert queued[key].pop(0) == number, "out of order"
                ends[number] = "taken"
            if batch:
                steps.append(batch)
        elif action == "done" and steps:
            step = steps.pop(0)
            scheduler.done([key for key, _ in step])
        elif action == "close" and key in limits and not any(key == k for step in steps for k, _ in step):
            assert scheduler.take_dropped(key) == told[key]
            left = scheduler.close(key)
            assert left == queued.pop(key, [])
            ends |= dict.fromkeys(left, "handed back")
            del limits[key]
        elif action == "withdraw" and queued[key]:
            number = queued[key].pop()
            assert scheduler.withdraw(key, number)
            assert not scheduler.withdraw(key, number)
            ends[number] = "withdrawn"
        assert all(len(queued[key]) <= limit for key, limit in limits.items())
        assert all(scheduler.has_room(key) == (len(queued[key]) < limit) for key, limit in limits.items())
    for key in limits:
        assert scheduler.close(key) == queued[key], "what is queued is still there, in order"
    still = {number for numbers_of in queued.values() for number in numbers_of}
    assert still.isdisjoint(ends)
    assert still | set(ends) == set(range(next(numbers)))


@given(
    sessions=st.integers(2, 6),
    max_batch=st.integers(1, 3),
    deadlines=st.lists(st.sampled_from([0.001, 0.04, 0.5]), min_size=6, max_size=6),
)
def test_a_flood_starves_nobody(sessions: int, max_batch: int, deadlines: list[float]) -> None:
    """All but the first keep their queues full. Once due, the first waits for one round at most."""
    clock = Time()
    scheduler: Scheduler[int] = Scheduler(max_batch, clock=clock)
    for index in range(sessions):
        scheduler.open(KEYS[0] + str(index), Policy.WAIT, limit=8, deadline=deadlines[index])
    flooders = [KEYS[0] + str(index) for index in range(1, sessions)]

    def flood() -> None:
        for key in flooders:
            while scheduler.has_room(key):
                scheduler.submit(key, 0)

    def step() -> list[str]:
        flood()
        keys = [key for key, _ in scheduler.take()]
        clock.now += 0.01
        scheduler.done(keys)
        return keys

    for _ in range(20):
        step()
    for _ in range(5):
        scheduler.submit("a0", 1)
        due = clock.now + deadlines[0]
        ahead = 0
        while "a0" not in (keys := step()):
            ahead += len(keys) if clock.now > due + 0.01 else 0
            assert ahead <= sessions


def test_equal_floods_are_served_equally() -> None:
    clock = Time()
    scheduler: Scheduler[int] = Scheduler(1, clock=clock)
    for key, limit in zip(KEYS, (1, 2, 8, 64), strict=True):
        scheduler.open(key, Policy.WAIT, limit=limit, deadline=0.04)
    served = dict.fromkeys(KEYS, 0)
    for _ in range(400):
        for key in KEYS:
            while scheduler.has_room(key):
                scheduler.submit(key, 0)
        ((key, _),) = scheduler.take()
        clock.now += 0.01
        scheduler.done([key])
        served[key] += 1
    assert set(served.values()) == {100}


def test_the_earliest_deadline_goes_first() -> None:
    clock = Time()
    scheduler: Scheduler[str] = Scheduler(2, clock=clock)
    for key, deadline in [("a", 3.0), ("b", 1.0), ("c", 2.0)]:
        scheduler.open(key, Policy.WAIT, limit=2, deadline=deadline)
        scheduler.submit(key, key)
        clock.now += 0.1
    assert [key for key, _ in scheduler.take()] == ["b", "c"]
    assert [key for key, _ in scheduler.take()] == ["a"]


def test_a_batch_leaves_when_full_or_when_its_oldest_frame_must() -> None:
    clock = Time()
    scheduler: Scheduler[str] = Scheduler(2, patience=0.5, clock=clock)
    for key in "abc":
        scheduler.open(key, Policy.WAIT, limit=2, deadline=10.0 if key == "a" else 0.3)
    assert scheduler.wake_at() is None
    scheduler.submit("a", "1")
    assert (scheduler.take(), scheduler.wake_at()) == ([], 0.5)  # patience
    clock.now = 0.1
    scheduler.submit("b", "1")  # full
    assert scheduler.wake_at() == 0.1
    assert scheduler.take() == [("b", "1"), ("a", "1")]
    clock.now = 0.2
    scheduler.done(["a", "b"])
    scheduler.note(0.1)
    scheduler.submit("c", "1")
    assert scheduler.wake_at() == pytest.approx(0.2 + 0.3 - 0.1)  # deadline less what a step takes
    clock.now = 0.39
    assert scheduler.take() == []
    clock.now = 0.41
    assert scheduler.take() == [("c", "1")]


def test_the_last_open_session_does_not_wait_for_company() -> None:
    scheduler: Scheduler[str] = Scheduler(8, patience=9.0, clock=Time())
    scheduler.open("a", Policy.WAIT, limit=2, deadline=10.0)
    scheduler.submit("a", "1")
    scheduler.submit("a", "2")
    assert scheduler.take() == [("a", "1")]
    assert scheduler.take() == []
    scheduler.done(["a"])
    assert scheduler.take() == [("a", "2")]


@pytest.mark.parametrize(
    "options", [{"limit": 0}, {"deadline": 0}, {"deadline": float("inf")}, {"policy": "X"}]
)
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    given_options: dict[str, Any] = {"policy": Policy.WAIT, "limit": 1, "deadline": 1.0, **options}
    scheduler: Scheduler[str] = Scheduler()
    with pytest.raises(OptionError):
        scheduler.open("a", given_options.pop("policy"), **given_options)
    with pytest.raises(OptionError):
        Scheduler(0)


def test_it_needs_neither_torch_nor_onnxruntime(checkout: Path) -> None:
    script = "import sys, framestate.engine.scheduler; print({'torch', 'onnxruntime'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "set()", done.stderr
    source = (checkout / "engine" / "scheduler.py").read_text("utf-8")
    assert "runtimes" not in source
    assert "numpy" not in source


def test_many_sessions_go_in_parts() -> None:
    """With two batches under way each takes half; few sessions go together, since a part would be small."""
    for sessions, first in ((4, 4), (8, 8), (12, 8), (20, 10), (64, 32), (200, 64)):
        scheduler: Scheduler[int] = Scheduler(64, parts=2, clock=Time())
        for number in range(sessions):
            scheduler.open(str(number), Policy.WAIT, limit=1, deadline=1.0)
            scheduler.submit(str(number), number)
        assert len(scheduler.take()) == first
        assert len(scheduler.take()) == min(first, sessions - first)
    with pytest.raises(OptionError):
        Scheduler(4, parts=0)


@given(st.lists(st.floats(1e-3, 10), min_size=1, max_size=20))
def test_what_a_step_takes_is_estimated_between_what_steps_took(seconds: list[float]) -> None:
    """And slowly: one long step moves it by a fifth."""
    scheduler: Scheduler[int] = Scheduler(1)
    for place, one in enumerate(seconds):
        before = scheduler.step_seconds
        scheduler.note(one)
        assert (
            min(seconds[: place + 1]) * 0.999 <= scheduler.step_seconds <= max(seconds[: place + 1]) * 1.001
        )
        assert not place or scheduler.step_seconds == pytest.approx(0.8 * before + 0.2 * one)
    assert scheduler.step_seconds > 0
