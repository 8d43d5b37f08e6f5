"""What a frame came to, as REST answers it: a JSON object, and pictures as parts that follow it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import Response

from ..vision import encode_image
from ..wire import Timings
from ..wire.kinds import Written, packed, write
from .entry import Entry

MULTIPART = "multipart/mixed"


@dataclass(frozen=True, slots=True)
class Pictures:
    """How the pictures of an answer are encoded."""

    encoding: Literal["jpeg", "png", "webp"] = "jpeg"
    quality: int = 90


def answer_of(entry: Entry, index: int, answer: Any, wanted: Pictures) -> Response:
    """The response. Takes as long as pictures take to encode."""
    written = write(answer)
    table = plain_answer(index, answer, written) | {"session": entry.id}
    text = json.dumps(table, separators=(",", ":"), allow_nan=False).encode()
    headers = {"x-session-id": entry.id}
    if not written.pictures and not written.tensors:
        return Response(text, headers=headers, media_type="application/json")
    boundary = secrets.token_hex(16)
    body = b"".join(
        b"--%s\r\n%s\r\n\r\n%s\r\n" % (boundary.encode(), "\r\n".join(head).encode(), content)
        for head, content in [(["content-type: application/json"], text), *_parts(written, wanted)]
    )
    return Response(
        body + f"--{boundary}--\r\n".encode(),
        headers=headers | {"content-type": f"{MULTIPART}; boundary={boundary}"},
    )


def plain_answer(index: int, answer: Any, written: Written) -> dict[str, Any]:
    """An answer's JSON object; its own values never hide what all answers have."""
    return {
        **written.values,
        "index": index,
        "kind": written.kind,
        "dropped": getattr(answer, "dropped", 0),
        "timings": getattr(answer, "timings", Timings()).plain,
    }


def _parts(written: Written, wanted: Pictures) -> Iterator[tuple[list[str], bytes]]:
    for frame in written.pictures:
        base = frame.time_base
        yield (
            [
                f"content-type: image/{wanted.encoding}",
                f"x-frame-index: {frame.index}",
                f"x-pts: {frame.pts}",
                f"x-time-base: {base.numerator}/{base.denominator}",
            ],
            encode_image(frame.image, wanted.encoding, quality=wanted.quality),
        )
    for tensor in written.tensors:
        yield ["content-type: application/x-npy"], packed(tensor)
