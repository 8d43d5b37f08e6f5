"""`POST /v1/sources/{name}/detections`: what somebody's detector found in a frame of a live source"""

from __future__ import annotations

import asyncio
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
                        "labels": {"type": "array", "maxItems": MOST, "items": {"type": "string"}},
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
    if not {"xywh", "xyxy"} & given.keys():
        raise OptionError("there are no boxes", "give xywh or xyxy: an empty list, where nothing was found")
    return Detections.of(given), index
