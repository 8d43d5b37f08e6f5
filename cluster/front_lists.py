"""What the front asks of all servers: lists of sessions and videos, metrics, and whose a video is"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

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
        texts = {member.name: answer.text for member, answer in answers}
        return Response(of_all({**texts, "front": own_metrics()}), media_type=CONTENT_TYPE)
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
    return generate_latest(registry).decode()


def of_all(texts: Mapping[str, str]) -> bytes:
    """Prometheus' texts of several servers as one, with the server's name in every sample."""
    families: dict[str, Metric] = {}
    for replica, text in texts.items():
        for family in text_string_to_metric_families(text):
            whole = families.setdefault(
                family.name, Metric(family.name, family.documentation, family.type, family.unit)
            )
            whole.samples += [
                one._replace(labels={**one.labels, "replica": replica}) for one in family.samples
            ]
    registry = CollectorRegistry()
    registry.register(Gathered(families.values()))
    return generate_latest(registry)


class Gathered(Collector):
    """Metrics that are there already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def describe(self) -> Iterable[Metric]:
        """Nothing: the names are checked by those who made them."""
        return []

    def collect(self) -> Iterable[Metric]:
        """All of them."""
        return self._families
