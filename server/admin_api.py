"""`/v1/admin`: what may be set while the server runs"""

from __future__ import annotations

import logging
from typing import Literal, get_args

from fastapi import APIRouter, Request

from ..errors import OptionError
from ..wire.format import parse_object
from .bodies import read_body
from .documents import problems
from .logs import LOGGERS, logger
from .schemas import LogLevelAnswer

Level = Literal["debug", "info", "warning", "error"]
MOST_BYTES = 1024
BODY = {
    "requestBody": {
        "description": "What is logged from now on.",
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["level"],
                    "additionalProperties": False,
                    "properties": {"level": {"type": "string", "enum": list(get_args(Level))}},
                    "example": {"level": "debug"},
                }
            }
        },
    }
}


def admin_api(body_s: float) -> APIRouter:
    """The routes. Where there are keys, they need one with the scope ``admin``."""
    api = APIRouter(prefix="/v1/admin", tags=["admin"])

    @api.get("/log-level", responses=problems())
    async def read_level() -> LogLevelAnswer:
        """What is logged."""
        return LogLevelAnswer(level=logging.getLevelName(logger().getEffectiveLevel()).lower())

    @api.put("/log-level", responses=problems(400, 408, 413, 422), openapi_extra=BODY)
    async def set_level(request: Request) -> LogLevelAnswer:
        """Log more or less until the server ends or this is called again; debug: a line for each request."""
        given = parse_object(await read_body(request, MOST_BYTES, body_s), MOST_BYTES)
        level = str(given.get("level"))
        if set(given) != {"level"} or level not in get_args(Level):
            raise OptionError("the body names no level", f"send one of {', '.join(get_args(Level))}")
        for name in LOGGERS:
            logging.getLogger(name).setLevel(level.upper())
        logger().warning("log level set", extra={"to": level})
        return LogLevelAnswer(level=level)

    return api
