"""The wire format: what goes out comes back the same, and whatever is not as documented is a WireError."""

from __future__ import annotations

import dataclasses
import json
import re
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from framestate.errors import FrameError, WireError
from framestate.wire import (
    Failure,
    Limits,
    Message,
    Picture,
    Timings,
    format,
    kinds,
    messages,
)
from framestate.wire.format import decode_message, decode_picture, encode_message, encode_picture
from framestate.wire.messages import STREAM_MESSAGES
from hypothesis import given
from hypothesis import strategies as st

from .anything import JSON, check_text

INDICES = st.integers(0, 2**53 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
NUMBERS = st.floats(0, 1e9)
BOXES = st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.floats(1e-3, 1e6))
TIME_BASES = st.builds(Fraction, st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1))


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    """Any valid picture."""
    kind = draw(st.sampled_from(format.KINDS))
    encoding: Any = "npy" if kind == "tensor" else draw(st.sampled_from(messages.ENCODINGS))
    width, height = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    raw = encoding == "rgb"
    payload = draw(
        st.binary(min_size=3 * width * height, max_size=3 * width * height) if raw else st.binary(min_size=1)
    )
    return Picture(
        kind, draw(INDICES), draw(st.integers(-(2**63), 2**63 - 1)),
        draw(TIME_BASES), encoding, payload, width if raw else 0, height if raw else 0,
    )  # fmt: skip


PLAIN = st.dictionaries(
    TEXTS,
    st.none() | st.booleans() | st.integers(-99, 99) | TEXTS | st.lists(NUMBERS, max_size=3),
    max_size=3,
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "version": st.integers(1, 9), "task": TEXTS, "model": TEXTS, "runtime": TEXTS, "kind": TEXTS,
    "session": TEXTS, "policy": st.sampled_from(messages.POLICIES), "last_index": st.none() | INDICES,
    "limits": st.builds(Limits, st.integers(1, 2**53 - 1), st.just(7), st.none() | NUMBERS, st.none()),
    "resumed": st.booleans(), "frames_lost": INDICES, "deadline_ms": st.none() | NUMBERS,
    "queue": st.none() | st.integers(1, 99), "quality": st.integers(1, 100), "options": PLAIN,
    "values": PLAIN,
    "encoding": st.sampled_from(messages.ENCODINGS), "index": INDICES, "parts": INDICES, "dropped": INDICES,
    "code": TEXTS, "title": TEXTS, "answers_from": st.none() | INDICES, "opens_on_frame": st.booleans(),
    "timings": st.builds(Timings, *[NUMBERS] * 5), "problem": TEXTS, "remedy": TEXTS, "reason": TEXTS,
    "closing": st.booleans(), "resumable": st.booleans(), "ended": st.booleans(),
    "token": st.none() | TEXTS,
    "box": st.tuples(NUMBERS, NUMBERS, st.floats(0.1, 1e6), st.floats(0.1, 1e6)),
    "error": st.none() | st.builds(Failure, TEXTS, TEXTS, TEXTS, TEXTS, st.none() | INDICES, st.booleans()),
}  # fmt: skip


def any_message() -> st.SearchStrategy[Message]:
    """Any valid message, of any type."""
    return st.one_of(
        *(
            st.builds(kind, **{one.name: VALUES[one.name] for one in dataclasses.fields(kind)})
            for kind in STREAM_MESSAGES
        )
    )


@given(pictures())
def test_a_picture_comes_back_the_same(picture: Picture) -> None:
    assert decode_picture(encode_picture(picture)) == picture


@given(any_message())
def test_a_message_comes_back_the_same(message: Message) -> None:
    text = encode_message(message)
    assert decode_message(text) == message
    assert decode_message(text.encode()) == message


@given(any_message())
def test_what_has_a_default_may_be_left_out(message: Message) -> None:
    table = json.loads(encode_message(message))
    for one in dataclasses.fields(message):
        if has_default(one):
            del table[one.name]
    again = decode_message(json.dumps(table))
    assert type(again) is type(message)
    for one in dataclasses.fields(message):
        default = one.default_factory() if callable(one.default_factory) else one.default
        wanted = default if has_default(one) else getattr(message, one.name)
        assert getattr(again, one.name) == wanted


def has_default(one: Any) -> bool:
    """Whether a field may be left out."""
    return not one.default is one.default_factory is dataclasses.MISSING


