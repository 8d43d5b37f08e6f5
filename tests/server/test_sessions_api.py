"""Sessions over REST."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from framestate.vision import Box, decode_image, encode_image

Film = tuple[list[bytes], Box]
Open = Callable[..., str]


def follow(running: Any, key: str, clip: list[bytes], start: int = 1) -> list[Box]:
    answers = [
        running.call("POST", f"/v1/sessions/{key}/frames?pts={index}&index={index}", jpeg)
        for index, jpeg in enumerate(clip[start:], start)
    ]
    assert [answer.status for answer in answers] == [200] * len(answers), answers[-1].body
    return [Box(*answer.json["box"]) for answer in answers]


def test_rest_tracks_as_the_engine_does(shared: Any, film: Film, truth: Any, open_session: Open) -> None:
    key = open_session(shared, "mine")
    assert key == "mine"
    assert follow(shared, key, film[0]) == truth
    answer = shared.call("GET", f"/v1/sessions/{key}")
    assert answer.headers["x-session-id"] == key
    assert answer.json["last_index"] == len(film[0]) - 1
    assert answer.json["last_seconds"] == pytest.approx(13 / 25)
    assert shared.call("DELETE", f"/v1/sessions/{key}").status == 204
    gone = shared.call("POST", f"/v1/sessions/{key}/frames", film[0][0])
    assert (gone.status, gone.json["code"]) == (404, "UnknownSessionError")
    assert "deleted" in gone.json["detail"]


def test_a_target_is_put_right(shared: Any, film: Film, open_session: Open) -> None:
    key, (x, y, w, h) = open_session(shared), film[1].xywh
    moved = follow(shared, key, film[0][:4])[-1]
    told = shared.call("POST", f"/v1/sessions/{key}/correction?box={x},{y},{w},{h}")
    assert (told.status, told.json["index"], told.json["session"]) == (200, 3, key)
    assert told.json["box"] == pytest.approx([x, y, w, h]) != moved.xywh
    assert shared.call("POST", f"/v1/sessions/{key}/frames?pts=4&index=4", film[0][4]).status == 200
    for box, status in (("1,2,3", 422), ("9999,1,5,5", 422), ("0,0,0,0", 422), ("nan,1,1,1", 422)):
        assert shared.call("POST", f"/v1/sessions/{key}/correction?box={box}").status == status
    assert shared.call("POST", "/v1/sessions/nobody/correction?box=1,1,5,5").status == 404
    shared.call("DELETE", f"/v1/sessions/{key}")


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_every_kind_of_image_is_taken(shared: Any, film: Film, kind: Any, open_session: Open) -> None:
    key = open_session(shared)
    image = encode_image(decode_image(film[0][1]), kind)
    answer = shared.call("POST", f"/v1/sessions/{key}/frames", image)
    assert answer.status == 200
    assert answer.json["index"] == 1
    assert answer.json["timings"]["total_ms"] >= answer.json["timings"]["model_ms"] > 0
    shared.call("DELETE", f"/v1/sessions/{key}")


def test_frames_without_a_time_are_a_step_apart(shared: Any, film: Film, open_session: Open) -> None:
    key = open_session(shared)
    for index in (1, 2, 3):
        assert shared.call("POST", f"/v1/sessions/{key}/frames", film[0][index]).json["index"] == index
    assert shared.call("GET", f"/v1/sessions/{key}").json["last_seconds"] == pytest.approx(3 / 25)
    shared.call("DELETE", f"/v1/sessions/{key}")


def test_sessions_side_by_side_are_not_mixed_up(
    shared: Any, film: Film, truth: Any, open_session: Open
) -> None:
    keys = [open_session(shared) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda key: follow(shared, key, film[0][:8]), keys))
    assert found == [truth[:7]] * 4
    for key in keys:
        shared.call("DELETE", f"/v1/sessions/{key}")


def test_a_snapshot_goes_back_and_over(shared: Any, film: Film, truth: Any, open_session: Open) -> None:
    key = open_session(shared)
    assert follow(shared, key, film[0][:9]) == truth[:8]
    blob = shared.call("GET", f"/v1/sessions/{key}/snapshot")
    assert blob.headers["content-type"] == "application/octet-stream"
    assert follow(shared, key, film[0], 9) == truth[8:]
    back = shared.call("PUT", f"/v1/sessions/{key}/snapshot", blob.body)
    assert (back.status, back.json["last_index"]) == (200, 8)
    assert follow(shared, key, film[0], 9) == truth[8:]
    other = shared.call("PUT", "/v1/sessions/other/snapshot", blob.body)
    assert (other.status, other.json["restored"]) == (201, True)
    assert follow(shared, "other", film[0], 9) == truth[8:]
    broken = shared.call("PUT", f"/v1/sessions/{key}/snapshot", blob.body[:-9] + b"x" * 9)
    assert (broken.status, broken.json["code"]) == (422, "StateError")
    assert shared.call("GET", f"/v1/sessions/{key}").json["last_index"] == 13
    for name in (key, "other"):
        shared.call("DELETE", f"/v1/sessions/{name}")


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/sessions?box=1,2,3", b"x", 422, "Http422"),
        ("/v1/sessions?box=1,2,30,40", b"", 400, "RequestError"),
        ("/v1/sessions?box=1,2,30,40", b"no image", 422, "ImageError"),
        ("/v1/sessions?box=9000,2,30,40", None, 422, "BoxError"),
        ("/v1/sessions?box=1,2,30,40&model=none", None, 404, "UnknownModelError"),
        ("/v1/sessions?box=1,2,30,40&index=4", None, 422, "FrameError"),
        ("/v1/sessions?box=1,2,30,40&policy=NEVER", None, 422, "Http422"),
        ("/v1/sessions?box=1,2,30,40&queue=0", None, 422, "Http422"),
        ("/v1/sessions?box=1,2,30,40&polcy=DROP_OLDEST", None, 422, "OptionError"),
    ],
)
def test_what_cannot_be_opened_says_why(
    shared: Any, film: Film, path: str, body: bytes | None, status: int, code: str
) -> None:
    answer = shared.call("POST", path, film[0][0] if body is None else body)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["remedy"]
    assert shared.engine.slots.num_used == 0


def test_wrong_frames_leave_the_session_as_it_was(
    shared: Any, film: Film, truth: Any, open_session: Open
) -> None:
    key = open_session(shared)
    assert follow(shared, key, film[0][:6]) == truth[:5]
    small = encode_image(decode_image(film[0][6])[:60], "jpeg")
    for path, body, code in (
        ("pts=6", small, "FrameError"),
        ("pts=5", film[0][6], "FrameError"),  # not later
        ("pts=6&index=5", film[0][6], "FrameError"),  # not after
        ("index=6", film[0][6], "FrameError"),
        ("pts=6", film[0][6][:-40], "ImageError"),
    ):
        answer = shared.call("POST", f"/v1/sessions/{key}/frames?{path}", body)
        assert (answer.status, answer.json["code"]) == (422, code), answer.body
        assert answer.headers["x-session-id"] == key
    assert follow(shared, key, film[0], 6) == truth[5:]
    shared.call("DELETE", f"/v1/sessions/{key}")


def test_a_full_server_says_when_to_come_back(serve: Any, film: Film, open_session: Open) -> None:
    running = serve(capacity=2)
    keys = [open_session(running), open_session(running, "two")]
    path = f"/v1/sessions?box={film[1].x},{film[1].y},{film[1].w},{film[1].h}"
    full = running.call("POST", path, film[0][0])
    assert (full.status, full.json["code"]) == (503, "CapacityError")
    assert int(full.headers["retry-after"]) > 0
    taken = running.call("POST", path, film[0][0], x_session_id="two")
    assert (taken.status, taken.json["code"]) == (409, "SessionBusyError")
    listed = running.call("GET", "/v1/sessions").json
    assert [one["session"] for one in listed["sessions"]] == keys
    assert (listed["slots_used"], listed["slots_total"]) == (2, 2)
    running.call("DELETE", f"/v1/sessions/{keys[0]}")
    assert running.call("POST", path, film[0][0]).status == 201


def test_frames_come_no_faster_than_allowed(serve: Any, film: Film, open_session: Open) -> None:
    running = serve(max_frames_per_second=2)
    path = f"/v1/sessions/{open_session(running)}/frames"
    answers = [running.call("POST", path, b"no image") for _ in range(12)]
    assert {answer.status for answer in answers} == {422, 429}
    refused = next(answer for answer in answers if answer.status == 429)
    assert (refused.json["code"], "retry-after" in refused.headers) == ("TooManyError", True)


def test_sessions_that_nobody_uses_end(serve: Any, until: Any, open_session: Open) -> None:
    running = serve(idle_s=0.4)
    key = open_session(running)
    until(lambda: running.engine.slots.num_used == 0)
    gone = running.call("GET", f"/v1/sessions/{key}")
    assert (gone.status, "idle" in gone.json["detail"]) == (404, True)
    metrics = running.call("GET", "/metrics").body.decode()
    assert 'framestate_evictions_total{model="tracker-nano",reason="idle"} 1.0' in metrics


@pytest.mark.parametrize("key", ["source-door", "video-1", "a b", "../x", "x" * 65])
def test_ids_are_plain_and_not_the_servers_own(shared: Any, film: Film, key: str) -> None:
    answer = shared.call("POST", "/v1/sessions?box=1,2,30,40", film[0][0], x_session_id=key)
    assert answer.status == 422
