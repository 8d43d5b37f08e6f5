"""`POST` and `DELETE /v1/sources`: live sources that come and go while the server runs"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from ..errors import OptionError
from ..wire.format import parse_object
from .bodies import read_body
from .documents import problems
from .hub import Hub
from .schemas import SourceAnswer
from .source_names import SourceName
from .sources import Sources
from .sources_api import answer

MOST_BYTES = 8192
BODY = {
    "requestBody": {
        "description": "Its name and its address, which has to lie in a place that --allow-source names.",
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["name", "address"],
                    "additionalProperties": False,
                    "properties": {
                        "name": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
                        "address": {"type": "string", "minLength": 1, "maxLength": 2048},
                    },
                    "example": {"name": "yard", "address": "rtsp://user:password@camera/stream"},
                }
            }
        },
    }
}


def sources_admin_api(hub: Hub, sources: Sources) -> APIRouter:
    """The routes, over the sources."""
    api = APIRouter(tags=["sources"])

    @api.post(
        "/v1/sources",
        status_code=201,
        responses=problems(400, 408, 409, 413, 422, 503),
        openapi_extra=BODY,
    )
    async def add_source(request: Request) -> SourceAnswer:
        """Read an address from now on, also after a restart where there is a state folder."""
        given = parse_object(await read_body(request, MOST_BYTES, hub.settings.body_s), MOST_BYTES)
        hub.check_running()
        texts = {name: value for name, value in given.items() if isinstance(value, str)}
        if set(given) != {"name", "address"} or len(texts) != 2:
            raise OptionError("the body is no object of a name and an address", "send both, as texts")
        return answer(sources.add(texts["name"], texts["address"]))

    @api.delete(
        "/v1/sources/{name}", status_code=204, responses=problems(404, 422, 503), response_class=Response
    )
    async def remove_source(name: SourceName) -> Response:
        """Read a source no more, and end its session. One of the command line is back after a restart."""
        hub.check_running()
        await sources.remove(name)
        return Response(status_code=204)

    return api