@given(st.binary(max_size=120))
def test_bytes_of_anybody_are_a_picture_or_a_wire_error(data: bytes) -> None:
    check_binary(data)
    check_binary(format.MAGIC + data)


@given(pictures(), st.data())
def test_a_changed_picture_is_a_picture_or_a_wire_error(picture: Picture, data: st.DataObject) -> None:
    message = bytearray(encode_picture(picture))
    at = data.draw(st.integers(0, format.HEADER.size - 1))
    message[at] = data.draw(st.integers(0, 255))
    check_binary(bytes(message))
    cut = data.draw(st.integers(0, len(message)))
    if cut < len(message):
        with pytest.raises(WireError):
            decode_picture(bytes(message[:cut]))
    with pytest.raises(WireError):
        decode_picture(encode_picture(picture) + b"x")


def check_binary(data: bytes) -> None:
    """Either it is a picture that is exactly these bytes, or a WireError that says what to do."""
    try:
        picture = decode_picture(data)
    except WireError as error:
        check_text(error)
        return
    again = bytearray(encode_picture(picture))
    assert again[:24] + again[32:] == data[:24] + data[32:]  # a time base may be in other terms
    assert picture.time_base == Fraction(*struct.unpack_from("<II", data, 24))


@given(any_message(), st.data())
def test_a_changed_message_is_a_message_or_a_wire_error(message: Message, data: st.DataObject) -> None:
    table = json.loads(encode_message(message))
    name = data.draw(st.sampled_from([*table, "extra"]))
    table[name] = data.draw(JSON)
    try:
        again = decode_message(json.dumps(table))
    except WireError as error:
        check_text(error)
        return
    assert type(again) in STREAM_MESSAGES
    assert name != "extra"
    assert decode_message(encode_message(again)) == again


@given(st.text() | st.binary() | JSON.map(json.dumps))
def test_text_of_anybody_is_a_message_or_a_wire_error(text: str | bytes) -> None:
    try:
        assert type(decode_message(text)) in STREAM_MESSAGES
    except WireError as error:
        check_text(error)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "no JSON"),
        ("[]", "a JSON list"),
        ("{}", "type is 'None'"),
        ('{"type":["track"]}', "type is"),
        ('{"type":"limits","message_bytes":1,"pixels":1}', "type is 'limits'"),
        ('{"type":"hello"}', "lacks 'version'"),
        ('{"type":"hello","version":1,"colour":2}', "has no 'colour'"),
        ('{"type":"hello","version":true}', "version is True"),
        ('{"type":"hello","version":1.0}', "version is 1.0"),
        ('{"type":"hello","version":1e999}', "no finite number"),
        ('{"type":"hello","version":NaN}', "NaN"),
        ('{"type":"hello","version":1,"last_index":-1}', "last_index is -1"),
        ('{"type":"hello","version":1,"last_index":9007199254740992}', "last_index"),
        (f'{{"type":"hello","version":{"9" * 4000}}}', "a number of 4000 digits"),
        (f'{{"type":"hello","version":{"9" * 5000}}}', "no JSON"),
        ('{"type":"hello","type":"hello","version":1}', "twice"),
        ('{"type":"bye","reason":""}', "reason is ''"),
        ('{"type":"bye","reason":"\\ud800"}', "reason is"),
        ('{"type":"open","options":[1,2]}', "options is"),
        ('{"type":"open","options":{"\\ud800":1}}', "options is"),
        ('{"type":"open","options":{"box":[1e400]}}', "no finite number"),
        ('{"type":"open","box":[1,2,3,4]}', "has no 'box'"),
        ('{"type":"open","policy":"wait"}', "policy is 'wait'"),
        ('{"type":"hello","version":2,"encoding":"gif"}', "encoding is 'gif'"),
        ('{"type":"answer","index":1}', "lacks 'kind'"),
        ('{"type":"answer","index":1,"kind":"track","timings":[]}', "timings is"),
        ('{"type":"answer","index":1,"kind":"track","timings":{"x":1}}', "has no 'x'"),
        ('{"type":"answer","index":1,"kind":"track","timings":{"model_ms":-1}}', "model_ms is -1"),
        ("[" * 60_000, "no JSON"),
        (b"\xff\xfe", "no JSON"),
        ('{"type":"bye","reason":"' + "x" * 70_000, "bytes of text"),
    ],
)
def test_each_malformed_message_says_what_is_wrong(text: str | bytes, found: str) -> None:
    with pytest.raises(WireError, match=re.escape(found)) as caught:
        decode_message(text)
    assert caught.value.remedy
    assert len(str(caught.value)) < 300  # it quotes no more than it must


