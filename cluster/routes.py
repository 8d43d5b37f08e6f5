"""`Routes`: the front's knowledge of the cluster: who owns a session, kept fresh by asking the directory"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time

from ..errors import UnavailableError
from .admission import Admission
from .view import DirectoryLink, MemberInfo, View

LOOK_S = 0.5
PATIENCE_S = 15.0
"""For how long a session without an owner is waited for: the time in which a cluster heals."""


class Routes:
    """The view as the front has it.

    Args:
        directory: where the view comes from.
        look_s: seconds between two looks.
    """

    def __init__(self, directory: DirectoryLink, *, look_s: float = LOOK_S) -> None:
        self.view = View()
        self.admission = Admission()
        self._directory = directory
        self._look_s = look_s
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Looks for the first time, and from then on."""
        with contextlib.suppress(UnavailableError):
            await self.refresh()
        self._looking = asyncio.create_task(self._look(), name="look")

    def stop(self) -> None:
        """Looks no more."""
        if self._looking is not None:
            self._looking.cancel()

    async def refresh(self) -> None:
        """Looks now. Raises UnavailableError."""
        view, loads = await self._directory.look()
        self._learn(view)
        self.admission.learn(loads)

    async def known(self) -> View:
        """The view; looks now where it has nobody. Raises UnavailableError."""
        if not self.view.names:
            await self.refresh()
        return self.view

    def any(self) -> MemberInfo:
        """A server for what any of them can answer. Raises UnavailableError where there is none."""
        if not self.view.names:
            raise UnavailableError("there is no server in the cluster yet", "try again in a moment")
        name = random.choice(self.view.names)
        found = self.view.find(name)
        assert found is not None
        return found

    async def suspect(self, member: MemberInfo) -> None:
        """It could not be connected to: whoever owns its sessions is known after this, or soon."""
        with contextlib.suppress(UnavailableError):
            self._learn(await self._directory.suspect(member.name))

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._look_s)
            with contextlib.suppress(UnavailableError):  # what is known is still the best there is
                await self.refresh()

    def _learn(self, view: View) -> None:
        if view.version > self.view.version:
            self.view = view


class Attempts:
    """Tries of one request, until it reaches the owner: ``async for owner in Attempts(routes, key)``.

    Whoever is asked and is not the owner makes the next try look at the directory first.

    Raises:
        UnavailableError: nobody took it for ``PATIENCE_S`` seconds.
    """

    def __init__(self, routes: Routes, key: str) -> None:
        self._routes = routes
        self._key = key
        self._until = time.monotonic() + PATIENCE_S
        self._pause = 0.0

    def __aiter__(self) -> Attempts:
        return self

    async def __anext__(self) -> MemberInfo:
        while True:
            if self._pause:
                await asyncio.sleep(self._pause)
                with contextlib.suppress(UnavailableError):
                    await self._routes.refresh()
            self._pause = min(0.5, 2 * self._pause or 0.01)
            owner = self._routes.view.owner(self._key)
            if owner is not None:
                return owner
            if time.monotonic() > self._until:
                raise UnavailableError("no server takes this session", "try again in a moment")

    def give_up(self) -> None:
        """Raises UnavailableError when it has been tried for long enough."""
        if time.monotonic() > self._until:
            raise UnavailableError("the session's server does not answer", "try again in a moment")
