"""What a task is: a generator that yields model calls, and returns what the session is next.

A task says what one kind of session does with a frame. It holds no session and changes no memory: memory is a
frozen value, so committing is an assignment, failure needs no undo, and a snapshot is its fields.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

from ..errors import OptionError
from ..runtimes import Arrays, State
from ..vision import Box, Frame
from .inputs import Clock

M = TypeVar("M")
A = TypeVar("A")


class Own(Enum):
    """Which state a call reads, where it is no tensors."""

    ROW = "row"


OWN = Own.ROW
"""A call's state: the session's own row."""


@dataclass(frozen=True, slots=True)
class Call:
    """One model call that a task asks for.

    Attributes:
        function: a name among those of the model.
        inputs: its inputs, with a batch of one.
        state: OWN, None, or tensors that earlier calls gave.
    """

    function: str
    inputs: Arrays
    state: State | Own | None = OWN


@dataclass(frozen=True, slots=True)
class Mix:
    """Two states of one row to be blended where they are; it is answered by a ``Result`` without outputs.

    Attributes:
        first, fresh: of equal names, as calls gave them.
        share: of the fresh one, 0 to 1.
    """

    first: State
    fresh: State
    share: float


@dataclass(frozen=True, slots=True)
class Result:
    """What a call gave: its outputs, and the state that it wrote, in the runtime's own form."""

    outputs: State
    state: State


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the answer that can be handed over by now; the session may pause here."""

    piece: Any


@dataclass(frozen=True, slots=True)
class Early(Generic[M]):
    """What the session will be next, said before the answer is made: the next frame may start from it."""

    memory: M


@dataclass(frozen=True, slots=True)
class Next(Generic[M, A]):
    """What a frame comes to.

    Attributes:
        memory: what the session is next.
        answer: a frozen dataclass; None where there is nothing to say.
        row: the state tensors to write into the session's row, in the runtime's own form.
    """

    memory: M
    answer: A | None = None
    row: State | None = None


Request = Sequence[Call | Mix] | Part | Early[M]
Steps = Generator[Request[M], Any, Next[M, A]]
"""Calls and mixes are answered by a list of ``Result``, all else by None."""


class Task(Generic[M, A]):
    """What one kind of session does. A subclass needs ``name``, ``Memory``, ``open`` and ``step``.

    Attributes:
        name: as manifests, the server and the client call it.
        Memory: a frozen dataclass; its fields, as pydantic reads them, are what a snapshot holds.
        opens_on_frame: whether ``open`` wants the first frame.
        has_rows: whether its sessions keep state in a row of the store.
        most_bytes: of its memory in a snapshot.
        reference_rate: frames a second of bare images, which bring no time.
    """

    name: ClassVar[str]
    Memory: ClassVar[type[Any]]
    opens_on_frame: ClassVar[bool] = False
    has_rows: bool = True
    most_bytes: ClassVar[int] = 1024 * 1024
    reference_rate: float = 25.0

    def open(self, **given: Any) -> Steps[M, A]:
        """Begins a session; with ``opens_on_frame``, ``frame`` is among what is given.

        Raises OptionError, BoxError or FrameError for what cannot be used.
        """
        raise NotImplementedError

    def step(self, memory: M, frame: Frame) -> Steps[M, A]:
        """One frame, which ``check`` has let through."""
        raise NotImplementedError

    def flush(self, memory: M) -> Steps[M, A]:
        """The end of a video: what is still held."""
        yield from ()
        return Next(memory)

    def correct(self, memory: M, **given: Any) -> Steps[M, A]:
        """What somebody outside knows better than the session: where its target is, say.

        Raises OptionError where the task takes no such thing.
        """
        raise OptionError(f"a session of {self.name} cannot be corrected", "correct sessions of a tracker")

    def check(self, before: Clock, frame: Frame) -> None:
        """Raises FrameError unless the frame may follow the one ``before``: later, and of its size."""
        before.check(frame)

    def stored(self, memory: M) -> M:
        """The memory as a snapshot takes it: nothing of the runtime's own form in it."""
        return memory

    def restored(self, memory: M) -> M:
        """The memory of a snapshot, checked beyond its fields. Raises StateError."""
        return memory

    def side_by_side(self, memory: M, lanes: int) -> int:
        """How many frames of a video that is there already may fly at a time, ``lanes`` at most."""
        return lanes

    def give_back(self) -> None:
        """Gives memory back that large frames needed and nothing needs now. Frames may fly beside it."""

    def trial(self, frame: Frame, box: Box) -> dict[str, Any]:
        """What ``open`` is given for a trial on a clip whose first frame shows a target in ``box``."""
        return {"frame": frame, "box": box} if self.opens_on_frame else {}

    def distance(self, one: A, other: A) -> float:
        """How far two answers to one frame are apart; what a proof of parity measures."""
        raise NotImplementedError


def call(function: str, inputs: Arrays, state: State | Own | None = OWN) -> Generator[Any, Any, Result]:
    """``result = yield from call(...)``: one call."""
    (result,) = yield [Call(function, inputs, state)]
    assert isinstance(result, Result)
    return result


def mix(first: State, fresh: State, share: float) -> Generator[Any, Any, Result]:
    """``result = yield from mix(...)``: one ``Mix``."""
    (result,) = yield [Mix(first, fresh, share)]
    assert isinstance(result, Result)
    return result


def begin(task: Task[Any, Any], given: dict[str, Any]) -> Steps[Any, Any]:
    """``task.open`` with what a user gave. Raises OptionError for a name that it does not take."""
    return (yield from _taken(f"a session of {task.name} cannot be opened", task.open, given))


def put_right(task: Task[Any, Any], memory: Any, given: dict[str, Any]) -> Steps[Any, Any]:
    """``task.correct`` with what a user gave. Raises OptionError for a name that it does not take."""
    what = f"a session of {task.name} cannot be corrected"
    return (yield from _taken(what, partial(task.correct, memory), given))


def _taken(what: str, start: Callable[..., Steps[Any, Any]], given: dict[str, Any]) -> Steps[Any, Any]:
    try:
        return start(**given)
    except TypeError as error:
        raise OptionError(
            f"{what} with {', '.join(given) or 'nothing'} ({error})",
            "give what its task takes, see the docs of the task",
        ) from error
