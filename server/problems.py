"""What each typed error is on the network: one table of HTTP statuses and close codes, and RFC 9457 bodies"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fastapi.responses import JSONResponse

from ..errors import (
    AccessError,
    BoxError,
    BundleError,
    CapacityError,
    ExportError,
    ForbiddenError,
    FrameDroppedError,
    FramestateError,
    InputError,
    OptionError,
    ParityError,
    RequestError,
    RunError,
    RuntimeUnavailableError,
    SessionBusyError,
    SessionError,
    StepError,
    StorageError,
    TooLargeError,
    TooManyError,
    TooSlowError,
    TrainingError,
    UnavailableError,
    UnknownItemError,
    UnknownModelError,
    UnknownRuntimeError,
    UnknownSessionError,
    WireError,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2
"""What a peer is told to wait where it may succeed later."""

STATUS: Mapping[type[FramestateError], int] = MappingProxyType(
    {
        FramestateError: 500,
        InputError: 422,  # frames, boxes, images, videos, data, states: what was sent cannot be used
        BoxError: 422,
        OptionError: 422,
        BundleError: 500,  # the operator's, not the caller's
        UnknownModelError: 404,
        UnknownRuntimeError: 500,
        RuntimeUnavailableError: 500,
        SessionError: 409,
        UnknownSessionError: 404,
        SessionBusyError: 409,
        WireError: 400,
        RequestError: 400,
        UnknownItemError: 404,
        AccessError: 401,
        ForbiddenError: 403,
        TooLargeError: 413,
        TooManyError: 429,
        TooSlowError: 408,
        RunError: 500,
        CapacityError: 503,
        UnavailableError: 503,
        StorageError: 507,
        FrameDroppedError: 429,
        StepError: 500,
        ExportError: 500,
        ParityError: 500,
        TrainingError: 500,
    }
)
"""HTTP status by class; a class that is not named here has that of its nearest parent."""


def status_of(error: FramestateError | type[FramestateError]) -> int:
    """The HTTP status of an error."""
    kind = error if isinstance(error, type) else type(error)
    return next(STATUS[parent] for parent in kind.__mro__ if parent in STATUS)


def close_code_of(error: FramestateError | type[FramestateError]) -> int:
    """The code that a WebSocket is closed with: 4000 more than the HTTP status."""
    return 4000 + status_of(error)


def title_of(kind: type[BaseException]) -> str:
    """What an error class says of itself, in one line."""
    return (kind.__doc__ or kind.__name__).splitlines()[0].rstrip(".")


def problem(
    status: int, title: str, detail: str, *, code: str, headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """A problem details response (RFC 9457). ``code`` names the kind of problem, and gives its type URI."""
    content = {
        "type": f"urn:framestate:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "error": detail,  # where clients of KServe look for it
        "code": code,
        **more,
    }
    return JSONResponse(content, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def problem_of(error: FramestateError) -> JSONResponse:
    """A typed error as a response, with Retry-After where waiting helps."""
    status = status_of(error)
    headers = {}
    if status in (429, 503):
        headers["retry-after"] = str(RETRY_AFTER_S)
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if status in (408, 413):
        headers["connection"] = "close"  # the rest of the body will not be read
    return problem(
        status,
        title_of(type(error)),
        str(error),
        code=type(error).__name__,
        headers=headers,
        problem=error.problem,
        remedy=error.remedy,
    )
