"""What the front asks of all servers: lists of sessions and videos, metrics, and whose a video is"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.process_collector import ProcessCollector
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from ..errors import UnavailableError
from ..server.metrics import CONTENT_TYPE
from .view import MemberInfo, View

if TYPE_CHECKING:
    import httpx2

Headers = list[tuple[bytes, bytes]]
LISTS = {"/v1/sessions": "sessions", "/v1/videos": "videos"}
METRICS = "/metrics"
VIDEO_PATH = re.compile(r"/v1/videos/([0-9a-f]{32})(?:/.*)?")
ASK_S = 5.0


def is_list(request: Request) -> bool:
    """Whether the answer is made of those of all servers."""
    return request.method == "GET" and request.scope["path"] in (*LISTS, METRICS)


async def merged(http: httpx2.AsyncClient, view: View, request: Request, headers: Headers) -> Response:
    """The answers of all servers as one; an error of any of them is the answer."""
    path = request.scope["path"]
    members = [one for one in view.members if not one.leaving] or view.members
    answers = await ask_all(http, members, path, headers)
    if not answers:
        raise UnavailableError("no server of the cluster answers", "try again in a moment")
    for _, answer in answers:
        if answer.status_code != 200:
            return JSONResponse(answer.json(), answer.status_code, media_type=answer.headers["content-type"])
    if path == METRICS:
        text = "".join(labelled(answer.text, member.name) for member, answer in answers) + own_metrics()
        return PlainTextResponse(text, media_type=CONTENT_TYPE)
    tables = [answer.json() for _, answer in answers]
    name = LISTS[path]
    whole: dict[str, Any] = {name: [one for table in tables for one in table[name]]}
    for total in ("slots_used", "slots_total"):
        if total in tables[0]:
            whole[total] = sum(table[total] for table in tables)
    return JSONResponse(whole)


async def whose_video(
    http: httpx2.AsyncClient, view: View, request: Request, headers: Headers
) -> MemberInfo | None:
    """The server that has a video; None when the request is not about one, or nobody has it."""
    found = VIDEO_PATH.fullmatch(request.scope["path"])
    if found is None or len(view.members) < 2:
        return None
    for member, answer in await ask_all(http, view.members, f"/v1/videos/{found[1]}", headers):
        if answer.status_code == 200:
            return member
    return None


async def ask_all(
    http: httpx2.AsyncClient, members: Sequence[MemberInfo], path: str, headers: Headers
) -> list[tuple[MemberInfo, httpx2.Response]]:
    """What the servers answer to a GET; those that do not answer are left out."""
    import httpx2

    async def ask(member: MemberInfo) -> httpx2.Response | None:
        try:
            return await http.get(f"http://{member.address}{path}", headers=headers, timeout=ASK_S)
        except httpx2.HTTPError:
            return None

    answers = await asyncio.gather(*(ask(member) for member in members))
    return [(one, answer) for one, answer in zip(members, answers, strict=True) if answer is not None]


def own_metrics() -> str:
    """The front's process, as Prometheus reads it."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return labelled(generate_latest(registry).decode(), "front")


def labelled(text: str, replica: str) -> str:
    """Prometheus' text with the server's name in every sample."""
    lines = []
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(
                f'{name}="{escaped(value)}"' for name, value in {**sample.labels, "replica": replica}.items()
            )
            lines.append(f"{sample.name}{{{labels}}} {sample.value}\n")
    return "".join(lines)


def escaped(text: str) -> str:
    """A label's value as the text form has it."""
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
