"""Errors on the network: one table, one form."""

from __future__ import annotations

from typing import Any

import pytest
from framestate import errors
from framestate.errors import FramestateError, InputError
from framestate.server.problems import STATUS, close_code_of, problem_of, status_of
from framestate.wire import Failure

ALL = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("kind", ALL)
def test_the_table_covers_the_whole_tree(kind: type[FramestateError]) -> None:
    status = status_of(kind)
    nearest = next(parent for parent in kind.__mro__ if parent in STATUS)
    assert STATUS[nearest] == status
    assert status in {400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 503, 507}
    assert close_code_of(kind) == 4000 + status
    if nearest is FramestateError:
        assert kind is FramestateError, f"{kind.__name__} falls back to the root of the tree"
    operators = (errors.BundleError, errors.UnknownRuntimeError, errors.RuntimeUnavailableError)
    if issubclass(kind, InputError) and not issubclass(kind, operators):
        assert 400 <= status < 500, "what a caller sent wrong is not the server's failure"


@pytest.mark.parametrize("kind", ALL)
def test_every_error_has_the_same_form(kind: type[FramestateError]) -> None:
    response = problem_of(kind("the value is 3, above 2", "Send less."))
    assert response.media_type == "application/problem+json"
    import json

    body = json.loads(bytes(response.body))
    assert body["status"] == response.status_code == status_of(kind)
    assert body["type"] == f"urn:framestate:problem:{kind.__name__}"
    assert body["detail"] == "the value is 3, above 2. Send less."
    failure = Failure.of(kind("the value is 3, above 2", "Send less."))
    assert {key: body[key] for key in ("code", "problem", "remedy")} == {
        "code": failure.code,
        "problem": failure.problem,
        "remedy": failure.remedy,
    }
    assert body["title"] == failure.title.rstrip(".")
    assert ("retry-after" in response.headers) == (response.status_code in (429, 503))
    assert ("www-authenticate" in response.headers) == (response.status_code == 401)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v1/sessions/none", 404),
        ("PATCH", "/v1/sessions", 405),
        ("DELETE", "/v2", 405),
        ("POST", "/v1/sessions", 422),
        ("GET", "/v1/sessions/a%20b", 422),
        ("GET", "/v1/videos/none", 422),
        ("GET", "/v1/videos/" + "0" * 32, 404),
        ("GET", "/v1/sources/none", 404),
        ("GET", "/v2/models/none", 404),
        ("GET", "/static/none.js", 404),
        ("GET", "/static/..%2f..%2fsettings.py", 404),
    ],
)
def test_what_is_not_there_is_a_problem_too(shared: Any, method: str, path: str, status: int) -> None:
    answer = shared.call(method, path)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json["status"] == status
    assert {"type", "title", "detail", "code"} <= answer.json.keys()
    assert ("allow" in answer.headers) == (status == 405)


def test_the_servers_own_failure_hides_its_cause(
    shared: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(shared.hub.metrics, "render", fail)
    answer = shared.call("GET", "/metrics")
    assert answer.status == 500
    assert answer.json["code"] == "Http500"
    assert b"secret" not in answer.body
    assert shared.call("GET", "/healthz").status == 200


def test_a_broken_engine_is_told(serve: Any) -> None:
    running = serve()
    assert running.call("GET", "/healthz").json == {"ready": True}
    running.engine.service.close()
    for path in ("/healthz", "/v2/health/ready", "/v2/models/tracker-nano/ready"):
        answer = running.call("GET", path)
        assert (answer.status, answer.json["code"]) == (503, "UnavailableError")
    assert running.call("GET", "/v2/health/live").json == {"live": True}


def test_what_changes_something_takes_no_parameter_of_no_name(shared: Any) -> None:
    """Of every route: each is told which there are, and nothing is done."""
    document = shared.call("GET", "/openapi.json").json
    tried = 0
    for path, methods in document["paths"].items():
        for method in methods.keys() - {"get", "head", "parameters"}:
            known = [one["name"] for one in methods[method].get("parameters", ()) if one["in"] == "query"]
            answer = shared.call(method.upper(), path.replace("{", "").replace("}", "") + "?colour=red")
            assert answer.status == 422, (method, path)
            if answer.json["code"] == "OptionError":  # of others, a part of the path is refused first
                assert "'colour'" in answer.json["problem"]
                assert all(name in answer.json["remedy"] for name in known), (path, known)
                tried += 1
    assert tried > 10


def test_what_is_read_may_be_asked_for_past_a_cache(shared: Any) -> None:
    assert shared.call("GET", "/v1/sessions?_=1").status == 200
