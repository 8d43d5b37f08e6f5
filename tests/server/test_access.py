"""Who may ask."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from framestate import wire
from framestate.errors import OptionError
from framestate.server import Settings
from framestate.server.keys import ApiKeys, required_keys
from websockets.exceptions import InvalidStatus

KEY = "0123456789abcdef-key"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"# for the tests\n\n{KEY}\nanother-key-of-ours-1\n")
    return path


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org"])
def test_other_machines_need_keys(host: str, keys: Path) -> None:
    with pytest.raises(OptionError, match="API keys"):
        required_keys(Settings(host=host))
    assert required_keys(Settings(host=host, api_key_file=keys)) is not None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_this_machine_needs_none(host: str) -> None:
    assert required_keys(Settings(host=host)) is None


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "short\n", "a key with some spaces in it\n", f"{KEY}\nshort\n"]
)
def test_a_bad_key_file_is_no_key_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(OptionError):
        ApiKeys.load(path)
    with pytest.raises(OptionError):
        ApiKeys.load(tmp_path / "missing")


def test_keys_are_compared_whole(keys: Path) -> None:
    held = ApiKeys.load(keys)
    assert held.find(KEY) is not None
    assert held.find("another-key-of-ours-1") is not None
    for wrong in ("", KEY[:-1], KEY + "x", KEY.upper(), "# for the tests", "\udcff"):
        assert held.find(wrong) is None


def test_every_call_but_the_page_and_health_needs_a_key(serve: Any, keys: Path) -> None:
    running = serve(api_key_file=keys)
    for path in ("/v2/health/live", "/v2/health/ready", "/healthz"):
        assert running.call("GET", path).status == 200
    document = running.call("GET", "/openapi.json", authorization=f"Bearer {KEY}").json
    for path, calls in document["paths"].items():
        for method in calls:
            if path not in ("/v2/health/live", "/v2/health/ready", "/healthz"):
                answer = running.call(method.upper(), path)
                assert (answer.status, answer.json["code"]) == (401, "AccessError"), path
                assert answer.headers["www-authenticate"] == "Bearer"
    for path in ("/openapi.json", "/nothing"):
        assert running.call("GET", path).status == 401
    for headers in (
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer {KEY}"},
        {"x_api_key": KEY},
    ):
        assert running.call("GET", "/v1/sessions", **headers).status == 200
    for headers in ({"authorization": f"Basic {KEY}"}, {"authorization": KEY}, {"x_api_key": "no"}):
        assert running.call("GET", "/v1/sessions", **headers).status == 401


def test_a_stream_needs_a_key_too(serve: Any, keys: Path) -> None:
    running = serve(api_key_file=keys)

    def offer(key: str) -> list[str]:
        return ["framestate.v2", "key." + base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")]

    wrong: list[dict[str, Any]] = [
        {},
        {"subprotocols": offer("wrong")},
        {"subprotocols": ["framestate.v2", "key.%%"]},
    ]
    for options in wrong:
        with running.stream(**options) as talk:
            failure = talk.hear()
            assert (failure.code, failure.closing) == ("AccessError", True)
            assert talk.rest() == []
            assert talk.socket.close_code == 4401
            assert talk.socket.subprotocol == ("framestate.v2" if options else None)
    for options in (
        {"additional_headers": {"authorization": f"Bearer {KEY}"}},
        {"subprotocols": offer(KEY)},
    ):
        with running.stream(**options) as talk:
            assert isinstance(talk.hello(), wire.Welcome)


def test_pages_from_elsewhere_may_not(serve: Any) -> None:
    running = serve(allow_origins=("https://app.example",))
    own = f"http://127.0.0.1:{running.port}"
    for origin, allowed in (
        (own, True),
        ("https://app.example", True),
        ("https://evil.example", False),
        ("null", False),
        ("http://127.0.0.1:1", False),
        (own.replace("http", "https"), False),
    ):
        answer = running.call("DELETE", "/v1/sessions/none", origin=origin)
        assert answer.status == (404 if allowed else 403), origin
        with running.stream(additional_headers={"origin": origin}) as talk:
            first = talk.hello() if allowed else talk.hear()
            assert type(first) is (wire.Welcome if allowed else wire.Failure)
            if isinstance(first, wire.Failure):
                assert first.code == "ForbiddenError"
                assert talk.rest() == []
                assert talk.socket.close_code == 4403
        assert running.call("GET", "/v1/sessions", origin=origin).status == 200  # it cannot read the answer


def test_other_names_for_this_machine_are_not_answered(serve: Any) -> None:
    """A page whose name points here for a moment gets nothing (DNS rebinding)."""
    running = serve(allow_hosts=("box.example",))
    for host, status in (
        ("evil.example", 403),
        ("evil.example:80", 403),
        ("127.0.0.1.evil.example", 403),
        ("[::1", 403),
        ("", 403),
        ("localhost:9", 200),
        ("box.example", 200),
        ("BOX.example:8000", 200),
    ):
        answer = running.call("GET", "/v1/sessions", host=host)
        assert answer.status == status, host


def test_answers_cannot_be_framed_or_sniffed(shared: Any) -> None:
    for path in ("/", "/docs", "/openapi.json", "/nothing"):
        headers = shared.call("GET", path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]


def test_there_is_no_stream_but_ours(shared: Any) -> None:
    with pytest.raises(InvalidStatus), shared.stream(path="/v1/nothing"):
        pass
