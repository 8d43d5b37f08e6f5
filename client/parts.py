"""The answer of a request: a JSON object, or a multipart body whose first part is that object"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, get_args

from ..errors import WireError
from ..wire import Encoding, Picture, Timings
from ..wire.messages import Answer
from .pictures import kind_of
from .results import Reply

COMMON = ("session", "index", "kind", "dropped", "timings")
_BOUNDARY = re.compile(r'boundary="?([0-9A-Za-z]{1,70})"?')


def reply_in(content_type: str, body: bytes) -> Reply:
    """What a frame came to. Raises WireError where this is no such answer."""
    found = _BOUNDARY.search(content_type) if content_type.startswith("multipart/") else None
    heads: list[tuple[Mapping[str, str], bytes]] = [({}, body)]
    if found is not None:
        pieces = (b"\r\n" + body).split(b"\r\n--" + found[1].encode())
        heads = [_piece(one) for one in pieces[1:-1]]
    try:
        table: dict[str, Any] = json.loads(heads[0][1])
        values = {name: one for name, one in table.items() if name not in COMMON}
        timings = {name: one for name, one in table["timings"].items() if name != "total_ms"}
        message = Answer(
            table["index"], table["kind"], values, len(heads) - 1, table["dropped"], Timings(**timings)
        )
        return Reply(message, [_part(head, data, message.index) for head, data in heads[1:]])
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise WireError(
            f"the server answered {body[:60]!r}", "check the address: that is no answer to a frame"
        ) from error


def _piece(text: bytes) -> tuple[Mapping[str, str], bytes]:
    head, _, data = text.partition(b"\r\n\r\n")
    lines = [line.partition(":") for line in head.decode("latin-1").split("\r\n") if ":" in line]
    return {name.strip().lower(): value.strip() for name, _, value in lines}, data


def _part(head: Mapping[str, str], data: bytes, index: int) -> Picture:
    if head["content-type"] == "application/x-npy":
        return Picture("tensor", index, 0, Fraction(1), "npy", data)
    encoding = kind_of(data)
    assert encoding in get_args(Encoding)
    base = Fraction(head["x-time-base"])
    return Picture("made", int(head["x-frame-index"]), int(head["x-pts"]), base, encoding, data)