HEAD = {
    "magic": format.MAGIC, "version": 2, "kind": 1, "encoding": 1, "flags": 0, "index": 0, "pts": 0,
    "numerator": 1, "denominator": 30, "width": 0, "height": 0, "length": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"magic": b"RIFF"}, "starts with b'RIFF'"),
        ({"version": 1}, "version 1"),
        ({"kind": 0}, "kind of picture is 0"),
        ({"kind": 4}, "kind of picture is 4"),
        ({"kind": 3}, "encoding is 'jpeg'"),
        ({"encoding": 5}, "encoding is 5"),
        ({"encoding": 4}, "encoding is 'npy'"),
        ({"flags": 1}, "flags are 1"),
        ({"index": 2**53}, "index is"),
        ({"numerator": 0}, "numerator is 0"),
        ({"denominator": 0}, "1/0"),
        ({"width": 1}, "1 x 0 pixels for a jpeg"),
        ({"encoding": 0}, "0 x 0 pixels of rgb"),
        ({"encoding": 0, "width": 2**32 - 1, "height": 2**32 - 1}, "pixels of rgb"),
        ({"length": 0}, "says 0 bytes of picture, and 1 follow"),
        ({"length": 2**32 - 1}, "and 1 follow"),
    ],
)
def test_each_malformed_header_says_what_is_wrong(changes: dict[str, Any], found: str) -> None:
    with pytest.raises(WireError, match=re.escape(found)):
        decode_picture(format.HEADER.pack(*{**HEAD, **changes}.values()) + b"x")


def test_an_empty_payload_is_refused_on_both_sides() -> None:
    with pytest.raises(WireError, match="payload is empty"):
        decode_picture(format.HEADER.pack(*{**HEAD, "length": 0}.values()))
    with pytest.raises(WireError, match="payload is empty"):
        Picture("frame", 0, 0, Fraction(1, 30), "jpeg", b"")


def test_nothing_malformed_can_be_made_to_be_sent() -> None:
    with pytest.raises(WireError, match="index"):
        messages.Answer(-1, "track")
    with pytest.raises(WireError, match="no message of its own"):
        encode_message(Limits(1, 1))
    with pytest.raises(WireError, match="no JSON number"):
        encode_message(messages.Answer(1, "mine", {"level": float("nan")}))
    with pytest.raises(WireError, match="time base"):
        Picture("frame", 0, 0, 0.04, "jpeg", b"x")  # type: ignore[arg-type]


def test_any_error_fits_into_a_message() -> None:
    error = FrameError("frame \ud800 is wrong " + "x" * 5000, "Send another")
    failure = Failure.of(error, index=3)
    assert decode_message(encode_message(failure)) == failure
    assert (failure.code, failure.index, failure.closing) == ("FrameError", 3, False)
    assert failure.title == "A frame has the wrong shape, dtype, order or time."


def test_the_page_of_the_format_has_every_message_and_field(checkout: Path) -> None:
    page = (checkout / "docs/wire.md").read_text("utf-8")
    answers, _, texts = page.partition("## Text messages")
    told = set(re.findall(r"^\| `(\w+)` \|", answers, re.MULTILINE))
    assert told == {*kinds.KINDS, kinds.NOTHING}
    rows = {row[1]: row[0] for row in re.finditer(r"^\| `(\w+)` \|.*$", texts, re.MULTILINE)}
    assert set(rows) == {kind.type for kind in STREAM_MESSAGES}
    for kind in STREAM_MESSAGES:
        cells = rows[kind.type].split("|")[3]
        assert set(re.findall(r"`(\w+)`\??(?: =|:| ·| \(| $|\?)", cells)) == {
            one.name for one in dataclasses.fields(kind)
        }
    offsets = [int(number) for number in re.findall(r"^\| (\d+) \| ", page, re.MULTILINE)]
    assert offsets == [0, 4, 5, 6, 7, 8, 16, 24, 28, 32, 36, 40, format.HEADER.size]
