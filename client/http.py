"""Requests to a server over HTTP, with its problem details as typed errors"""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, Mapping
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import RuntimeUnavailableError, UnavailableError, WireError
from .address import Address
from .problems import problem_in

if TYPE_CHECKING:
    import httpx2

Record = TypeVar("Record")


class Http:
    """A pool of connections to one server."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        try:
            import httpx2
        except ImportError as error:
            raise RuntimeUnavailableError(
                "the client needs httpx2, which is not installed",
                "Install it: pip install 'framestate[client]'.",
            ) from error
        self.errors = httpx2.HTTPError
        self.client = httpx2.AsyncClient(
            base_url=address.base, headers=address.headers, timeout=httpx2.Timeout(timeout_s)
        )

    async def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: bytes | AsyncIterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """The answer, read to its end. Parameters that are None are left out.

        Raises:
            UnavailableError: there is no server, or it did not answer in time.
            FramestateError: what the server answered instead.
        """
        given = {name: value for name, value in (params or {}).items() if value is not None}
        try:
            answer = await self.client.request(method, path, params=given, content=body, headers=headers)
        except self.errors as error:
            raise self.away(error) from error
        if answer.status_code >= 400:
            raise problem_in(answer.status_code, answer.content)
        return answer

    def away(self, error: Exception) -> UnavailableError:
        """What a broken connection is to the caller."""
        why = str(error) or type(error).__name__
        return UnavailableError(
            f"there is no answer from {self.client.base_url} ({why})", "Check its address, and that it runs."
        )

    async def close(self) -> None:
        """Closes all connections."""
        await self.client.aclose()


def json_of(answer: httpx2.Response) -> dict[str, Any]:
    """The JSON object of an answer. Raises WireError when it is none."""
    try:
        table = json.loads(answer.content)
    except (ValueError, RecursionError):
        table = None
    if not isinstance(table, dict):
        raise WireError(
            f"the server answered {answer.content[:60]!r}", "Check the address: that is no JSON object."
        )
    return table


def record(kind: type[Record], table: Mapping[str, Any]) -> Record:
    """A frozen dataclass from JSON; what a newer server adds is passed over. Raises WireError."""
    known = fields(kind)  # type: ignore[arg-type]
    missing = [one.name for one in known if one.name not in table and one.default is MISSING]
    if missing:
        raise WireError(
            f"the server's {kind.__name__} lacks {missing[0]!r}", "Use a server of the same version."
        )
    return kind(**{one.name: table[one.name] for one in known if one.name in table})
