"""A server of a cluster as a process of its own, which asks a directory in the process of the test."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import ExitStack
from multiprocessing.managers import BaseManager
from typing import Any

from framestate.cluster.replica import Replica
from framestate.cluster.view import Load, Loads, MemberInfo, View
from framestate.engine import Engine
from framestate.server import Settings


class Manager(BaseManager):
    """The way to the directory."""


Manager.register("directory")


class FarDirectory:
    """A directory link over the manager's pipe."""

    def __init__(self, port: int, secret: str) -> None:
        manager = Manager(("127.0.0.1", port), secret.encode())
        manager.connect()
        self._far: Any = manager.directory()  # type: ignore[attr-defined]

    async def beat(self, member: MemberInfo, load: Load, known: View) -> View:
        return await asyncio.to_thread(self._far.beat, member, load, known)

    async def look(self) -> tuple[View, Loads]:
        return await asyncio.to_thread(self._far.look)

    async def gone(self, name: str) -> View:
        return await asyncio.to_thread(self._far.gone, name)

    async def suspect(self, name: str) -> View:
        return await asyncio.to_thread(self._far.suspect, name)


def main() -> None:
    given = json.loads(sys.argv[1])
    with ExitStack() as stack:
        engines = {
            name: stack.enter_context(
                Engine.load(model, runtime="onnx", device="cpu", threads=1, capacity=16)
            )
            for name, model in given["models"].items()
        }
        replica = Replica(
            Settings(port=0, snapshot_s=given["snapshot_s"]),
            engines,
            FarDirectory(given["port"], given["secret"]),
            token=given["secret"],
            state=given["state"],
            name=given["name"],
        )
        replica.run()


if __name__ == "__main__":
    main()
