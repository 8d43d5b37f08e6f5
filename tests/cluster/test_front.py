"""The front hands on what it is asked, adds nothing to it, and keeps servers' own words to the servers."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from framestate.client import AsyncClient
from framestate.cluster.directory import Directory
from framestate.cluster.front import handed_on
from framestate.cluster.front_server import FrontServer
from framestate.cluster.local_directory import DirectoryThread
from framestate.cluster.ray_options import ClusterOptions
from framestate.cluster.replica import ServerThread
from framestate.errors import AccessError, CapacityError, SessionBusyError, UnavailableError
from framestate.server import Settings
from framestate.vision import Box

from .conftest import Cluster, Make

Film = tuple[list[bytes], Box]


def ask(
    port: int, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def opened(servers: Cluster, film: Film, **headers: str) -> tuple[int, Any]:
    box = film[1]
    status, _, body = ask(
        servers.port, "POST", f"/v1/sessions?box={box.x},{box.y},{box.w},{box.h}", film[0][0], **headers
    )
    return status, json.loads(body)


def test_a_session_can_be_used_by_rest_from_its_start_to_its_end(cluster: Make, film: Film) -> None:
    servers = cluster("a", "b")
    found = [opened(servers, film)[1]["session"] for _ in range(4)] + [
        opened(servers, film, x_session_id="me")[1]["session"]
    ]
    assert found[-1] == "me"
    assert all(len(servers.at(key)) == 1 for key in found)
    status, _, body = ask(servers.port, "GET", "/v1/sessions")
    table = json.loads(body)
    assert status == 200
    assert {one["session"] for one in table["sessions"]} == set(found)
    assert (table["slots_used"], table["slots_total"]) == (5, 32)
    assert opened(servers, film, x_session_id="me")[0] == 409
    status, headers, blob = ask(servers.port, "GET", "/v1/sessions/me/snapshot")
    assert (status, headers["x-session-id"]) == (200, "me")
    assert ask(servers.port, "PUT", "/v1/sessions/copy/snapshot", blob)[0] == 201
    for key in [*found, "copy"]:
        assert ask(servers.port, "DELETE", f"/v1/sessions/{key}")[0] == 204
        assert ask(servers.port, "GET", f"/v1/sessions/{key}")[0] == 404


def test_what_belongs_to_no_session_is_answered_by_any_server(cluster: Make) -> None:
    servers = cluster("a", "b")
    assert ask(servers.port, "GET", "/v2/health/ready")[0] == 200
    status, headers, page = ask(servers.port, "GET", "/")
    assert status == 200
    assert b"<html" in page
    assert "content-security-policy" in headers
    assert ask(servers.port, "GET", "/no/such/path")[0] == 404
    text = ask(servers.port, "GET", "/metrics")[2].decode()
    for name in ("a", "b", "front"):
        assert f'process_cpu_seconds_total{{replica="{name}"}}' in text
    for line in text.splitlines():
        if not line.startswith("#"):
            family = re.split(r"[{ ]", line)[0]
            bare = re.sub("_(bucket|sum|count)$", "", family)
            assert f"# TYPE {family} " in text or f"# TYPE {bare} histogram" in text, line
    if promtool := shutil.which("promtool"):
        done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True)
        assert done.stdout + done.stderr == ""
    cluster_seen = json.loads(ask(servers.port, "GET", "/v1/cluster")[2])
    assert [one["name"] for one in cluster_seen["members"]] == ["a", "b"]


def test_the_front_says_itself_who_asks_and_how() -> None:
    lies = [
        (name, b"lie")
        for name in (b"x-forwarded-for", b"X-Forwarded-Proto", b"x-forwarded-host", b"forwarded")
    ]
    scope = {
        "type": "http",
        "scheme": "https",
        "client": ("203.0.113.9", 1),
        "headers": [*lies, (b"accept", b"a")],
    }
    assert handed_on(scope) == [
        (b"accept", b"a"), (b"x-forwarded-proto", b"https"), (b"x-forwarded-for", b"203.0.113.9"),
    ]  # fmt: skip
    options = ClusterOptions(server={"tls_cert": "cert.pem", "tls_key": "key.pem", "proxies": ["10.0.0.1"]})
    front, behind = options.front_settings(), options.settings()
    assert (str(front.tls_cert), front.proxies) == ("cert.pem", ("10.0.0.1",))
    assert (behind.tls_cert, behind.tls_key) == (None, None)
    assert "0.0.0.0/0" in behind.proxies


def test_servers_words_are_not_the_clients(cluster: Make, film: Film) -> None:
    servers = cluster("a")
    assert opened(servers, film, x_session_id="mine")[0] == 201
    blob = ask(servers.port, "GET", "/v1/sessions/mine/snapshot")[2]
    assert ask(servers.port, "POST", "/cluster/sessions/mine")[0] == 404
    own = servers.replicas["a"].address[1]
    for token in ("", "wrong"):
        assert ask(own, "PUT", "/cluster/sessions/mine", blob, x_framestate_cluster=token)[0] == 404
    assert servers.at("mine") == ["a"]


def test_admission_counts_the_slots_of_all(cluster: Make, film: Film) -> None:
    servers = cluster()
    servers.add("a", capacity=4)
    servers.add("b", capacity=4)

    async def run() -> None:
        async with AsyncClient(servers.url) as client:
            targets = [await client.track(film[0][0], film[1], policy="WAIT") for _ in range(8)]
            assert sorted(len(one.hub.entries()) for one in servers.replicas.values()) == [4, 4]
            await asyncio.sleep(1.2)  # the servers tell how full they are
            with pytest.raises(CapacityError, match="of 8 slots"):
                await client.track(film[0][0], film[1])
            for target in targets:
                await target.close()

    asyncio.run(run())


def test_a_stream_of_a_session_that_is_taken_is_refused_in_words(cluster: Make, film: Film) -> None:
    servers = cluster("a", "b")

    async def run() -> None:
        async with AsyncClient(servers.url, reconnect_s=0) as client:
            target = await client.track(film[0][0], film[1], session_id="one")
            with pytest.raises(SessionBusyError):
                await client.track(film[0][0], film[1], session_id="one")
            await target.close()

    asyncio.run(run())


def test_keys_are_checked_by_the_servers(cluster: Make, film: Film, tmp_path: Any) -> None:
    keys = tmp_path / "keys"
    keys.write_text("0123456789abcdef\n")
    servers = cluster("a", api_key_file=keys)

    async def run() -> None:
        async with AsyncClient(servers.url) as client:
            with pytest.raises(AccessError):
                await client.sessions()
            with pytest.raises(AccessError):
                await client.track(film[0][0], film[1])
        async with AsyncClient(servers.url, api_key="0123456789abcdef") as client:
            async with await client.track(film[0][0], film[1]) as target:
                await target.push(film[0][1])
            assert await client.sessions() == []
        keys.write_text("another-key-of-16\n")
        async with AsyncClient(servers.url, api_key="another-key-of-16") as client, asyncio.timeout(30):
            while True:  # read again without a signal, and without a restart
                with contextlib.suppress(AccessError):
                    assert await client.sessions() == []
                    break
                await asyncio.sleep(0.2)
        async with AsyncClient(servers.url, api_key="0123456789abcdef") as client:
            with pytest.raises(AccessError):
                await client.sessions()

    asyncio.run(run())


@pytest.fixture
def lonely() -> Iterator[str]:
    """The address of a front without servers."""
    with (
        DirectoryThread(Directory()) as directory,
        ServerThread(FrontServer(Settings(port=0), directory)) as thread,
    ):
        yield "http://{}:{}".format(*thread.server.address)  # type: ignore[attr-defined]


def test_a_front_without_servers_says_so(lonely: str, film: Film) -> None:
    async def run() -> None:
        async with AsyncClient(lonely) as client:
            assert not await client.is_ready()
            with pytest.raises(UnavailableError, match="no server"):
                await client.sessions()
            with pytest.raises(UnavailableError, match="no server"):
                await client.track(film[0][0], film[1])

    asyncio.run(run())
