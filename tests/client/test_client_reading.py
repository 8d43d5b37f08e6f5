"""What the client makes of bytes: kinds of images, bodies of several parts, answers without a typed error."""

from __future__ import annotations

import io
import json
from fractions import Fraction

import numpy as np
import pytest
from framestate import errors
from framestate.client.parts import reply_in
from framestate.client.pictures import EncodeOptions, Numbering, kind_of
from framestate.client.problems import problem_in
from framestate.vision import Frame
from PIL import Image

TABLE = {"session": "s", "index": 3, "kind": "made", "dropped": 1, "timings": {"model_ms": 2.0}, "factor": 2}


def image(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((8, 9, 3), 7, np.uint8)).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_an_image_is_known_by_how_it_begins(kind: str) -> None:
    assert kind_of(image(kind)) == kind


@pytest.mark.parametrize("data", [b"", b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WEB", b"GIF89a", b"\x89PNG"])
def test_other_bytes_are_no_image(data: bytes) -> None:
    with pytest.raises(errors.WireError, match="starts with"):
        kind_of(data)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_every_part_of_a_body_is_read(count: int) -> None:
    data = image("png")
    parts = [b"content-type: application/json\r\n\r\n" + json.dumps(TABLE).encode()]
    for place in range(count):
        heads = ("content-type: image/png", f"x-frame-index: {place}", f"x-pts: {place}", "x-time-base: 1/50")
        parts.append("\r\n".join(heads).encode() + b"\r\n\r\n" + data)
    body = b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"
    reply = reply_in('multipart/mixed; boundary="b"', body)
    assert [one.index for one in reply.parts] == list(range(count))
    assert all(bytes(one.payload) == data for one in reply.parts)
    assert reply.message is not None
    assert (reply.message.index, reply.message.dropped) == (3, 1)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, errors.RequestError), (499, errors.RequestError), (500, errors.RunError),
        (501, errors.RunError), (502, errors.UnavailableError), (503, errors.UnavailableError),
    ],
)  # fmt: skip
@pytest.mark.parametrize("body", [None, b"", b"<html>", b"[]", b'{"detail": 5}'])
def test_an_answer_without_a_typed_error_is_one_by_its_status(
    status: int, kind: type[errors.FramestateError], body: bytes | None
) -> None:
    assert type(problem_in(status, body)) is kind


@pytest.mark.parametrize("pts", [0, 24, 25, 26, 90])
def test_a_bare_image_comes_after_the_frame_before_it(pts: int) -> None:
    numbering = Numbering(EncodeOptions("png"), rate=25)
    pixels = np.zeros((4, 4, 3), np.uint8)
    numbering.picture(Frame(pixels, pts, Fraction(1, 50), 0))
    after = numbering.picture(pixels)
    assert Fraction(pts, 50) < after.pts * after.time_base <= Fraction(pts, 50) + Fraction(1, 25)
