"""Closed-loop proof that two runtimes are the same model: over real sessions, for every task.

Each runtime goes through the same clip in a session of its own engine, by its own answers and its own state
for hundreds of frames: what differs is fed back, as it would be in use, so slow drift shows. Beside that,
every call's raw tensors are compared on equal inputs and states.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bundles import JSON
from ..engine import Engine, Session, Task
from ..errors import ParityError
from ..runtimes import Arrays, Runtime, RuntimeOver, State, on_host
from ..vision import Box, Frame
from .trials import Measure, Row, Tolerance, tolerance_of, trial_of

Tick = Callable[[int], None]


@dataclass(frozen=True)
class Proof:
    """How far a candidate was from the reference, and how far it may be.

    Attributes:
        frames: of the closed loop, after the first one.
        max_abs, max_rel: largest difference of a tensor on equal inputs and states, as it is and over the
            tensor's largest magnitude.
        values: what else was measured, by ``Measure.key``.
        allowed: the tolerance.
        measures: of the task.
    """

    frames: int
    max_abs: float
    max_rel: float
    values: dict[str, float]
    allowed: Tolerance
    measures: tuple[Measure, ...] = ()

    @property
    def counted(self) -> list[Measure]:
        """The measures that have a limit."""
        return [one for one in self.measures if one.key in self.allowed.limits]

    @property
    def passed(self) -> bool:
        """Whether all that counts is within its tolerance."""
        held = (one.holds(self.values[one.key], self.allowed.limits[one.key]) for one in self.counted)
        return self.max_rel <= self.allowed.relative and all(held)

    @property
    def summary(self) -> str:
        """The differences beside their tolerances, in words."""
        parts = [f"{self.max_rel:.2e} (tensors, relative; {self.allowed.relative:.0e} is allowed)"]
        for one in self.counted:
            limit = f"{'at least ' if one.floor else ''}{self.allowed.limits[one.key]:g}"
            parts.append(f"{self.values[one.key]:.3g} ({one.words}; {limit} is allowed)")
        return f"{' and '.join(parts)} over {self.frames} frames"

    def to_json(self) -> dict[str, JSON]:
        """What a manifest says of it."""
        limits = self.allowed.limits
        said: dict[str, JSON] = {"frames": self.frames, "max_abs": self.max_abs, "max_rel": self.max_rel}
        said |= {"tolerance": self.allowed.relative, **self.values}
        said |= {one.limit: limits[one.key] for one in self.counted if one.limit}
        ways = [one.counted for one in self.counted if one.counted]
        return {**said, "counted": ways[0]} if ways else said


class Beside(RuntimeOver):
    """The candidate runtime, with every call repeated by the reference on the same inputs and the same state.

    The candidate's answers are what the session goes on with; the worst difference is kept. Crops are made
    where the candidate makes them, and the reference gets the same ones.
    """

    def __init__(self, reference: Runtime, candidate: Runtime) -> None:
        super().__init__(candidate)
        self._reference, self._candidate = reference, candidate
        self.max_abs = self.max_rel = 0.0

    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        """The candidate's answer, compared with the reference's."""
        outputs, written = self._candidate.call(function, inputs, state)
        reads = self.spec.function(function).reads_state
        given, taken = self._candidate.to_host, self._reference.from_host
        mirrored = {name: taken(name, given(state[name])) for name in reads} if state and reads else None
        seen = {name: on_host(self._candidate, value) for name, value in inputs.items()}
        expected, expected_state = self._reference.call(function, seen, mirrored)
        for name, value in expected.items():
            self._compare(value, outputs[name])
        for name, value in (expected_state or {}).items():
            self._compare(self._reference.to_host(value), given((written or {})[name]))
        return outputs, written

    def close(self) -> None:
        """Leaves both runtimes open: they belong to whoever opened them."""

    def _compare(self, expected: npt.NDArray[Any], found: npt.NDArray[Any]) -> None:
        difference = math.inf
        if expected.shape == found.shape:
            difference = float(np.abs(expected.astype(np.float64) - found).max(initial=0.0))
            if expected.dtype == np.uint8 and difference == 1:  # pixels that were rounded either way
                difference = 0.0
        if not math.isfinite(difference):  # a NaN would be passed over by max
            difference = math.inf
        self.max_abs = max(self.max_abs, difference)
        magnitude = max(float(np.abs(expected).max(initial=0)), 1e-3)
        self.max_rel = max(self.max_rel, difference / magnitude)


def prove(
    reference: Runtime,
    candidate: Runtime,
    *,
    task: Callable[[Runtime], Task[Any, Any]] | None = None,
    frames: int = 300,
    tolerance: Tolerance | None = None,
    size: tuple[int, int] = (640, 360),
    tick: Tick = lambda frame: None,
) -> Proof:
    """Goes through one synthetic clip with a session of each runtime.

    Args:
        reference, candidate: are left open.
        task: makes a task of your own; without it, the one that the manifest names.
        frames: after the first one.
        tolerance: instead of the task's in fp32.
        size: width and height of the clip.
        tick: told of each frame.
    """
    beside = Beside(reference, candidate)
    ours, theirs = (
        Engine(runtime, task=None if task is None else task(runtime), capacity=1)
        for runtime in (reference, beside)
    )
    trial, distance = trial_of(ours.task.name), ours.task.distance
    sessions: list[Session[Any]] = []
    rows: list[Row] = []

    def compare(expected: Any, found: Any, truth: Box) -> None:
        rows.append((distance(expected, found), *trial.numbers(expected, found, truth)))

    for index, (image, box) in enumerate(trial.clip(frames + 1, size)):
        frame = Frame(image, index, Fraction(1, 25), index)
        if not sessions:
            given = {**ours.task.trial(frame, box), **trial.given}
            sessions = [engine.open(**given) for engine in (ours, theirs)]
        if index or not ours.task.opens_on_frame:
            expected, found = (session.push(frame) for session in sessions)
            compare(expected, found, box)
        if index:
            tick(index)
    expected, found = (session.flush() for session in sessions)
    if expected is not None:
        compare(expected, found, box)
    return Proof(
        frames,
        beside.max_abs,
        beside.max_rel,
        {one.key: one.over(rows) for one in trial.measures},
        tolerance or tolerance_of(ours.task.name),
        trial.measures,
    )


def proven(
    reference: Runtime, candidate: Runtime, proof: Callable[[Runtime, Runtime], Proof], remedy: str
) -> Proof:
    """The proof, if it passes; both runtimes are closed.

    Raises ParityError beyond the tolerance, with the ``remedy``.
    """
    with closing(reference), closing(candidate):
        found = proof(reference, candidate)
    if not found.passed:
        raise ParityError(
            f"{candidate.name} differs from {reference.name} by {found.summary}",
            f"no bundle was written; {remedy}",
        )
    return found


def joined(proofs: Sequence[Proof]) -> Proof:
    """Several clips' proofs as one: the worst of each."""
    first = proofs[0]
    values = {
        one.key: (min if one.floor else max)(proof.values[one.key] for proof in proofs)
        for one in first.measures
    }
    return replace(
        first,
        frames=sum(proof.frames for proof in proofs),
        max_abs=max(proof.max_abs for proof in proofs),
        max_rel=max(proof.max_rel for proof in proofs),
        values=values,
    )
