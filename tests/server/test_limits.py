"""Peers who send too much, too slowly, or no request at all: a typed answer, and others are served."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import struct
import time
import zlib
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from framestate import wire
from framestate.vision import Box

Film = tuple[list[bytes], Box]
Open = Callable[..., str]
UPGRADE = (
    b"host: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes that decodes to as many pixels as its header says."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)  # one bit a pixel
    rows = zlib.compress(bytes((width + 7) // 8 + 1) * min(height, 20000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def raw(port: int, data: bytes, until: bytes | None = None) -> bytes:
    """What a server says to these bytes until it closes, or until it has said something."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        link.sendall(data)
        heard = b""
        while part := link.recv(65536):
            heard += part
            if until is not None and until in heard:
                break
        return heard


@pytest.mark.alone
def test_a_decompression_bomb_is_not_opened(shared: Any, open_session: Open) -> None:
    key = open_session(shared)
    data = bomb(30000, 20000)
    assert len(data) < 100_000
    before = rss()
    began = time.monotonic()
    for path in (f"/v1/sessions/{key}/frames", "/v1/sessions?box=1,2,30,40"):
        answer = shared.call("POST", path, data)
        assert (answer.status, answer.json["code"]) == (422, "ImageError")
        assert "30000 x 20000" in answer.json["problem"]
    with shared.stream(key) as talk:
        talk.hello()
        talk.say(wire.Picture("frame", 1, 1, Fraction(1, 25), "png", data))
        assert talk.hear().code == "ImageError"
    assert time.monotonic() - began < 5
    assert rss() - before < 50e6
    shared.call("DELETE", f"/v1/sessions/{key}")


