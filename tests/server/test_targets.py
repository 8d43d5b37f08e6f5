"""Many targets of one live source: chosen, put right, ended, watched, drawn, told of, and kept."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from framestate import wire
from framestate.server.screen import marks_of
from framestate.vision import Box

from .conftest import after_a_round

ONE, OTHER = "box=60,50,40,30", "box=10,10,30,30"


def targets(running: Any, name: str = "cam") -> dict[int, Any]:
    found = running.call("GET", f"/v1/sources/{name}/targets")
    assert found.status == 200
    return {one["id"]: one for one in found.json["targets"]}


@pytest.fixture
def source(serve: Any, clip_file: Path, until: Any) -> Any:
    """A server that reads a file as its source ``cam``."""
    running = serve(sources=(f"cam={clip_file}",), max_targets=3)
    until(lambda: running.call("GET", "/v1/sources/cam").json["frames"])
    return running


def scenes_of(viewer: Any, count: int) -> list[wire.SceneAnswer]:
    found: list[wire.SceneAnswer] = []
    while len(found) < count:
        heard = viewer.hear()
        if isinstance(heard, wire.SceneAnswer):
            found.append(heard)
    return found


def test_targets_are_added_put_right_and_ended(source: Any, until: Any) -> None:
    call = source.call
    assert targets(source) == {}
    assert call("GET", "/v1/sources/cam").json["targets"] is None
    assert call("PATCH", f"/v1/sources/cam/targets/1?{ONE}").status == 404
    first = call("POST", f"/v1/sources/cam/targets?{ONE}&label=koi")
    assert (first.status, first.json["id"], first.json["label"]) == (201, 1, "koi")
    assert first.headers["location"] == "/v1/sources/cam/targets/1"
    assert call("POST", f"/v1/sources/cam/targets?{OTHER}").json["id"] == 2
    assert call("GET", "/v1/sources/cam").json["targets"] == 2
    session = call("GET", "/v1/sessions/source-cam").json
    assert (session["task"], session["policy"]) == ("tracking", "DROP_OLDEST")
    with source.stream("cam", "/v1/sources/{}/stream") as viewer:
        assert viewer.hello().resumed
        seen = scenes_of(viewer, 4)
        assert all([one.id for one in answer] == [1, 2] for answer in seen)
        assert all(one.source in ("looked", "carried") and one.box.is_finite for one in seen[-1])
        assert seen[-1][0].label == "koi"
        assert any(answer.timings.prepare_ms > 0 for answer in seen)
        right = call("PATCH", "/v1/sources/cam/targets/2?box=100,70,25,25")
        assert (right.status, right.json["id"]) == (200, 2)
        assert right.json["box"] == pytest.approx([100, 70, 25, 25])
        assert Box(*targets(source)[2]["box"]).iou(Box(100, 70, 25, 25)) > 0.3
        assert call("DELETE", "/v1/sources/cam/targets/2").status == 204
        assert call("DELETE", "/v1/sources/cam/targets/2").status == 404
        until(lambda: [one.id for one in scenes_of(viewer, 1)[0]] == [1])
    assert call("POST", f"/v1/sources/cam/targets?{OTHER}").json["id"] == 3  # no id is given twice
    assert call("DELETE", "/v1/sources/cam/target").status == 204
    assert targets(source) == {}
    until(lambda: source.engine.slots.num_used == 0)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", f"/cam/targets?{ONE}&index=999999", 404, "UnknownItemError"),
        ("POST", "/cam/targets?box=900,50,40,30", 422, "BoxError"),
        ("POST", "/cam/targets?box=1,1,0,0", 422, "BoxError"),
        ("POST", "/cam/targets?box=nan,1,5,5", 422, "Http422"),
        ("POST", "/cam/targets", 422, "Http422"),
        ("POST", f"/cam/targets?{ONE}&model=none", 404, "UnknownModelError"),
        ("POST", f"/cam/targets?{ONE}&options={{%22a%22:1}}", 422, "OptionError"),
        ("POST", f"/cam/targets?{ONE}&label={'x' * 65}", 422, "Http422"),
        ("POST", f"/none/targets?{ONE}", 404, "UnknownItemError"),
        ("PATCH", "/cam/targets/1?box=900,50,40,30", 422, "BoxError"),
        ("PATCH", f"/cam/targets/7?{ONE}", 404, "UnknownItemError"),
        ("PATCH", f"/cam/targets/1?{ONE}&index=999999", 404, "UnknownItemError"),
        ("DELETE", "/cam/targets/0", 422, "Http422"),
    ],
)
def test_what_cannot_be_is_told_and_changes_nothing(
    watched: Any, method: str, path: str, status: int, code: str
) -> None:
    answer = watched.call(method, f"/v1/sources{path}")
    assert (answer.status, answer.json["code"]) == (status, code), answer.body
    assert list(targets(watched)) == [1]


@pytest.fixture(scope="module")
def watched(make_running: Any, clip_file: Path, until: Any) -> Any:
    """A server whose source has one target."""
    from framestate.server import Settings

    from .conftest import MODEL, load

    engine = load(4)
    running = make_running(Settings(port=0, sources=(f"cam={clip_file}",)), {MODEL: engine})
    until(lambda: running.call("GET", "/v1/sources/cam").json["frames"])
    assert running.call("POST", f"/v1/sources/cam/targets?{ONE}").status == 201
    yield running
    running.stop()
    engine.slots.check()
    engine.close()


def test_a_box_in_an_earlier_picture_is_searched_for_from_there(source: Any, until: Any) -> None:
    look = source.call("GET", "/v1/sources/cam/frame")
    index = int(look.headers["x-frame-index"])
    assert source.call("POST", f"/v1/sources/cam/targets?{ONE}").status == 201
    until(lambda: source.call("GET", "/v1/sessions/source-cam").json["last_index"] > index + 3)
    late = source.call("POST", f"/v1/sources/cam/targets?{OTHER}&index={index}")
    assert (late.status, late.json["id"]) == (201, 2)
    assert source.call("PATCH", f"/v1/sources/cam/targets/1?{ONE}&index={index}").status == 200
    until(lambda: all(one["looks"] > 0 for one in targets(source).values()))
    assert list(targets(source)) == [1, 2]


def test_there_is_a_most_of_targets_and_of_slots(serve: Any, clip_file: Path, until: Any) -> None:
    for settings in ({"max_targets": 2}, {"capacity": 2}):
        running = serve(sources=(f"cam={clip_file}",), **settings)
        until(lambda running=running: running.call("GET", "/v1/sources/cam").json["frames"])
        made = [running.call("POST", f"/v1/sources/cam/targets?{ONE}").status for _ in range(3)]
        assert made == [201, 201, 503]
        assert list(targets(running)) == [1, 2]


def test_targets_are_told_of_and_have_zones(source: Any, until: Any) -> None:
    zones = "options={%22zones%22:{%22all%22:[[-9,-9],[999,-9],[999,999],[-9,999]]}}"
    assert source.call("POST", f"/v1/sources/cam/targets?{ONE}&{zones}").status == 201
    assert source.call("POST", f"/v1/sources/cam/targets?{OTHER}").status == 201

    def told() -> list[tuple[str, int]]:
        events = source.call("GET", "/v1/events").json["events"]
        return [(one["type"], one["target"]) for one in events if "target" in one]

    until(lambda: ("zone.entered", 2) in told())
    assert {("target.opened", 1), ("zone.entered", 1), ("target.opened", 2)} <= set(told())
    assert source.call("DELETE", "/v1/sources/cam/targets/2").status == 204
    until(lambda: told().count(("target.ended", 2)) == 1)
    assert told().count(("zone.entered", 1)) == 1


def test_a_scene_is_a_session_for_whoever_asks(source: Any, until: Any) -> None:
    call, path = source.call, "/v1/sessions/source-cam"
    for box in (ONE, OTHER):
        assert call("POST", f"/v1/sources/cam/targets?{box}").status == 201
    blob = call("GET", f"{path}/snapshot").body
    both = call("POST", f"{path}/correction?{ONE}")
    assert (both.status, both.json["code"]) == (422, "OptionError")  # which of them?
    assert call("DELETE", "/v1/sources/cam/targets/1").status == 204
    assert call("POST", f"{path}/correction?{OTHER}").json["box"] == pytest.approx([10, 10, 30, 30])
    assert call("PUT", f"{path}/snapshot", blob[:-1]).status == 422
    assert list(targets(source)) == [2]
    assert call("PUT", f"{path}/snapshot", blob).status == 200
    assert list(targets(source)) == [1, 2]
    before = call("GET", path).json["last_index"]
    until(lambda: call("GET", path).json["last_index"] > before + 2)
    assert b'framestate_source_targets{source="cam"} 2.0' in call("GET", "/metrics").body
    assert call("PUT", "/v1/sessions/mine/snapshot", blob).status == 413  # a session is less
    assert call("DELETE", path).status == 204
    assert call("GET", "/v1/sources/cam").json["session"] is None
    until(lambda: source.engine.slots.num_used == 0)


def test_every_target_is_drawn() -> None:
    boxes = {1: Box(9, 5, 8, 8), 4: Box(36, 5, 8, 8)}
    seen = [wire.Sighting(number, box, 0.5, "tracking", "fish", "carried") for number, box in boxes.items()]
    marks = marks_of(wire.SceneAnswer(3, 0.1, tuple(seen)))
    assert {mark.target: mark.box for mark in marks} == boxes
    assert {mark.name for mark in marks} == {"fish"}
    assert marks_of(wire.SceneAnswer(3, 0.1)) == []
    assert len(marks_of(wire.Track(Box(1, 2, 3, 4), 0.5, "lost", 0))) == 1


def test_a_scene_survives_the_kill_of_its_server(
    process: Any, clip_file: Path, tmp_path: Path, until: Any
) -> None:
    arguments = ("--state-dir", str(tmp_path), "--max-sessions", "4", "--source", f"cam={clip_file}")
    first = process(*arguments, snapshot_s="0.2")
    until(lambda: first.call("GET", "/v1/sources/cam").json["frames"])
    for box in (ONE, OTHER, ONE):
        assert first.call("POST", f"/v1/sources/cam/targets?{box}&label=koi").status == 201
    assert first.call("DELETE", "/v1/sources/cam/targets/2").status == 204
    until(lambda: list(tmp_path.rglob("*.scene")))
    until(lambda: targets(first)[3]["looks"] > 1)
    before = first.call("GET", "/v1/sessions/source-cam").json["last_index"]
    after_a_round(tmp_path)
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    assert not list(tmp_path.rglob("*.session"))  # its targets are in the scene's file

    second = process(*arguments, snapshot_s="3600")
    kept = targets(second)
    assert {number: (one["label"], one["looks"] > 1) for number, one in kept.items()} == {
        1: ("koi", True),
        3: ("koi", True),
    }
    session = second.call("GET", "/v1/sessions/source-cam").json
    assert (session["restored"], session["last_index"] >= before) == (True, True)
    until(lambda: targets(second)[1]["looks"] > kept[1]["looks"])
    assert targets(second)[1]["frame"] > session["last_index"]
    assert second.call("POST", f"/v1/sources/cam/targets?{OTHER}").json["id"] > 3
    told = [one["type"] for one in second.call("GET", "/v1/events").json["events"]]
    assert told.count("session.opened") == 1
    assert second.end(signal.SIGTERM) == 0  # and one that is told to stop keeps it, too
    third = process(*arguments)
    assert len(targets(third)) == 3
    assert third.call("DELETE", "/v1/sources/cam/target").status == 204
    assert third.end(signal.SIGTERM) == 0
    assert not list(tmp_path.rglob("*.scene"))
