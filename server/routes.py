"""The routes of a server: what may be read answers HEAD too, a wrong method is told which are right, and what
changes something takes no parameter that it does not know: a misspelt one would be left out in silence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fastapi import APIRouter, Depends, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.requests import HTTPConnection
from starlette.types import Scope

from ..errors import OptionError

READS = ("GET", "HEAD")
"""Of these a parameter too much does no harm, and pages add one to go past a cache."""


async def known_query(connection: HTTPConnection) -> None:
    """Raises OptionError where a request that changes something has a query parameter of no name."""
    route = connection.scope.get("route")
    if not isinstance(route, APIRoute) or connection.scope["method"] in READS:
        return
    known = list(parameters(route.dependant))
    unknown = [name for name in connection.query_params if name not in known]
    if unknown:
        right = f"known are {', '.join(known)}" if known else "send none here"
        raise OptionError(f"the query parameter {unknown[0][:80]!r} is unknown", right)


def parameters(dependant: Dependant) -> Iterator[str]:
    """The names of the query parameters of a function and of all that it depends on."""
    yield from (one.alias for one in dependant.query_params)
    for other in dependant.dependencies:
        yield from parameters(other)


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
            app.include_router(router, dependencies=[Depends(known_query)])

    def __iter__(self) -> Iterator[APIRoute]:
        for router in self._routers:
            yield from (route for route in router.routes if isinstance(route, APIRoute))

    def allowed(self, scope: Scope) -> str:
        """Every method that a path has, as ``Allow`` names them."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        found = {method for route in self if route.path_regex.match(path) for method in route.methods or ()}
        return ", ".join(sorted(found))
