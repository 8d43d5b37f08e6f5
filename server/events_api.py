"""`GET /v1/events`: what happened, for whoever asks instead of being told"""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

from fastapi import APIRouter, Query

from ..wire import MAX_INTEGER
from .documents import problems
from .event_log import EventLog
from .schemas import EventsAnswer


def events_api(log: EventLog) -> APIRouter:
    """The route, over the events."""
    api = APIRouter(tags=["events"])

    @api.get("/v1/events", responses=problems(422))
    async def list_events(
        after: Annotated[
            int, Query(ge=0, le=MAX_INTEGER, description="The `last` of the answer before; 0 for all.")
        ] = 0,
        limit: Annotated[int, Query(ge=1, le=1000, description="Events at most.")] = 100,
    ) -> EventsAnswer:
        """Events in order, the oldest that are kept first."""
        rows = await asyncio.to_thread(log.after, after, limit)
        events = [{**json.loads(body), "number": seq} for seq, body in rows]
        return EventsAnswer(events=events, last=rows[-1][0] if rows else after)

    return api
