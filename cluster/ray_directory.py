"""`RayDirectory`: the directory as a Ray actor, which Ray starts anew where it ends"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import ray
from ray.exceptions import RayError

from ..errors import UnavailableError
from .directory import Directory
from .view import Load, Loads, MemberInfo, View

NAMESPACE = "framestate"
CALL_S = 5.0
FEW_CPUS = 0.01


class DirectoryActor(Directory):
    """The directory, and the secret of the cluster.

    Args:
        token: kept by Ray, with which an actor that ended is made again.
    """

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    async def token(self) -> str:
        """The secret that servers know one another by."""
        return self._token


class RayDirectory:
    """The way to the directory of a cluster, from any process of it; the actor is made by who comes first.

    Args:
        name: of the cluster: several may share one Ray.
    """

    def __init__(self, name: str) -> None:
        actor: Any = ray.remote(DirectoryActor)
        self._actor = actor.options(
            name=f"directory-{name}",
            namespace=NAMESPACE,
            lifetime="detached",
            num_cpus=FEW_CPUS,
            max_restarts=-1,
            max_concurrency=1000,
            get_if_exists=True,
        ).remote(secrets.token_hex(16))

    def token(self) -> str:
        """The secret of the cluster; waits until the actor runs."""
        found: str = ray.get(self._actor.token.remote())
        return found

    def end(self) -> None:
        """Ends the actor, with the cluster."""
        ray.kill(self._actor)

    async def beat(self, member: MemberInfo, load: Load, known: View) -> View:
        """See ``DirectoryLink``."""
        view: View = await self._call(self._actor.beat.remote(member, load, known))
        return view

    async def look(self) -> tuple[View, Loads]:
        """See ``DirectoryLink``."""
        found: tuple[View, Loads] = await self._call(self._actor.look.remote())
        return found

    async def gone(self, name: str) -> View:
        """See ``DirectoryLink``."""
        view: View = await self._call(self._actor.gone.remote(name))
        return view

    async def suspect(self, name: str) -> View:
        """See ``DirectoryLink``."""
        view: View = await self._call(self._actor.suspect.remote(name))
        return view

    async def _call(self, answer: Any) -> Any:
        try:
            async with asyncio.timeout(CALL_S):
                return await answer
        except (RayError, TimeoutError) as error:
            raise UnavailableError(
                f"the directory does not answer ({type(error).__name__})",
                "Ray starts it again.",
            ) from error
