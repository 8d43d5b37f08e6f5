"""`Peers`: what servers of a cluster ask one another, over HTTP and with the cluster's own token"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from ..client.problems import problem_in
from ..errors import RuntimeUnavailableError, UnavailableError
from .view import MemberInfo

if TYPE_CHECKING:
    import httpx2

PREFIX = "/cluster/sessions/"
TOKEN = "x-framestate-cluster"
MODEL, INDEX, NEW = "x-framestate-model", "x-framestate-index", "x-framestate-new"
"""Headers between servers; what a client sends of that name is not handed on."""
TIMEOUT_S = 15.0


def http_client(timeout_s: float | None, connections: int = 1000) -> httpx2.AsyncClient:
    """Connections to other servers. Raises RuntimeUnavailableError without httpx2."""
    try:
        import httpx2
    except ImportError as error:
        raise RuntimeUnavailableError(
            "a cluster needs httpx2, which is not installed", "Install it: pip install 'framestate[ray]'."
        ) from error
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    timeout = httpx2.Timeout(timeout_s, connect=5.0)
    return httpx2.AsyncClient(timeout=timeout, limits=limits, trust_env=False)


class Peers:
    """The other servers of the cluster.

    Args:
        token: a secret that all of them know.
    """

    def __init__(self, token: str) -> None:
        self._token = token
        self._http = http_client(TIMEOUT_S)

    async def claim(self, peer: MemberInfo, key: str) -> bool:
        """Has a peer hand over a session; False when it keeps it, as it is the owner.

        Raises:
            FramestateError: why it could not be handed over; UnavailableError where there is no answer.
        """
        answer = await self._send("POST", f"http://{peer.address}{PREFIX}{key}", {}, b"")
        if answer.status_code == HTTPStatus.CONFLICT:
            return False
        if answer.status_code >= HTTPStatus.BAD_REQUEST:
            raise problem_in(answer.status_code, answer.content)
        return True

    async def put(self, peer: MemberInfo, key: str, model: str, index: int, blob: bytes) -> None:
        """Hands a session over that has come as far as ``index``. Raises what the peer answers otherwise."""
        headers = {MODEL: model, INDEX: str(index)}
        answer = await self._send("PUT", f"http://{peer.address}{PREFIX}{key}", headers, blob)
        if answer.status_code >= HTTPStatus.BAD_REQUEST:
            raise problem_in(answer.status_code, answer.content)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def _send(self, method: str, url: str, headers: dict[str, str], body: bytes) -> httpx2.Response:
        import httpx2

        try:
            return await self._http.request(
                method, url, headers={**headers, TOKEN: self._token}, content=body
            )
        except (httpx2.HTTPError, RuntimeError) as error:
            why = str(error) or type(error).__name__
            raise UnavailableError(f"there is no answer from {url} ({why})", "It may have ended.") from error