def rss() -> int:
    """Bytes of this process in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def test_too_many_bytes_are_refused_before_they_are_read(serve: Any, film: Film, open_session: Open) -> None:
    running = serve(max_frame_bytes=50_000, max_upload_bytes=60_000)
    key = open_session(running)
    for path, size in ((f"/v1/sessions/{key}/frames", 50_001), ("/v1/videos?box=1,1,9,9", 60_001)):
        request = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {size}\r\n\r\n".encode()
        answer = raw(running.port, request)  # not one byte of the body was sent
        assert b" 413 " in answer
        assert b'"TooLargeError"' in answer
        chunked = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        answer = raw(running.port, chunked + b"fffff\r\n" + bytes(0xFFFFF))
        assert b" 413 " in answer
    with running.stream(key) as talk:
        talk.hello()
        talk.socket.send(bytes(60_000))
        assert talk.rest() == []
        assert talk.socket.close_code == 1009
    assert running.call("POST", f"/v1/sessions/{key}/frames", film[0][1]).status == 200


@pytest.mark.alone
def test_a_slow_sender_is_not_waited_for(serve: Any, film: Film, open_session: Open) -> None:
    running = serve(header_s=0.5, body_s=0.8)
    key = open_session(running)
    body = " HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99\r\n\r\nx"
    for data, status, code in (
        (b"", 408, b"TooSlowError"),  # says nothing
        (b"GET /healthz HTTP/1.1\r\nhost: loc", 408, b"TooSlowError"),  # half a header
        (f"POST /v1/sessions/{key}/frames{body}".encode(), 408, b"TooSlowError"),
        (f"POST /v1/videos?box=1,1,9,9{body}".encode(), 408, b"TooSlowError"),
    ):
        began = time.monotonic()
        answer = raw(running.port, data)
        assert f" {status} ".encode() in answer
        assert code in answer
        assert time.monotonic() - began < 5
        assert answer.endswith(b"}")
    assert running.call("POST", f"/v1/sessions/{key}/frames", film[0][1]).status == 200


@pytest.mark.alone
def test_a_slow_second_request_is_not_waited_for(serve: Any) -> None:
    running = serve(header_s=0.5)
    began = time.monotonic()
    whole = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"
    answer = raw(running.port, whole + whole[:-12])
    assert answer.count(b"HTTP/1.1 ") == 2
    assert b" 200 " in answer
    assert b" 408 " in answer
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * 100_000 + b"\r\n\r\n", 431, "TooLargeError"),
        (b"GET /" + b"y" * 100_000 + b" HTTP/1.1\r\n\r\n", 431, "TooLargeError"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n", 400, "RequestError"),
        (b"GET / HTTP/1.1\r\n no: name\r\n\r\n", 400, "RequestError"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "RequestError"),  # no host
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), 400, "RequestError"),  # HTTP/2 at once
        (b"GET / HTTP/3.0\r\nhost: localhost\r\n\r\n", 400, "RequestError"),
        (b"GET /v2 HTTP/1.1\r\n" + UPGRADE + b"content-length: 3\r\n\r\nabc", 400, "RequestError"),
        (b"GET /v2 HTTP/1.1\r\n" + UPGRADE + b"cookie: " + b"y" * 9000 + b"\r\n\r\n", 400, "RequestError"),
        (b"GET /v2 HTTP/1.1\r\n" + UPGRADE + b"x: y\r\n" * 200 + b"\r\n", 400, "RequestError"),
    ],
)
def test_what_is_no_request_is_told_so(shared: Any, data: bytes, status: int, code: str) -> None:
    answer = raw(shared.port, data)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"application/problem+json" in head
    assert (json.loads(body)["code"], json.loads(body)["status"]) == (code, status)


def test_who_says_no_more_is_answered(shared: Any, film: Film) -> None:
    box = ",".join(map(str, film[1].xywh))
    for path, index, status in (
        (f"/v1/sessions?box={box}", 0, b"201"),
        ("/v1/sessions/half/frames", 1, b"200"),
        ("/v1/sessions/none/frames", 1, b"404"),
    ):
        body = film[0][index]
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\nx-session-id: half\r\n"
        head += f"content-length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", shared.port), timeout=10) as link:
            link.sendall(head.encode() + body)
            link.shutdown(socket.SHUT_WR)
            heard = b"".join(iter(lambda link=link: link.recv(65536), b""))  # type: ignore[misc]
        assert heard.startswith(b"HTTP/1.1 " + status)
        assert heard.endswith(b"}")
    shared.call("DELETE", "/v1/sessions/half")


def test_half_a_handshake_holds_nothing(serve: Any) -> None:
    running = serve(header_s=0.5)
    handshake = b"GET /v1/sessions/x/stream HTTP/1.1\r\n" + UPGRADE
    assert b" 408 " in raw(running.port, handshake)
    answer = raw(running.port, handshake + b"\r\n", b"TooSlowError")  # shakes hands, and is silent then
    assert b" 101 " in answer
    assert b"TooSlowError" in answer


def test_there_are_only_so_many_connections(serve: Any, until: Any) -> None:
    running = serve(max_connections=3)
    connections = running.server.server_state.connections
    held = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(3)]
    for link in held:  # a request that may pass, and then half of another one
        link.sendall(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert link.recv(4096).startswith(b"HTTP/1.1 200")
        link.sendall(b"GET")
    full = running.call("GET", "/healthz")
    assert (full.status, full.json["code"]) == (503, "UnavailableError")
    assert int(full.headers["retry-after"]) > 0
    handshake = {"upgrade": "websocket", "connection": "upgrade", "sec_websocket_version": "13"}
    full = running.call("GET", "/v1/sessions/x/stream", sec_websocket_key="A" * 22 + "==", **handshake)
    assert (full.status, full.json["code"]) == (503, "UnavailableError")
    for link in held:
        link.close()
    until(lambda: not connections)
    assert running.call("GET", "/healthz").status == 200


def test_strangers_make_room_the_oldest_first(serve: Any, tmp_path: Any, caplog: Any) -> None:
    keys = tmp_path / "keys"
    keys.write_text("a-good-key-of-some-length\n")
    running = serve(max_connections=4, api_key_file=keys)
    good = {"x-api-key": "a-good-key-of-some-length"}
    kept = http.client.HTTPConnection("127.0.0.1", running.port)
    links = []
    for number in range(30):
        links.append(socket.create_connection(("127.0.0.1", running.port)))
        assert running.call("GET", "/healthz").status == 200  # it, too, comes from a stranger
        if number % 10 == 0:
            kept.request("GET", "/v2", headers=good)
            assert kept.getresponse().read()
    kept.close()
    for link in links[:20]:
        link.settimeout(5)
        with contextlib.suppress(ConnectionResetError):
            assert link.recv(1) == b""
    for link in links:
        link.close()
    told = [record for record in caplog.records if "as many connections" in record.getMessage()]
    assert len(told) == 1


def test_streams_that_have_ended_are_no_strangers(serve: Any, tmp_path: Any, until: Any) -> None:
    keys = tmp_path / "keys"
    keys.write_text("a-good-key-of-some-length\n")
    running = serve(max_connections=4, api_key_file=keys)
    for _ in range(8):
        with running.stream("x") as talk:
            assert talk.hear().code == "AccessError"
    until(lambda: not running.server.server_state.connections)
    links = [socket.create_connection(("127.0.0.1", running.port), timeout=5) for _ in range(8)]
    for link in links[:4]:  # as silent as the later ones, for which they have to go
        with contextlib.suppress(ConnectionResetError):
            assert link.recv(1) == b""
    for link in links:
        link.close()


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        ("POST / HTTP/1.1", "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("POST / HTTP/1.1", "Transfer-Encoding : chunked\r\ncontent-length: 1\r\n\r\n0"),
        ("POST / HTTP/1.0", "transfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("POST / HTTP/1.1", "content-length: 1\r\ncontent-length: 2\r\n\r\nab"),
        ("GET /v2 HTTP/1.1", "x: y\nz: y\r\n\r\n"),
        ("GET /v2 HTTP/1.1", "x: y\n\n"),
        ("GET /v2 HTTP/1.1", "x: y\r\n z\r\n\r\n"),
        ("GET /v2 HTTP/1.1", "x: y\r\n\tz\r\n\r\n"),
    ],
)
def test_what_two_readers_may_understand_differently_is_refused(shared: Any, first: str, rest: str) -> None:
    data = f"{first}\r\nhost: localhost\r\n{rest}".encode()
    for before in (b"", b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n\r\n"):  # alone, and behind a good one
        answer = raw(shared.port, before + data + b"GET /smuggled HTTP/1.1\r\nhost: localhost\r\n\r\n")
        statuses = re.findall(rb"HTTP/1\.1 (\d+) ", answer)
        assert statuses == [*([b"200"] if before else []), b"400"]
        assert answer.count(b'"RequestError"') == 1
