"""What a stream still owes: frames without an answer, and the pictures that have come for them"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..errors import FrameDroppedError, FramestateError, SessionError, UnavailableError
from .messages import Ack, Bye, Drop, Failure, TrackMessage
from .results import Track, error_of
from .wire import Picture, decode_message, decode_picture


@dataclass(frozen=True, slots=True)
class Answer:
    """Of one frame: a track, or the pictures made of it; neither for the frame that opens a session."""

    track: Track | None = None
    made: list[Picture] = field(default_factory=list)


@dataclass(slots=True)
class Owed:
    """A frame that was sent, with the messages that sent it, until its answer comes."""

    messages: list[bytes | str]
    future: asyncio.Future[Answer]


class Inbox:
    """Pairs the server's messages with the frames that they answer. Knows nothing of connections.

    Attributes:
        last_index: the last frame that was answered by a track or an ack.
        opening: nothing was answered yet, so the session is not open.
        leaving: the client has said bye.
        over: why the stream has ended, once it has.
    """

    def __init__(self) -> None:
        self._owed: dict[int, Owed] = {}
        self._made: list[Picture] = []
        self.last_index: int | None = None
        self.leaving = False
        self.over: FramestateError | None = None

    @property
    def opening(self) -> bool:
        """Whether the session was never open."""
        return self.last_index is None

    def expect(self, index: int, messages: list[bytes | str]) -> asyncio.Future[Answer]:
        """A future of the answer to frame ``index``, which these messages send."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._owed[index] = Owed(messages, future)
        return future

    def take(self, data: str | bytes) -> None:
        """One message of the server.

        Raises:
            WireError: it is malformed.
        """
        if isinstance(data, bytes):
            self._made.append(decode_picture(data))
            return
        match decode_message(data):
            case TrackMessage() as message:
                self.last_index = message.index
                self._resolve(message.index, Answer(Track.of(message)))
            case Ack() as message:
                self.last_index = message.index
                self._resolve(message.index, Answer(None, self.take_made()))
            case Drop() as message:
                problem = f"frame {message.index} was dropped by policy {message.policy}"
                remedy = "Send frames more slowly, or choose the policy WAIT."
                self._resolve(message.index, FrameDroppedError(problem, remedy))
            case Failure() as message:
                self._failed(message)
            case Bye() as message if not message.resumable:
                reason = f"the server ended the session ({message.reason})"
                self.over = SessionError(reason, "Open a new one.")
            case _:
                pass  # a bye of a server that stops: the session goes on where it starts again

    def take_made(self) -> list[Picture]:
        """The pictures that have come since the last answer."""
        made, self._made = self._made, []
        return made

    def again(self, last_index: int | None) -> Iterator[list[bytes | str]]:
        """What is to be sent over a new connection to a session whose last frame is ``last_index``."""
        self._made = []
        for index in list(self._owed):
            if last_index is not None and index <= last_index:
                problem = f"the answer to frame {index} was lost with the connection"
                remedy = "Go on with the next frame: this one is in the session's memory."
                self._resolve(index, UnavailableError(problem, remedy))
            else:
                yield self._owed[index].messages

    def fail(self, error: FramestateError) -> None:
        """Answers all that is owed with an error."""
        for index in list(self._owed):
            self._resolve(index, error)

    def _failed(self, message: Failure) -> None:
        error = error_of(message.code, message.problem, message.remedy)
        if message.closing:
            if not isinstance(error, UnavailableError):
                self.over = error
            return
        index = message.index if message.index is not None else next(iter(self._owed), None)
        if index is not None:
            self._resolve(index, error)

    def _resolve(self, index: int, answer: Answer | FramestateError) -> None:
        owed = self._owed.pop(index, None)
        if owed is None or owed.future.done():
            return
        if isinstance(answer, Answer):
            owed.future.set_result(answer)
        else:
            owed.future.set_exception(type(answer)(answer.problem, answer.remedy))
            owed.future.exception()  # seen: nobody has to wait for it
