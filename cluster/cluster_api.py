"""`/v1/cluster`: what a server of a cluster knows of the others, and what has moved"""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from ..server.documents import problems
from .member import Member


class MemberAnswer(BaseModel):
    """One server."""

    name: str
    address: str
    leaving: bool


class MovesAnswer(BaseModel):
    """Sessions that came and went at the server that answers."""

    sent: int
    received: int
    recovered: int
    mean_ms: float
    longest_ms: float


class ClusterAnswer(BaseModel):
    """The cluster as one of its servers sees it."""

    name: str
    version: int
    members: list[MemberAnswer]
    sessions: int
    slots_used: int
    slots_total: int
    moves: MovesAnswer


def cluster_api(member: Member) -> APIRouter:
    """The route, over a member."""
    api = APIRouter(tags=["server"])

    @api.get("/v1/cluster", responses=problems())
    async def cluster() -> ClusterAnswer:
        """The servers of the cluster, and what has moved at the one that answers."""
        moves, load = member.moves, member.load
        return ClusterAnswer(
            name=member.info.name,
            version=member.view.version,
            members=[MemberAnswer(**vars(one)) for one in member.view.members],
            sessions=len(member.hub.entries()),
            slots_used=load.used,
            slots_total=load.total,
            moves=MovesAnswer(
                sent=moves.sent,
                received=moves.received,
                recovered=moves.recovered,
                mean_ms=1e3 * moves.seconds / max(1, moves.sent),
                longest_ms=1e3 * moves.longest_s,
            ),
        )

    return api
