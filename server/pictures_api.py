"""`/v1/sources/{name}/mjpeg`, `/whip` and `/whep`: pictures of sources in and out"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from ..errors import WireError
from .bodies import read_body
from .documents import binary_body, described, problems
from .hub import Hub
from .mjpeg import MotionJpeg
from .pictures import Decoder
from .source_names import SourceName
from .sources import Sources
from .web_rtc import Peers

SDP = "application/sdp"
MOST_BYTES = 64 * 1024
Key = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="The connection's id.")]


def pictures_api(hub: Hub, sources: Sources, peers: Peers, decoder: Decoder) -> APIRouter:
    """The routes, over the sources."""
    api = APIRouter(tags=["sources"])
    settings = hub.settings

    async def offer_in(request: Request) -> str:
        hub.check_running()
        body = await read_body(request, MOST_BYTES, settings.body_s)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != SDP:
            raise WireError(f"the body is {kind[:60] or 'of no type'}", f"send an offer as {SDP}")
        try:
            return body.decode()
        except UnicodeDecodeError:
            raise WireError("the offer is no text", "send UTF-8") from None

    def answer(kind: str, name: str, key: str, sdp: str) -> Response:
        return Response(
            sdp, 201, {"location": f"{settings.root_path.rstrip('/')}/v1/sources/{name}/{kind}/{key}"}, SDP
        )

    @api.get(
        "/v1/sources/{name}/mjpeg",
        response_class=Response,
        responses=described(200, "Pictures, one after another.", "multipart/x-mixed-replace")
        | problems(404, 422, 503),
    )
    async def motion_jpeg(
        name: SourceName,
        quality: Annotated[int, Query(ge=1, le=100, description="Of the JPEGs.")] = 80,
        fps: Annotated[float, Query(gt=0, le=120, description="Pictures a second, at most.")] = 30.0,
    ) -> Response:
        """The source with its target drawn in, as motion JPEG; a slow reader misses pictures."""
        hub.check_running()
        source = sources.get(name)
        return MotionJpeg(
            source.screen,
            decoder,
            hub.drain.started,
            seconds=settings.send_s,
            quality=quality,
            per_second=fps,
        )

    @api.post(
        "/v1/sources/{name}/whep",
        status_code=201,
        response_class=Response,
        responses=described(201, "The answer.", SDP) | problems(400, 404, 408, 413, 422, 503),
        openapi_extra=binary_body("An SDP offer that wants one video.", SDP),
    )
    async def show(name: SourceName, request: Request) -> Response:
        """The source with its target drawn in, by WebRTC (WHEP)."""
        source = sources.get(name)
        return answer("whep", name, *await peers.shown(source, await offer_in(request)))

    @api.post(
        "/v1/sources/{name}/whip",
        status_code=201,
        response_class=Response,
        responses=described(201, "The answer.", SDP) | problems(400, 404, 408, 409, 413, 422, 503),
        openapi_extra=binary_body("An SDP offer that brings one video.", SDP),
    )
    async def take(name: SourceName, request: Request) -> Response:
        """Publish to a source of the address ``whip:``, by WebRTC (WHIP)."""
        source = sources.get(name)
        return answer("whip", name, *await peers.taken(source, await offer_in(request)))

    @api.delete(
        "/v1/sources/{name}/whep/{key}",
        status_code=204,
        responses=problems(404, 422),
        response_class=Response,
    )
    async def end_show(name: SourceName, key: Key) -> Response:
        """End a connection that shows a source."""
        await peers.close(key)
        return Response(status_code=204)

    @api.delete(
        "/v1/sources/{name}/whip/{key}",
        status_code=204,
        responses=problems(404, 422),
        response_class=Response,
    )
    async def end_take(name: SourceName, key: Key) -> Response:
        """End a connection that publishes to a source."""
        await peers.close(key)
        return Response(status_code=204)

    return api
