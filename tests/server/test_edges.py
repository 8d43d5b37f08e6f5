"""What stands between the server and its callers: other pages (CORS), proxies, path prefixes, TLS."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from framestate import wire
from framestate.errors import OptionError
from framestate.server import Settings
from framestate.server.proxies import Behind
from framestate.server.run import listening_config
from websockets.sync.client import connect

from ..certificates import write_certificate

PAGE = "https://app.example.org"
KEY = "0123456789abcdef-key"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(KEY + "\n")
    return path


def preflight(running: Any, origin: str, method: str = "POST", headers: str = "authorization") -> Any:
    asked = {"access_control_request_method": method, "access_control_request_headers": headers}
    return running.call("OPTIONS", "/v1/sessions/x/frames", origin=origin, **asked)


def test_an_allowed_page_may_send_and_see_everything(serve: Any, keys: Path) -> None:
    running = serve(api_key_file=keys, allow_origins=(PAGE + "/",))
    for method in ("GET", "POST", "PUT", "DELETE"):
        may = preflight(running, PAGE, method, "authorization, x-session-id, content-type")
        assert (may.status, may.body) == (204, b"")  # without a key: browsers send none with it
        assert may.headers["access-control-allow-origin"] == PAGE
        assert method in may.headers["access-control-allow-methods"]
        assert "authorization" in may.headers["access-control-allow-headers"]
        assert may.headers["access-control-max-age"] == "600"
    good = running.call("GET", "/v1/sessions", origin=PAGE, authorization=f"Bearer {KEY}")
    bad = running.call("GET", "/v1/sessions", origin=PAGE)  # the page sees why it was refused, too
    missing = running.call("DELETE", "/v1/sessions/none", origin=PAGE, authorization=f"Bearer {KEY}")
    assert (good.status, bad.status, missing.status) == (200, 401, 404)
    for answer in (good, bad, missing):
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert "Origin" in answer.headers["vary"]
        assert "x-session-id" in answer.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("origin", ["https://evil.example", "null", PAGE + ".evil", "http://app.example.org"])
def test_other_pages_are_told_nothing(serve: Any, origin: str) -> None:
    running = serve(allow_origins=(PAGE,))
    refused = preflight(running, origin)
    assert (refused.status, refused.json["code"]) == (403, "ForbiddenError")
    assert "access-control-allow-origin" not in refused.headers
    read = running.call("GET", "/v1/sessions", origin=origin)
    assert "access-control-allow-origin" not in read.headers
    assert running.call("DELETE", "/v1/sessions/x", origin=origin).status == 403


def test_a_method_or_header_that_is_not_allowed_is_refused(serve: Any) -> None:
    running = serve(allow_origins=(PAGE,))
    assert preflight(running, PAGE, "PATCH").status == 403
    assert preflight(running, PAGE, headers="x-framestate-cluster").status == 403


def test_what_a_proxy_says_counts_from_trusted_addresses_alone(serve: Any) -> None:
    said = {
        "x_forwarded_proto": "https",
        "x_forwarded_host": "video.example.org",
        "x_forwarded_for": "203.0.113.9",
    }
    own = {"origin": "https://video.example.org", **said}
    trusting = serve(proxies=("127.0.0.0/8",), allow_hosts=("video.example.org",))
    assert trusting.call("DELETE", "/v1/sessions/none", **own).status == 404  # its own page
    assert trusting.call("DELETE", "/v1/sessions/none", **own | {"x_forwarded_proto": "http"}).status == 403
    for others in ((), ("10.0.0.0/8", "::1")):
        running = serve(proxies=others, allow_hosts=("video.example.org",))
        assert running.call("DELETE", "/v1/sessions/none", **own).status == 403


def seen(proxies: tuple[str, ...], *headers: tuple[str, str]) -> tuple[str, str, str]:
    """Who asks, how and for which host, as the server takes it behind some proxies."""
    found: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(scope)

    raw = [(name.encode(), value.encode()) for name, value in (("host", "own"), *headers)]
    scope = {
        "type": "http", "client": ("10.0.0.1", 1), "scheme": "http", "headers": raw, "path": "/",
        "raw_path": b"/",
    }  # fmt: skip
    asyncio.run(Behind(app, Settings(proxies=proxies))(scope, None, None))  # type: ignore[arg-type]
    [one] = found
    return one["client"][0], one["scheme"], dict(one["headers"])[b"host"].decode()


FOR, PROTO, HOST, RFC = "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((), ("10.0.0.1", "http", "own")),
        (((FOR, "1.2.3.4:567"), (PROTO, "https"), (HOST, "a.org")), ("1.2.3.4", "https", "a.org")),
        # an inner proxy adds what it saw of the outer one, which is trusted too
        (
            ((FOR, "1.2.3.4, 10.0.0.2"), (PROTO, "https, http"), (HOST, "a.org, in")),
            ("1.2.3.4", "https", "a.org"),
        ),
        (
            ((FOR, "1.2.3.4"), (FOR, "10.0.0.2"), (PROTO, "https"), (PROTO, "http")),
            ("1.2.3.4", "https", "own"),
        ),
        # what stands before the outermost trusted proxy is the sender's own word
        (
            ((FOR, "9.9.9.9, 1.2.3.4"), (PROTO, "https,http"), (HOST, "evil,a.org")),
            ("1.2.3.4", "http", "a.org"),
        ),
        (((FOR, "9.9.9.9, 1.2.3.4, 10.0.0.2"), (HOST, "evil, a.org, in")), ("1.2.3.4", "http", "a.org")),
        (((RFC, "for=1.2.3.4;proto=https;host=a.org"),), ("1.2.3.4", "https", "a.org")),
        (((RFC, 'For="[2001:db8::1]:80"; Proto=https'),), ("2001:db8::1", "https", "own")),
        (
            (
                (RFC, 'for=9.9.9.9;host=evil, for=1.2.3.4;host="a.org:8443";proto=https'),
                (RFC, "for=10.0.0.2;host=in;proto=http"),
            ),
            ("1.2.3.4", "https", "a.org:8443"),
        ),
        # beside the names that most use, it may be the sender's own word
        (((RFC, "for=9.9.9.9;host=evil"), (FOR, "1.2.3.4")), ("1.2.3.4", "http", "own")),
        (((RFC, 'for="1.2.3.4'), (RFC, ";;=,for"), (RFC, "")), ("10.0.0.1", "http", "own")),
        (((FOR, " , "), (PROTO, "gopher"), (HOST, "")), ("10.0.0.1", "http", "own")),
    ],
)  # fmt: skip
def test_of_a_chain_of_proxies_the_outermost_trusted_one_counts(
    headers: Any, expected: tuple[str, str, str]
) -> None:
    assert seen(("10.0.0.0/8",), *headers) == expected
    assert seen((), *headers) == ("10.0.0.1", "http", "own")
    assert seen(("192.168.0.1",), *headers) == ("10.0.0.1", "http", "own")


def test_a_prefix_may_be_there_or_not(serve: Any, film: Any) -> None:
    running = serve(root_path="/video/framestate/")
    for root in ("/video/framestate", ""):
        assert running.call("GET", f"{root}/v1/sessions").status == 200
        assert running.call("GET", f"{root}/static/page.js").status == 200
        with connect(f"ws://127.0.0.1:{running.port}{root}/v1/sessions/new/stream") as socket:
            socket.send(wire.encode_message(wire.Hello(wire.VERSION)))
            assert "welcome" in str(socket.recv(10))
    assert running.call("GET", "/openapi.json").json["servers"] == [{"url": "/video/framestate"}]
    bare = running.call("GET", "/video/framestate")
    assert (bare.status, bare.headers["location"]) == (307, "/video/framestate/")
    assert running.call("GET", "/video/framestate-not/v1/sessions").status == 404
    assert running.call("GET", "/video/framestate/video/framestate/v1/sessions").status == 404


def test_no_address_of_the_page_begins_at_the_root(checkout: Path) -> None:
    for file in (checkout / "server" / "page").iterdir():
        if file.suffix in (".js", ".html", ".css"):
            text = file.read_text("utf-8")
            for mark in ('"/v', "`/v", '"/static', "'/static", 'href="/', 'src="/', "url(/", 'from "/'):
                assert mark not in text, f"{file.name}: {mark}"


@pytest.mark.parametrize(
    "wrong",
    [
        {"root_path": "framestate"}, {"root_path": "/a b"}, {"root_path": "/../x"}, {"root_path": "/a?b"},
        {"root_path": "//x"}, {"proxies": ("proxy.example.org",)}, {"proxies": ("10.0.0.1/8",)},
        {"proxies": ("*",)},
        {"tls_cert": Path("here")}, {"tls_key": Path("here")}, {"tls_cert": Path("a"), "tls_key": Path("b")},
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_said_at_the_start(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        listening_config(Behind, Settings(**wrong), 1)  # type: ignore[arg-type]


def test_a_key_that_is_not_the_certificates_is_told_of(tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        cert, key = tmp_path / f"{name}.pem", tmp_path / f"{name}.key"
        write_certificate(cert, key, "x")
        made.append((cert, key))
    options = ["serve", "--port", "0", "--tls-cert", str(made[0][0]), "--tls-key", str(made[1][1])]
    done = subprocess.run(
        [sys.executable, "-m", "framestate.cli.main", *options], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "are no certificate and its key" in done.stderr
    assert "Traceback" not in done.stderr
