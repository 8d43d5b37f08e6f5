"""The routes of a server: what may be read answers HEAD too, and a wrong method is told which are right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.types import Scope


class Routes:
    """Adds routers to an application.

    Args:
        routers: in the order in which they are asked.
    """

    def __init__(self, app: FastAPI, routers: Sequence[APIRouter]) -> None:
        self._routers = routers
        for route in self:
            if route.methods is not None and "GET" in route.methods:
                route.methods.add("HEAD")
        for router in routers:
            app.include_router(router)

    def __iter__(self) -> Iterator[APIRoute]:
        for router in self._routers:
            yield from (route for route in router.routes if isinstance(route, APIRoute))

    def allowed(self, scope: Scope) -> str:
        """Every method that a path has, as ``Allow`` names them."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        found = {method for route in self if route.path_regex.match(path) for method in route.methods or ()}
        return ", ".join(sorted(found))
