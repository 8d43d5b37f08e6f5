"""Answers as messages for one peer: pictures in the encoding it wants, frames that it sent as they came."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..errors import WireError
from ..vision import Frame, Image
from ..wire import Answer, Encoding, Message, Picture, Timings, encode_message, encode_picture
from ..wire.kinds import Written, packed
from .pictures import encoded

GIVEN = 3
"""Frames that a session may still hand back."""
Data = str | bytes


class Pictures:
    """Makes pictures of frames, on any thread.

    Args:
        encoding, quality: of frames that the peer did not send.
    """

    def __init__(self, encoding: Encoding, quality: int) -> None:
        self._encoding, self._quality = encoding, quality
        self._given: list[tuple[weakref.ref[Image], Picture]] = []

    def remember(self, frame: Frame, picture: Picture) -> None:
        """A frame that the peer sent as this picture: it goes back so, bit for bit, while it is held."""
        alive = [pair for pair in self._given if pair[0]() is not None]
        self._given = [*alive[1 - GIVEN :], (weakref.ref(frame.image), picture)]

    def of(self, frame: Any) -> Picture:
        """A frame of an answer. Raises WireError where it is no frame."""
        if not isinstance(frame, Frame):
            raise WireError(f"a {type(frame).__name__} cannot be sent as a picture", "hand over frames")
        sent = next((picture for image, picture in self._given if image() is frame.image), None)
        if sent is not None:
            return replace(sent, kind="made", index=frame.index, pts=frame.pts, time_base=frame.time_base)
        payload, raw = encoded(frame.image, self._encoding, self._quality), self._encoding == "rgb"
        width, height = (frame.width, frame.height) if raw else (0, 0)
        return Picture(
            "made", frame.index, frame.pts, frame.time_base, self._encoding, payload, width, height
        )

    def parts(self, written: Written, index: int, tick: Any) -> Iterator[Data]:
        """The parts of an answer to frame ``index``, whose times are in ticks of ``tick`` seconds."""
        for frame in written.pictures:
            yield as_data(self.of(frame))
        for tensor in written.tensors:
            yield as_data(Picture("tensor", index, 0, tick, "npy", packed(tensor)))


def message_of(
    answer: Any, written: Written, index: int, parts: int, dropped: int, timings: Timings, ended: bool = False
) -> Data:
    """The message that ends an answer; ``dropped`` frames beside those that it knows of."""
    told = getattr(answer, "dropped", 0) + dropped
    return as_data(Answer(index, written.kind, written.values, parts, told, timings, ended))


def as_data(content: Message | Picture) -> Data:
    """A message or a picture as it goes over a WebSocket."""
    return encode_picture(content) if isinstance(content, Picture) else encode_message(content)
