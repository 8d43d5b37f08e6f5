"""What a stream still owes: frames without an answer, parts that have come, and frames to send again"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import FrameDroppedError, FramestateError, SessionError, UnavailableError, WireError
from ..wire import (
    Ack,
    Answer,
    Bye,
    Corrected,
    Drop,
    Failure,
    Picture,
    Welcome,
    decode_message,
    decode_picture,
)
from ..wire.format import MOST_TEXT
from .results import Reply, error_of

Messages = list[bytes | str]
OPENING = -1
"""The number of what opens a session without a frame."""
KEPT_BYTES = 64 * 1024 * 1024
"""Of answered frames that are kept to be sent again."""


@dataclass(slots=True)
class Owed:
    """A frame or a correction that was sent, with the messages that sent it, until its answer comes."""

    messages: Messages
    future: asyncio.Future[Reply]


class Inbox:
    """Pairs the server's messages with the frames and corrections that they answer, and knows no connection.

    A correction is owed under a number below ``OPENING``; both stand in the order in which they were sent.

    Attributes:
        last_index: the last frame that was answered.
        is_open: whether the session ever was.
        keeps: answered frames are kept, as a server that was killed may want them again.
        held: what came for ``bye``.
        leaving: the client has said bye.
        flushing: and waits for what is held.
        over: why the stream has ended, once it has.
    """

    def __init__(self) -> None:
        self._owed: dict[int, Owed] = {}
        self._parts: list[Picture] = []
        self._kept: deque[tuple[int, Messages, int]] = deque()
        self._kept_bytes = 0
        self._kept_since = 0  # frames from this number on are kept
        self.last_index: int | None = None
        self.is_open = False
        self.keeps = False
        self.held: Reply | None = None
        self.leaving = self.flushing = False
        self.over: FramestateError | None = None
        self._corrections = 0  # ever asked for
        self._repeated = 0  # sent again though they had been answered; their answers are still to come

    def greeted(self, welcome: Welcome) -> None:
        """The first welcome of a session that is open already."""
        if welcome.resumed:
            self.is_open, self.last_index = True, welcome.last_index
            self._kept_since = 0 if welcome.last_index is None else welcome.last_index + 1

    def expect(self, index: int, messages: Messages) -> asyncio.Future[Reply]:
        """A future of the answer to frame ``index``, which these messages send."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._owed[index] = Owed(messages, future)
        return future

    def expect_correction(self, message: str) -> asyncio.Future[Reply]:
        """A future of what a correction, which this message sends, comes to."""
        self._corrections += 1
        return self.expect(OPENING - self._corrections, [message])

    def take(self, data: str | bytes) -> None:
        """One message of the server.

        Raises:
            WireError: it is malformed.
        """
        if isinstance(data, bytes):
            self._parts.append(decode_picture(data))
            return
        match decode_message(data, MOST_TEXT):
            case Answer() as message:
                parts, self._parts = self._parts, []
                if message.parts != len(parts):
                    raise WireError(f"{len(parts)} of {message.parts} parts came", "connect again")
                if message.ended:
                    self.held = Reply(message, parts)
                    return
                self._answered(message.index, Reply(message, parts))
            case Ack() as message:
                self.is_open = True
                index = OPENING if message.index is None else message.index
                self._resolve(index, Reply())
                if message.index is not None:
                    self.last_index = message.index
            case Drop() as message:
                problem = f"frame {message.index} was dropped by policy {message.policy}"
                remedy = "Send frames more slowly, or choose the policy WAIT."
                self._resolve(message.index, FrameDroppedError(problem, remedy))
            case Corrected() as message:
                self._corrected(message)
            case Failure() as message:
                self._failed(message)
            case Bye() as message if not message.resumable:
                reason = f"the server ended the session ({message.reason})"
                self.over = SessionError(reason, "Open a new one.")
            case _:
                pass  # a bye of a server that stops: the session goes on where it starts again

    def again(self, welcome: Welcome) -> Iterator[Messages]:
        """What is to be sent over a new connection, in order.

        That is what has no answer, and where the session went back, also what followed in its memory.
        Answers that the server sends again are waited for.
        """
        self._parts = []
        last = welcome.last_index if welcome.resumed else None
        if welcome.resumed:
            self.is_open = True
            self._resolve(OPENING, Reply())
        reaches = self.reaches(last)
        self._repeated = 0
        for index, messages, _ in list(self._kept):
            if reaches and last is not None and (index > last or (is_correction(messages) and index == last)):
                self._repeated += is_correction(messages)
                yield messages
        since = welcome.answers_from
        for index in list(self._owed):
            if last is None or index > last or index < OPENING:
                yield self._owed[index].messages
            elif len(self._owed[index].messages) > 1:
                self.last_index = index
                self._resolve(index, Reply())  # it opened the session
            elif since is None or self.last_index is None or index < since:
                problem = f"the answer to frame {index} was lost with the connection"
                remedy = "Go on with the next frame: this one is in the session's memory."
                self._resolve(index, UnavailableError(problem, remedy))

    def reaches(self, last: int | None) -> bool:
        """Whether all frames after this one are at hand."""
        return self.keeps and last is not None and last + 1 >= self._kept_since

    def fail(self, error: FramestateError) -> None:
        """Answers all that is owed with an error."""
        for index in list(self._owed):
            self._resolve(index, error)

    def _answered(self, index: int, reply: Reply) -> None:
        owed = self._owed.get(index)
        if owed is None:
            return  # a frame that was sent again: its first answer was taken
        self.last_index = index
        self._keep(index, owed.messages)
        self._resolve(index, reply)

    def _corrected(self, message: Corrected) -> None:
        if self._repeated:
            self._repeated -= 1  # its first answer was taken
            return
        number = next((one for one in self._owed if one < OPENING), None)
        if number is None:
            raise WireError("something was corrected that nobody asked for", "connect again")
        if message.error is not None:
            error = message.error
            return self._resolve(number, error_of(error.code, error.problem, error.remedy))
        index = message.index or 0
        self._keep(index, self._owed[number].messages)
        self._resolve(number, Reply(Answer(index, message.kind, message.values)))

    def _keep(self, index: int, messages: Messages) -> None:
        """What was answered, and was sent after frame ``index`` or is it."""
        if not self.keeps:
            return
        size = sum(len(one) for one in messages)
        self._kept.append((index, messages, size))
        self._kept_bytes += size
        while self._kept_bytes > KEPT_BYTES:
            old, _, size = self._kept.popleft()
            self._kept_bytes -= size
            self._kept_since = old + 1

    def _failed(self, message: Failure) -> None:
        error = error_of(message.code, message.problem, message.remedy)
        if message.closing:
            if not isinstance(error, UnavailableError):
                self.over = error
            return
        self._parts = []  # of an answer that failed in the middle
        frames = (one for one in self._owed if one >= OPENING)
        index = message.index if message.index is not None else next(frames, None)
        if index is not None:
            self._resolve(index, error)

    def _resolve(self, index: int, reply: Reply | FramestateError) -> None:
        owed = self._owed.pop(index, None)
        if owed is None or owed.future.done():
            return
        if isinstance(reply, Reply):
            owed.future.set_result(reply)
        else:
            owed.future.set_exception(type(reply)(reply.problem, reply.remedy))
            owed.future.exception()  # seen: nobody has to wait for it


def is_correction(messages: Messages) -> bool:
    """Whether these send a correction: frames are bytes."""
    return all(isinstance(one, str) for one in messages)
