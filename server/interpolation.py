"""Interpolation over a stream: each frame is answered by the pictures that can be shown by then."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..client import wire
from ..engine import InterpolationSession
from ..errors import FramestateError, SessionBusyError, SessionError, WireError
from ..vision import Frame, Image
from .flow import Arrived
from .pictures import encoded

if TYPE_CHECKING:
    from .stream import Stream

TASK = "interpolation"


class InterpolationWork:
    """One stream's interpolation. It lives as long as its connection: it holds frames, not a state."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._hub = stream.hub
        self._model = ""
        self._how: wire.Interpolate | None = None
        self._session: InterpolationSession | None = None
        self._given: list[tuple[Image, wire.Picture]] = []  # the last two frames, as they came

    def welcome(self, hello: wire.Hello) -> wire.Welcome:
        """Chooses the model."""
        hub, stream = self._hub, self._stream
        if hub.find(stream.key) is not None:
            raise SessionBusyError(f"session {stream.key!r} is one of tracking", "use another id")
        name = self._model = hub.engine(hello.model, TASK)[0]
        runtime = hub.engines[name].runtime
        return wire.Welcome(
            version=wire.VERSION, session=stream.key, task=TASK, model=name, policy="WAIT",
            runtime=f"{runtime.name} on {runtime.device}", limits=stream.limits(),
        )  # fmt: skip

    async def handle(self, item: Arrived) -> None:
        """A frame, or ``interpolate``."""
        content = item.content
        if isinstance(content, wire.Interpolate):
            if self._session is not None:
                raise SessionError("the interpolation has begun already", "send frames, or bye")
            self._how = content
        elif not isinstance(content, wire.Picture):
            raise WireError(f"{content.type!r} means nothing here", "send interpolate, pictures, or bye")
        elif content.kind != "frame":
            raise WireError(f"a picture of kind {content.kind!r} came", "send kind 'frame'")
        elif self._how is None:
            raise SessionError("there is no session yet", "send interpolate, then frames")
        else:
            await self._frame(content, item.received, self._how)

    async def finish(self) -> None:
        """Sends what is still held."""
        session, how = self._session, self._how
        if session is None or how is None:
            return
        for picture in await self._hub.inline.run(
            self._model, lambda: list(self._made(session.flush(), how))
        ):
            self._stream.outbox.send(picture)

    def close(self) -> None:
        """Ends the session."""
        self.leave()

    def leave(self) -> None:
        """Ends the session: its frames go with the connection."""
        session, self._session = self._session, None
        if session is not None:
            self._hub.visitors[self._model] -= 1
            self._hub.inline.post(self._model, session.close)

    async def _frame(self, content: wire.Picture, received: float, how: wire.Interpolate) -> None:
        image, decode = await self._stream.decoder.decode(
            content.payload, content.encoding, content.width, content.height
        )
        frame = Frame(image, content.pts, content.time_base, content.index)
        if self._session is None:
            engine = self._hub.engines[self._model]
            self._session = await self._hub.inline.claim(
                self._model, lambda: engine.interpolate(factor=how.factor)
            )
            self._hub.visitors[self._model] += 1
        session = self._session
        kept = self._given
        self._given = [*self._given[-1:], (image, content)]
        began = time.perf_counter()
        try:
            made = await self._hub.inline.run(
                self._model, lambda: list(self._made(session.stream(frame), how))
            )
        except FramestateError as error:
            self._given = kept
            self._hub.metrics.failed(self._model, error)
            raise
        outbox = self._stream.outbox
        for picture in made:
            outbox.send(picture)
        outbox.send(wire.Ack(content.index, len(made)))
        self._hub.metrics.made(self._model, time.monotonic() - received, decode, time.perf_counter() - began)
        await outbox.ready()

    def _made(self, frames: list[Frame] | Iterator[Frame], how: wire.Interpolate) -> Iterator[wire.Picture]:
        """Frames as pictures; those that the peer sent go back as they came, bit for bit."""
        for frame in frames:
            sent = next((one for image, one in self._given if image is frame.image), None)
            encoding: wire.Encoding = sent.encoding if sent else how.encoding  # type: ignore[assignment]
            payload = sent.payload if sent else encoded(frame.image, encoding, how.quality)
            raw = encoding == "rgb"
            yield wire.Picture(
                "made", frame.index, frame.pts, frame.time_base, encoding, payload,
                width=frame.width if raw else 0, height=frame.height if raw else 0,
            )  # fmt: skip
