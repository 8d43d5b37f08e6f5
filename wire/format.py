"""The wire format of a stream, version 2: pure bytes ↔ types, for server and client alike (``docs/wire.md``).

A binary WebSocket message is one ``Picture``, or a tensor: a header of 44 bytes and its payload. A text
message is one JSON object, a class of ``messages``. Every class checks itself when it is made, so that
nothing malformed is sent either; whatever is not exactly as documented is a ``WireError``.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

from .fields import an_integer, fail, one_of
from .messages import ENCODINGS, STREAM_MESSAGES, Encoding, Message, build, plain

VERSION = 2
MAGIC = b"FSTW"
HEADER = struct.Struct("<4s4BQq5I")
"""Magic, version, kind, encoding, flags; index; pts; time base (two numbers), width, height, length."""
MAX_TEXT = 65536
"""Bytes of the longest text message of a client."""
MOST_TEXT = 2**24
"""Bytes of the longest text message of a server: its answers may hold many numbers."""

Kind = Literal["frame", "made", "tensor"]
KINDS: tuple[Kind, ...] = ("frame", "made", "tensor")
"""Their numbers on the wire are 1, 2 and 3."""
PAYLOADS: tuple[str, ...] = (*ENCODINGS, "npy")
"""How a payload is held; the place in this tuple is the number on the wire. ``npy`` is for tensors alone."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture on its way, either direction.

    Attributes:
        kind: ``frame`` is a frame of the source video; ``made`` is one that the server answers with;
            ``tensor`` is no picture: its payload is a file of NumPy's (.npy) without objects.
        index: its number in its own sequence, 0 or more.
        pts: presentation time in ticks of ``time_base`` (seconds a tick).
        encoding: how ``payload`` holds the pixels.
        payload: an encoded image, or for ``rgb`` height x width x 3 bytes, row by row.
        width, height: pixels, for ``rgb`` alone; 0 otherwise, as an encoded image has its own.
    """

    kind: Kind
    index: int
    pts: int
    time_base: Fraction
    encoding: Encoding | Literal["npy"]
    payload: bytes = field(repr=False)
    width: int = 0
    height: int = 0

    def __post_init__(self) -> None:
        one_of(*KINDS)("kind", self.kind)
        one_of(*(PAYLOADS[-1:] if self.kind == "tensor" else ENCODINGS))("encoding", self.encoding)
        an_integer(0)("index", self.index)
        an_integer(-(2**63), 2**63 - 1)("pts", self.pts)
        if not isinstance(self.time_base, Fraction):
            fail(f"the time base is {self.time_base!r}", "give a Fraction, such as Fraction(1, 30)")
        an_integer(1, 2**32 - 1)("time base's numerator", self.time_base.numerator)
        an_integer(1, 2**32 - 1)("time base's denominator", self.time_base.denominator)
        an_integer(0, 2**32 - 1)("width", self.width)
        an_integer(0, 2**32 - 1)("height", self.height)
        if not isinstance(self.payload, bytes) or not 0 < len(self.payload) < 2**32:
            fail("the payload is empty, over 4 GiB, or not bytes", "send one whole picture in it")
        area = self.width * self.height
        if self.encoding == "rgb" and (area == 0 or len(self.payload) != 3 * area):
            fail(
                f"the payload has {len(self.payload)} bytes for {self.width} x {self.height} pixels of rgb",
                "send height x width x 3 bytes, with both sides in the header",
            )
        if self.encoding != "rgb" and (self.width or self.height):
            fail(
                f"the header says {self.width} x {self.height} pixels for a {self.encoding} image",
                "leave width and height 0, as the image has its own",
            )


def encode_picture(picture: Picture) -> bytes:
    """A picture as one binary message."""
    header = HEADER.pack(
        MAGIC, VERSION, 1 + KINDS.index(picture.kind), PAYLOADS.index(picture.encoding), 0,
        picture.index, picture.pts, picture.time_base.numerator, picture.time_base.denominator,
        picture.width, picture.height, len(picture.payload),
    )  # fmt: skip
    return header + picture.payload


def decode_picture(data: bytes) -> Picture:
    """One binary message as a picture; the image in it is not looked at.

    Raises:
        WireError: not this format, another version, cut short, too long, or a value out of its range.
    """
    if len(data) < HEADER.size:
        fail(f"the message has {len(data)} bytes", f"send a header of {HEADER.size} bytes, then the picture")
    magic, version, kind, encoding, flags, index, pts, numerator, denominator, width, height, length = (
        HEADER.unpack_from(data)
    )
    if magic != MAGIC:
        fail(f"the message starts with {magic!r}", f"start with {MAGIC!r}, as docs/wire.md says")
    if version != VERSION:
        fail(f"the message is of version {version}", f"speak version {VERSION}, the only one known here")
    if not 1 <= kind <= len(KINDS):
        fail(f"the kind of picture is {kind}", f"use 1 to {len(KINDS)}")
    if encoding >= len(PAYLOADS):
        fail(f"the encoding is {encoding}", f"use 0 to {len(PAYLOADS) - 1}: {', '.join(PAYLOADS)}")
    if flags:
        fail(f"the flags are {flags}", "leave them 0: there are none yet")
    if denominator == 0:
        fail(f"the time base is {numerator}/0 seconds a tick", "give a denominator of 1 or more")
    if length != len(data) - HEADER.size:
        fail(
            f"the header says {length} bytes of picture, and {len(data) - HEADER.size} follow",
            "send header and picture in one message, and nothing after it",
        )
    time_base = Fraction(numerator, denominator)
    payload = bytes(data[HEADER.size :])
    return Picture(KINDS[kind - 1], index, pts, time_base, PAYLOADS[encoding], payload, width, height)


def encode_message(message: Message) -> str:
    """A text message, compact."""
    if type(message) not in STREAM_MESSAGES:
        fail(f"{type(message).__name__} is no message of its own", "send the message that holds it")
    try:
        return json.dumps({"type": message.type, **plain(message)}, separators=(",", ":"), allow_nan=False)
    except (ValueError, TypeError) as error:
        fail(f"{message.type} holds no JSON number or value ({error})", "send plain values")


def decode_message(text: str | bytes, most: int = MAX_TEXT) -> Message:
    """One text message: a class of ``messages``, by its ``type``. Fields with a default may be left out.

    Raises:
        WireError: no JSON object, an unknown type or field, a field missing, or a value out of its range.
    """
    table = parse_object(text, most)
    kinds = {kind.type: kind for kind in STREAM_MESSAGES}
    name = table.pop("type", None)
    if not isinstance(name, str) or name not in kinds:
        fail(f"the message's type is {str(name)[:40]!r}", f"use one of {', '.join(kinds)}")
    return build(kinds[name], table)


def parse_object(text: str | bytes, most: int) -> dict[str, Any]:
    """A JSON object as RFC 8259 has it, of at most so many bytes: no NaN, no name twice."""
    try:
        data = text.encode() if isinstance(text, str) else bytes(text)
        if len(data) > most:
            fail(f"the message has {len(data)} bytes of text", f"send at most {most}")
        table = _JSON.decode(data.decode())
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, nested too deep, a number too long
        fail(f"the message is no JSON ({str(error)[:80]})", "send one JSON object in UTF-8")
    if not isinstance(table, dict):
        fail(f"the message is a JSON {type(table).__name__}", "send one JSON object")
    return table


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name stands in an object twice")
    return table


def _finite(text: str) -> float:
    number = float(text)
    if abs(number) == float("inf"):
        raise ValueError(f"{text[:20]} is no finite number")
    return number


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


_JSON = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite)
