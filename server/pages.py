"""The web page and its files, and Swagger UI at ``/docs``: nothing in them is fetched from elsewhere."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.exceptions import HTTPException

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".mp4": "video/mp4",
    ".webp": "image/webp",
}


def pages() -> APIRouter:
    """The routes. Only files that lie in ``server/page`` when the server starts can be asked for."""
    api = APIRouter(include_in_schema=False)
    folder = files(__package__) / "page"
    held = {
        item.name: item.read_bytes()
        for item in (folder.iterdir() if folder.is_dir() else ())
        if item.is_file() and suffix(item.name) in TYPES
    }

    def page(name: str) -> Response:
        if name not in held:
            raise HTTPException(404)
        return Response(held[name], media_type=TYPES[suffix(name)], headers={"cache-control": "no-cache"})

    @api.get("/")
    async def index() -> Response:
        return page("index.html")

    @api.get("/static/{name}")
    async def static(name: str) -> Response:
        return page(name)

    @api.get("/docs")
    async def docs() -> Response:
        return page("reference.html")

    return api


def suffix(name: str) -> str:
    """The ending of a file's name, with its dot."""
    return name[name.rfind(".") :] if "." in name else ""
