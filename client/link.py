"""One stream with a server, which outlives its connections: what was not answered is sent again"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, replace
from typing import NoReturn

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from ..errors import (
    FramestateError,
    SessionBusyError,
    SessionError,
    UnavailableError,
    UnknownSessionError,
    WireError,
)
from ..wire import (
    Bye,
    Correct,
    Failure,
    Hello,
    Open,
    Picture,
    Welcome,
    decode_message,
    encode_message,
    encode_picture,
)
from .address import Address
from .inbox import OPENING, Inbox, Messages
from .lively import LivelyConnection
from .problems import problem_in
from .results import Reply, error_of

PROTOCOL = Subprotocol("framestate.v2")
MAX_MESSAGE = 2**28
"""Bytes of the largest message taken from a server: 256 MiB, more than an 8K picture has."""
HANDSHAKE_S = 10.0
KEEPING = "WAIT"
"""The policy under which no frame is dropped, so that those a session forgot are sent again; the default."""


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """How a lost connection is dealt with.

    Attributes:
        reconnect_s: for how many seconds a lost connection is tried anew; 0 never does.
        timeout_s: seconds that a server has for the handshake, and for its last word.
    """

    reconnect_s: float = 30.0
    timeout_s: float = HANDSHAKE_S


class Link:
    """A stream of one session.

    Attributes:
        welcome: the server's last one.
        reconnects: how often the connection was lost and found again.
        frames_lost: frames that were answered, and that the session's memory lacks after that.
    """

    def __init__(self, address: Address, session: str, hello: Hello, options: LinkOptions) -> None:
        self._address = address
        self._session = session
        self._hello = hello
        self._options = options
        self._inbox = Inbox()
        self._sending = asyncio.Lock()  # held while the connection changes
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._resending: asyncio.Task[None] | None = None
        self._over: FramestateError | None = None
        self._token = hello.token  # so that a connection that died unseen holds nothing up
        self.reconnects = 0
        self.frames_lost = 0
        self.welcome: Welcome

    async def start(self) -> Welcome:
        """Connects. Raises UnavailableError, or what the server answers."""
        self._socket, self.welcome = await self._connect()
        self._session = self.welcome.session
        self.frames_lost = self.welcome.frames_lost
        self._inbox.greeted(self.welcome)
        self._inbox.keeps = self.welcome.resumed and self.welcome.policy == KEEPING
        self._reader = asyncio.create_task(self._read(), name=f"framestate-link-{self._session}")
        return self.welcome

    async def open(self, opening: Open, picture: Picture | None) -> None:
        """Opens the session, on a first frame where the task wants one, and waits until it is open."""
        self._inbox.keeps = (opening.policy or KEEPING) == KEEPING
        messages: Messages = [encode_message(opening)]
        if picture is not None:
            messages.append(encode_picture(picture))
        await (await self._sent(OPENING if picture is None else picture.index, messages))

    async def send(self, picture: Picture) -> asyncio.Future[Reply]:
        """Sends a frame; a future of its answer.

        Raises:
            SessionError, UnavailableError: the stream has ended, or cannot be had again.
        """
        return await self._sent(picture.index, [encode_picture(picture)])

    async def correct(
        self, box: tuple[float, float, float, float], index: int | None
    ) -> asyncio.Future[Reply]:
        """Sends a correction; a future of what it comes to. Raises as ``send``."""
        message = encode_message(Correct(box, index))
        async with self._sending:
            if self._over is not None:
                raise self._over
            future = self._inbox.expect_correction(message)
            await self._send_all([message])
        return future

    async def finish(self, *, flush: bool = False) -> Reply:
        """Says bye, and gives what the server still held. Harmless once the stream has ended.

        With ``flush`` it is waited for, also over another connection. Raises what ended the stream before.
        """
        if self._over is None and self._reader is not None:
            self._inbox.leaving, self._inbox.flushing = True, flush
            async with self._sending:
                await self._send_all([encode_message(Bye())])
            with contextlib.suppress(TimeoutError):
                seconds = None if flush else self._options.timeout_s
                await asyncio.wait_for(asyncio.shield(self._reader), seconds)
            if flush and self._over is not None and self._inbox.over is None:
                raise self._over
        await self.abandon()
        return self._inbox.held or Reply()

    async def abandon(self) -> None:
        """Ends the connection without a word: the server keeps the session for a while."""
        for task in (self._reader, self._resending):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        if self._socket is not None:
            await self._socket.close()
        self._end(SessionError(f"the stream of session {self._session} is closed", "Open a new one."))

    async def _sent(self, index: int, messages: Messages) -> asyncio.Future[Reply]:
        async with self._sending:
            if self._over is not None:
                raise self._over
            future = self._inbox.expect(index, messages)
            await self._send_all(messages)
        return future

    async def _send_all(self, messages: Messages) -> None:
        """What a dying connection does not take is sent by the next one."""
        assert self._socket is not None
        with contextlib.suppress(ConnectionClosed):
            for message in messages:
                await self._socket.send(message)

    async def _read(self) -> None:
        """Takes in what the server says, over one connection after another, until the stream ends."""
        try:
            while True:
                assert self._socket is not None
                with contextlib.suppress(ConnectionClosed):
                    async for message in self._socket:
                        self._inbox.take(message)
                        if self._inbox.over is not None:
                            return self._end(self._inbox.over)
                if self._inbox.leaving and not self._inbox.flushing:
                    return self._end(SessionError("the session has ended", "Open a new one."))
                await self._again()
        except (FramestateError, WebSocketException) as error:
            kind = UnavailableError(f"the stream broke ({error})", "Connect again.")
            self._end(error if isinstance(error, FramestateError) else kind)

    async def _again(self) -> None:
        """A new connection in the place of the lost one; what has no answer is sent again beside reading."""
        await self._sending.acquire()
        try:
            socket, welcome = await self._retry()
            if not welcome.resumed and self._inbox.is_open:
                await socket.close()
                raise UnknownSessionError(
                    f"the server no longer has session {self._session}", "Open a new one from this frame."
                )
            self._socket, self.welcome = socket, welcome
            self.reconnects += 1
            if not self._inbox.reaches(welcome.last_index):
                self.frames_lost += welcome.frames_lost
            again = list(self._inbox.again(welcome))
        except BaseException:
            self._sending.release()
            raise
        self._resending = asyncio.create_task(self._resend(again))

    async def _resend(self, again: list[Messages]) -> None:
        """Sends what is owed, before anything else is."""
        try:
            for messages in again:
                await self._send_all(messages)
            if self._inbox.leaving:
                await self._send_all([encode_message(Bye())])
        finally:
            self._sending.release()

    async def _retry(self) -> tuple[ClientConnection, Welcome]:
        """Tries again and again, more and more slowly, for as long as the options say."""
        began, pause = time.monotonic(), 0.05
        while True:
            try:
                return await self._connect()
            except (UnavailableError, SessionBusyError) as error:
                if time.monotonic() - began + pause > self._options.reconnect_s:
                    raise UnavailableError(
                        f"the connection was lost ({error.problem})",
                        "Check that the server runs, and take the session up again by its id.",
                    ) from error
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)

    async def _connect(self) -> tuple[ClientConnection, Welcome]:
        """One connection, greeted. Raises UnavailableError, or what the server answers."""
        hello = replace(self._hello, last_index=self._inbox.last_index, token=self._token)
        try:
            socket = await connect(
                self._address.stream(self._session),
                compression=None,
                max_size=MAX_MESSAGE,
                additional_headers=self._address.headers,
                subprotocols=[PROTOCOL],
                open_timeout=self._options.timeout_s,
                create_connection=LivelyConnection,
            )
        except InvalidStatus as error:
            raise problem_in(error.response.status_code, error.response.body) from error
        except (OSError, WebSocketException, TimeoutError) as error:
            self._away(error)
        try:
            with contextlib.suppress(ConnectionClosed):  # who refuses at once has said why before that
                await socket.send(encode_message(hello))
            reply = await asyncio.wait_for(socket.recv(), self._options.timeout_s)
            welcome = welcome_in(reply)
            self._token = welcome.token
            return socket, welcome
        except (ConnectionClosed, TimeoutError) as error:
            await socket.close()
            self._away(error)
        except BaseException:
            await socket.close()
            raise

    def _away(self, error: Exception) -> NoReturn:
        why = str(error) or type(error).__name__
        raise UnavailableError(
            f"there is no stream with {self._address.base} ({why})", "Check its address, and that it runs."
        ) from error

    def _end(self, error: FramestateError) -> None:
        """Nothing more comes: whatever still waits gets the error."""
        if self._over is None:
            self._over = error
            self._inbox.fail(error)


def welcome_in(reply: str | bytes) -> Welcome:
    """The server's first message. Raises the error that it is, or WireError for anything else."""
    if isinstance(reply, bytes):
        raise WireError("the server began with a picture", "Check the address: this is no session.")
    message = decode_message(reply)
    if isinstance(message, Failure):
        raise error_of(message.code, message.problem, message.remedy)
    if not isinstance(message, Welcome):
        raise WireError(f"the server began with {message.type}", "Check that it speaks the same version.")
    return message
