"""Keys with names, scopes and limits; wrong ones; files that are read again while the server runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from framestate.errors import OptionError, TooManyError
from framestate.server import Settings
from framestate.server.callers import Callers, address_of
from framestate.server.keys import ApiKeys, Key, read_keys
from framestate.server.logs import log_to_stderr, logger
from framestate.server.scopes import needed_scope
from framestate.server.source_files import given_sources
from websockets.exceptions import ConnectionClosed

from ..certificates import write_certificate

READ, STREAM, ADMIN, PLAIN = (f"0123456789abcdef-{name}" for name in ("read", "stream", "admin", "plain"))
LINES = f"""
{READ} name=wall scope=read
{STREAM}   scope=stream name=cam per_second=1000 streams=2
{ADMIN} scope=admin
{PLAIN}
"""


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(LINES)
    return path


def test_a_line_says_what_a_key_may_do(keys: Path) -> None:
    held = ApiKeys.load(keys)
    found = [held.find(one) for one in (READ, STREAM, ADMIN, PLAIN)]
    assert [one and (one.scope, one.per_second, one.streams) for one in found] == [
        ("read", None, None), ("stream", 1000.0, 2), ("admin", None, None), ("admin", None, None),
    ]  # fmt: skip
    assert [one.name for one in found if one][:2] == ["wall", "cam"]
    assert READ not in repr(found)


@pytest.mark.parametrize(
    "words",
    [
        "scope=write", "scope=", "scope", "scope=read scope=read", "role=read", "per_second=0", "name=a/b",
        "per_second=-1", "per_second=nan", "per_second=1e9", "streams=0", "streams=1.5", "read,stream",
        "name=" + 65 * "x",
    ],
)  # fmt: skip
def test_a_word_that_cannot_be_meant_is_an_error(tmp_path: Path, words: str) -> None:
    path = tmp_path / "keys"
    path.write_text(f"{PLAIN}\n{READ} {words}\n")
    with pytest.raises(OptionError, match="key 2 in") as caught:
        read_keys(path)
    assert READ not in str(caught.value)


def test_a_key_that_is_there_twice_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"{PLAIN}\n{PLAIN} scope=read\n")
    with pytest.raises(OptionError, match="twice"):
        read_keys(tmp_path / "keys")


def test_a_scope_holds_those_before_it(serve: Any, keys: Path, film: Any, clip_file: Path) -> None:
    running = serve(api_key_file=keys, sources=(f"door={clip_file}",))
    opening = f"/v1/sessions?box={','.join(map(str, film[1].xywh))}"
    for key, may_read, may_stream in (
        (READ, 200, 403),
        (STREAM, 200, 201),
        (ADMIN, 200, 201),
        (PLAIN, 200, 201),
    ):
        assert running.call("GET", "/v1/sessions", **bearer(key)).status == may_read
        assert running.call("POST", "/v2/repository/index", b"{}", **bearer(key)).status == may_read
        answer = running.call("POST", opening, film[0][0], **bearer(key))
        assert answer.status == may_stream
        if may_stream == 403:
            assert "scope read, and this needs stream" in answer.json["problem"]
    with running.stream("door", "/v1/sources/{}/stream", additional_headers=bearer(READ)) as talk:
        assert talk.hello().session == "source-door"
    with running.stream(additional_headers=bearer(READ)) as talk:
        assert talk.rest()[-1].code == "ForbiddenError"


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        ("GET", "/v1/sources", "read"), ("POST", "/v1/sources", "admin"),
        ("DELETE", "/v1/sources/door", "admin"),
        ("POST", "/v1/sources/door/target", "stream"), ("DELETE", "/v1/sources/door/target", "stream"),
        ("PUT", "/v1/sessions/x/snapshot", "stream"), ("GET", "/v1/sessions/x/snapshot", "read"),
        ("PUT", "/v1/admin/log-level", "admin"), ("GET", "/v1/admin/log-level", "admin"),
        ("POST", "/v1/videos", "stream"), ("PATCH", "/anything", "stream"), ("GET", "/metrics", "read"),
        ("POST", "/v1/sources/door/whip", "stream"), ("POST", "/v1/sources/door/whep", "read"),
        ("DELETE", "/v1/sources/door/whep/x", "read"), ("DELETE", "/v1/sources/door/whip/x", "stream"),
        ("POST", "/v1/sources/", "stream"), ("POST", "/v2/models/m/infer", "stream"),
        ("GET", "/v1/x\ny", "read"), ("PUT", "/v1/admin/x\ny", "admin"), ("WEBSOCKET", "/v1/\n", "stream"),
    ],
)  # fmt: skip
def test_every_call_needs_a_scope(method: str, path: str, needed: str) -> None:
    assert needed_scope({"type": "http", "method": method, "path": path}) == needed


@pytest.mark.alone
def test_a_key_has_its_own_limits(serve: Any, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"{READ} name=slow per_second=3 streams=1\n{PLAIN}\n")
    running = serve(api_key_file=tmp_path / "keys")
    answers = [running.call("GET", "/v2", **bearer(READ)) for _ in range(12)]
    assert {one.status for one in answers} == {200, 429}
    refused = next(one for one in answers if one.status == 429)
    assert (refused.json["code"], refused.headers["retry-after"]) == ("TooManyError", "2")
    assert "'slow'" in refused.json["problem"]
    assert running.call("GET", "/v2", **bearer(PLAIN)).status == 200  # the other key's are its own


def test_streams_at_once_are_limited_by_key_and_by_address(serve: Any, tmp_path: Path, until: Any) -> None:
    (tmp_path / "keys").write_text(f"{STREAM} streams=1\n{PLAIN}\n")
    running = serve(api_key_file=tmp_path / "keys", address_streams=3)
    with running.stream(additional_headers=bearer(STREAM)) as first:
        first.hello()
        with running.stream(additional_headers=bearer(STREAM)) as second:
            assert second.rest()[-1].code == "TooManyError"
        with (
            running.stream(additional_headers=bearer(PLAIN)) as other,
            running.stream(additional_headers=bearer(PLAIN)) as another,
        ):
            assert other.hello().session
            assert another.hello().session
            with running.stream(additional_headers=bearer(PLAIN)) as fourth:
                assert fourth.rest()[-1].code == "TooManyError"
    until(lambda: not running.hub.entries())

    def again() -> bool:
        with running.stream(additional_headers=bearer(STREAM)) as talk, suppress(ConnectionClosed):
            return hasattr(talk.hello(), "session")
        return False  # refused before hello was sent

    until(again)


@pytest.mark.alone
def test_an_address_has_its_limit_and_health_has_none(serve: Any) -> None:
    running = serve(address_per_second=5)
    assert {running.call("GET", "/v2").status for _ in range(15)} == {200, 429}
    assert {running.call("GET", path).status for path in 6 * ("/v2/health/live", "/healthz")} == {200}


def test_wrong_keys_lock_an_address_out_but_no_key_that_was_good_there(
    serve: Any, keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    running = serve(api_key_file=keys, proxies=("127.0.0.1",), wrong_keys_per_minute=5)
    assert running.call("GET", "/v2", **bearer(PLAIN)).status == 200
    wrong = [running.call("GET", "/v2", **bearer(f"wrong-wrong-wrong-{one}")).status for one in range(8)]
    assert wrong == [401, 401, 401, 401, 401, 401, 429, 429]
    assert running.call("GET", "/v2", **bearer(ADMIN)).status == 429  # a guess learns nothing, were it right
    assert running.call("GET", "/v2", **bearer(PLAIN)).status == 200
    elsewhere = {"x_forwarded_for": "203.0.113.9"}
    assert running.call("GET", "/v2", **bearer(ADMIN), **elsewhere).status == 200
    locked = [one for one in caplog.records if one.getMessage() == "locked out"]
    assert [one.address for one in locked] == ["127.0.0.1"]  # type: ignore[attr-defined]
    refused = [one for one in caplog.records if one.getMessage() == "refused"]
    assert len(refused) == 9  # a line each
    assert not any("wrong-wrong" in one.getMessage() + str(vars(one)) for one in refused)


def test_a_flood_of_refusals_does_not_fill_the_log(
    serve: Any, keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    running = serve(api_key_file=keys)
    for _ in range(60):
        running.call("GET", "/v2")
    assert len([one for one in caplog.records if one.getMessage() == "refused"]) < 50


@pytest.mark.parametrize(
    ("client", "address"),
    [
        (("203.0.113.9", 4), "203.0.113.9"), (("::ffff:203.0.113.9", 4), "203.0.113.9"),
        (("2001:db8:1:2:3:4:5:6", 1), "2001:db8:1:2::/64"), (None, "nobody"), (("a" * 99, 0), "a" * 64),
    ],
)  # fmt: skip
def test_an_address_is_whom_a_limit_is_for(client: Any, address: str) -> None:
    assert address_of(client) == address


def test_a_limit_that_changes_forgets_no_stream_and_names_are_no_limit() -> None:
    callers = Callers(Settings(key_streams=1))
    key = Key(b"1" * 32, "wall", per_second=1.0)
    ended = callers.connects("here", key)
    changed = replace(key, per_second=2.0)
    with pytest.raises(TooManyError):
        callers.connects("here", changed)
    ended()
    callers.connects("here", changed)()
    caller, namesake = callers.asks("here"), replace(key, digest=b"2" * 32, per_second=3.0)
    callers.uses(caller, key)
    callers.uses(caller, namesake)
    with pytest.raises(TooManyError):
        callers.uses(caller, key)


def test_addresses_are_forgotten_but_no_stream_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framestate.server.callers.MOST_CALLERS", 8)
    callers = Callers(Settings(address_streams=1))
    ended = callers.connects("first", None)
    for number in range(100):
        callers.asks(str(number))
    assert len(callers._callers) == 8
    with pytest.raises(TooManyError):
        callers.connects("first", None)
    ended()
    callers.connects("first", None)


def test_sighup_reads_keys_again_and_ends_streams_of_those_that_are_gone(
    process: Any, keys: Path, until: Any, tmp_path: Path
) -> None:
    log = tmp_path / "server.log"
    server = process("--api-key-file", str(keys), "--log-file", str(log))
    fresh = "0123456789abcdef-fresh"
    with (
        server.stream(additional_headers=bearer(STREAM)) as gone,
        server.stream(additional_headers=bearer(PLAIN)) as kept,
    ):
        assert gone.hello().session
        assert kept.hello().session
        keys.write_text(f"{PLAIN}\n{fresh} scope=read\n")
        os.kill(server.pid, signal.SIGHUP)
        until(lambda: server.call("GET", "/v2", **bearer(fresh)).status == 200)
        assert server.call("GET", "/v2", **bearer(STREAM)).status == 401
        assert gone.rest()[-1].code == "AccessError"
        assert gone.socket.close_code == 4401
        assert kept.socket.ping().wait(20)
        assert kept.socket.close_code is None
    keys.write_text("short\n")
    os.kill(server.pid, signal.SIGHUP)
    until(lambda: "not read again" in log.read_text())
    assert server.call("GET", "/v2", **bearer(fresh)).status == 200  # what it said before still holds
    log.rename(tmp_path / "server.log.1")
    keys.write_text(f"{PLAIN}\n")
    os.kill(server.pid, signal.SIGHUP)
    until(lambda: log.exists() and "read again" in log.read_text())
    assert all(json.loads(line) for line in log.read_text().splitlines())
    assert server.end(signal.SIGTERM) == 0


def test_sighup_reads_the_certificate_again(process: Any, tmp_path: Path, until: Any) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def seen(port: int) -> str:
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}"]
        done = subprocess.run(command, input="", capture_output=True, text=True, timeout=20, check=False)
        return done.stdout

    write_certificate(cert, key, "first")
    server = process("--tls-cert", str(cert), "--tls-key", str(key))
    assert "first" in seen(server.port)
    write_certificate(cert, key, "second")
    os.kill(server.pid, signal.SIGHUP)
    until(lambda: "second" in seen(server.port))
    assert server.end(signal.SIGTERM) == 0


def test_sources_come_from_options_the_environment_and_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sources").write_text("# the yard\n\ndoor=rtsp://user:secret@camera/stream\n")
    monkeypatch.setenv("FRAMESTATE_SERVE_SOURCES", '["desk=/dev/video0"]')
    assert given_sources(Settings(source_file=tmp_path / "sources")) == (
        "desk=/dev/video0", "door=rtsp://user:secret@camera/stream",
    )  # fmt: skip
    with pytest.raises(OptionError, match="cannot be read"):
        given_sources(Settings(source_file=tmp_path / "missing"))


def test_a_log_file_that_cannot_be_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot be opened"):
        log_to_stderr("info", file=tmp_path / "no" / "folder")
    assert logger().name == "framestate.server"
