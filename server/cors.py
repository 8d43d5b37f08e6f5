"""What browsers are told of calls from allowed web pages elsewhere (CORS)"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from ..errors import ForbiddenError
from .problems import problem_of
from .settings import Settings

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
SENT = ("authorization", "x-api-key", "x-session-id", "x-request-id", "inference-header-content-length")
SHOWN = (
    "age", "inference-header-content-length", "location", "retry-after", "x-frame-index", "x-request-id",
    "x-session-id",
)  # fmt: skip
MAX_AGE_S = 600


class Cors(CORSMiddleware):
    """Answers preflights, before any key is asked for, and lets pages of ``allow_origins`` see answers."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        super().__init__(
            app, allowed_origins(settings), METHODS, SENT, expose_headers=SHOWN, max_age=MAX_AGE_S
        )

    def is_allowed_origin(self, origin: str) -> bool:
        """Whether pages of this origin may use the API."""
        return origin.rstrip("/").lower() in self.allow_origins

    def preflight_response(self, request_headers: Headers) -> Response:
        """What may be sent; a problem where the page, the method or a header is not allowed."""
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:
            answer.status_code, answer.body = 204, b""
            del answer.headers["content-length"], answer.headers["content-type"]
            return answer
        origin = request_headers["origin"][:100]
        reason = bytes(answer.body).decode().removeprefix("Disallowed CORS ")
        refused = problem_of(
            ForbiddenError(
                f"pages of {origin!r} may not send this (not allowed: {reason})",
                f"allow the origin when starting the server; methods: {', '.join(METHODS)}",
            )
        )
        refused.headers["vary"] = answer.headers["vary"]
        return refused


def allowed_origins(settings: Settings) -> frozenset[str]:
    """Origins as they are compared: in small letters, without a slash at the end."""
    return frozenset(origin.rstrip("/").lower() for origin in settings.allow_origins)
