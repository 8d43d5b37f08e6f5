"""`POST /v1/sources/{name}/detections`: what somebody's detector found in a frame of a live source"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from fastapi import APIRouter, Request

from ..engine.scene import Detections
from ..errors import OptionError, TooLargeError
from ..wire.fields import an_integer
from ..wire.format import parse_object
from .bodies import read_body
from .documents import problems
from .hub import Hub
from .schemas import DetectionsAnswer
from .source_names import SourceName
from .sources import Sources

MOST, MOST_BYTES = 1000, 256 * 1024
"""Boxes of one frame, and bytes that tell of them."""
_NUMBERS = {"type": "array", "maxItems": MOST, "items": {"type": "number", "minimum": 0, "maximum": 1}}
_NAMES = {"type": "array", "maxItems": MOST, "items": {"type": ["string", "integer"]}}
_BOXES = {
    "type": "array",
    "maxItems": MOST,
    "items": {"type": "array", "minItems": 4, "maxItems": 4, "items": {"type": "number"}},
}
BODY = {
    "requestBody": {
        "description": "Boxes as `xywh` or `xyxy`, in pixels; an empty list: nothing was found.",
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "xywh": _BOXES,
                        "xyxy": _BOXES,
                        "scores": _NUMBERS,
                        "labels": _NAMES,
                        "index": {"type": "integer", "minimum": 0, "description": "Of their frame."},
                        "seconds": {"type": "number", "description": "Of their frame, in place of an index."},
                    },
                    "example": {
                        "xywh": [[240, 160, 80, 60]], "scores": [0.93], "labels": ["person"], "index": 5120,
                    },
                }
            }
        },
    }
}  # fmt: skip


def detections_api(hub: Hub, sources: Sources) -> APIRouter:
    """The route, over the sources."""
    api = APIRouter(tags=["sources"])

    @api.post(
        "/v1/sources/{name}/detections",
        status_code=202,
        responses=problems(400, 404, 408, 409, 413, 422, 429, 503),
        openapi_extra=BODY,
    )
    async def tell(name: SourceName, request: Request) -> DetectionsAnswer:
        """Open, put right and end the targets of the source by what was found in one of its frames.

        The next frame is met with them. They may come late: the flow brings them up to date.
        """
        source = sources.get(name)
        body = await read_body(request, MOST_BYTES, hub.settings.body_s)
        hub.check_running()
        found, index = await asyncio.to_thread(read, body)
        frame = None if index is None else source.pinned(index)
        of = await source.targets.detected(found, index, frame)
        return DetectionsAnswer(frame=of, detections=len(found))

    return api


def read(body: bytes) -> tuple[Detections, int | None]:
    """What a body tells, and the number of the frame.

    Raises WireError, TooLargeError, OptionError, BoxError.
    """
    given: dict[str, Any] = parse_object(body, MOST_BYTES)
    for boxes in (given.get("xywh"), given.get("xyxy")):
        if isinstance(boxes, list) and len(boxes) > MOST:
            raise TooLargeError(f"{len(boxes)} boxes came, and a frame may have {MOST}", "send the surest")
    index = given.pop("index", None)
    if index is not None:
        index = an_integer(0)("index", index)
        if given.get("seconds") is not None:
            raise OptionError("the frame has an index, and a time", "give one of them")
    return Detections.of(_checked(given)), index


def _checked(given: dict[str, Any]) -> dict[str, Any]:
    """The same, if it has the form of ``BODY``. Raises OptionError in the words of JSON."""
    known = {*_CORNERS, *_LISTS, "seconds"}
    if unknown := sorted(given.keys() - known):
        raise OptionError(f"there is a {unknown[0][:40]!r}", f"give {', '.join(sorted(known))}, index")
    forms = sorted(_CORNERS.keys() & given.keys())
    if len(forms) != 1:
        told = " and ".join(forms) or "no boxes"
        raise OptionError(f"there are {told}", "give xywh or xyxy: an empty list, where nothing was found")
    form = forms[0]
    boxes = given[form]
    if not isinstance(boxes, list):
        raise OptionError(f"{form} is {_shown(boxes)}", f"give a list of boxes: [[{_CORNERS[form]}], ...]")
    for place, box in enumerate(boxes):
        if not (isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))):
            raise OptionError(f"{form}[{place}] is {_shown(box)}", f"give four numbers: {_CORNERS[form]}")
    for name, (fits, what) in _LISTS.items():
        values = given.get(name)
        if values is None:
            continue
        if not (isinstance(values, list) and all(map(fits, values))):
            raise OptionError(f"{name} is {_shown(values)}", f"give a list of {what}, one for each box")
        if len(values) != len(boxes):
            raise OptionError(
                f"there are {len(boxes)} boxes and {len(values)} {name}", f"give {what}, one for each box"
            )
    if not (given.get("seconds") is None or _is_number(given["seconds"])):
        raise OptionError(f"seconds is {_shown(given['seconds'])}", "give a number, the time of the frame")
    return given


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e308


def _is_name(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    """A value as its sender wrote it, cut short."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


_CORNERS: Mapping[str, str] = MappingProxyType(
    {"xywh": "x, y, width, height", "xyxy": "left, top, right, bottom"}
)
_LISTS: Mapping[str, tuple[Callable[[Any], bool], str]] = MappingProxyType(
    {"scores": (_is_number, "numbers from 0 to 1"), "labels": (_is_name, "names")}
)
