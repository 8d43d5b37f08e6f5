"""Pieces of the OpenAPI document that FastAPI does not write by itself: binary bodies, problems."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from .problems import MEDIA_TYPE
from .schemas import Problem

Responses = dict[int | str, dict[str, Any]]


def problems(*statuses: int) -> Responses:
    """The errors that a call answers with; those of access and of too long headers are everywhere."""
    table: Responses = {}
    for status in sorted({401, 403, 431, *statuses}):
        content = {"schema": {"$ref": "#/components/schemas/Problem"}}
        table[status] = {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: content}}
        if status in (429, 503):
            seconds = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
            table[status]["headers"] = {"Retry-After": seconds}
    return table


def described(status: int, what: str, *media_types: str, model: type[BaseModel] | None = None) -> Responses:
    """A good answer that is not the call's usual one."""
    if model is not None:
        return {status: {"description": what, "model": model}}
    content = {media_type: {"schema": dict(BINARY)} for media_type in media_types}
    return {status: {"description": what, "content": content}}


def binary_body(
    what: str, *media_types: str, required: bool = True, schemas: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """A body of bytes, or of a media type with one of the ``schemas``, for ``openapi_extra``."""
    some = {**BINARY, "minLength": 1} if required else dict(BINARY)
    content = {media_type: {"schema": schemas.get(media_type, some)} for media_type in media_types}
    return {"requestBody": {"description": what, "required": required, "content": content}}


BINARY: Mapping[str, Any] = MappingProxyType({"type": "string", "format": "binary"})


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Adds what no route brings along: the schema of problems, and how keys are sent."""
    components = document.setdefault("components", {})
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    components.setdefault("schemas", {})["Problem"] = schema
    components["schemas"].pop("HTTPValidationError", None)
    components["schemas"].pop("ValidationError", None)
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{}, {"key": []}]
    for path in document.get("paths", {}).values():
        path.pop("head", None)  # as GET, without the body
        for call in path.values():
            call.get("responses", {}).pop("422", None) if _is_fastapis(call) else None
    return document


def _is_fastapis(call: dict[str, Any]) -> bool:
    """Whether a call's 422 is the one that FastAPI puts in by itself, in another form than problems."""
    content = call.get("responses", {}).get("422", {}).get("content", {})
    return bool(content) and MEDIA_TYPE not in content
