"""What a restart keeps: a server is really killed, and its clients go on from its last snapshot."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from framestate import wire
from framestate.bundles import load_bundle
from framestate.vision import Box

from .conftest import after_a_round

Film = tuple[list[bytes], Box]


def test_a_killed_server_goes_on_from_its_last_snapshot(
    process: Any, film: Film, truth: Any, tmp_path: Path, until: Any, open_session: Callable[..., str]
) -> None:
    clip, box = film
    state = tmp_path / "state"
    first = process("--state-dir", str(state), "--max-sessions", "4", snapshot_s="0.2")
    rest = open_session(first, "rest")
    with first.stream("live") as talk:
        talk.begin(clip, box)
        boxes = [talk.track(index, clip[index]).box for index in range(1, 7)]
        until(lambda: len(list(state.rglob("*.session"))) == 2)
        after_a_round(state)
        for index in (7, 8):  # answered, and perhaps not in a snapshot any more
            boxes.append(talk.track(index, clip[index]).box)
        assert first.end(signal.SIGKILL) == -signal.SIGKILL
    assert boxes == truth[:8]

    second = process("--state-dir", str(state), "--max-sessions", "4")
    listed = {one["session"]: one for one in second.call("GET", "/v1/sessions").json["sessions"]}
    assert set(listed) == {"live", rest}
    assert all(one["restored"] for one in listed.values())
    with second.stream("live") as talk:
        welcome = talk.hello(last_index=8)
        assert welcome.resumed
        last = welcome.last_index
        assert last >= 6
        assert welcome.frames_lost == 8 - last
        boxes = [talk.track(index, clip[index]).box for index in range(last + 1, len(clip))]
        assert boxes == truth[last:]
    answer = second.call("POST", f"/v1/sessions/{rest}/frames?pts=1", clip[1])
    assert Box(*answer.json["box"]) == truth[0]


def test_a_server_that_is_told_to_stop_loses_nothing(
    process: Any, film: Film, truth: Any, tmp_path: Path, until: Any
) -> None:
    clip, box = film
    arguments = ("--state-dir", str(tmp_path), "--max-sessions", "2")
    first = process(*arguments, snapshot_s="3600")
    kib = load_bundle("tracker-nano").spec.state_bytes / 1024
    printed = f"2 slots of {kib:.1f} KiB state and at most 64.0 KiB besides, {2 * (kib + 64):.1f} KiB in all"
    assert any(printed in line for line in first.lines)
    with first.stream("live") as talk:
        talk.begin(clip, box)
        assert [talk.track(index, clip[index]).box for index in range(1, 6)] == truth[:5]
        talk.frame(6, clip[6])
        until(lambda: first.call("GET", "/v1/sessions/live").json["last_index"] == 6)
        assert first.end(signal.SIGTERM) == 0
        heard = talk.rest()
        assert heard[0].box == truth[5]
        assert heard[1:] == [wire.Bye("the server stops", resumable=True)]
    logs = [json.loads(line) for line in first.lines if line.startswith("{")]
    assert {"time", "level", "logger", "message"} <= logs[0].keys()
    assert any(line["message"] == "session open" and line["session"] == "live" for line in logs)
    second = process(*arguments)
    with second.stream("live") as talk:
        welcome = talk.hello(last_index=6)
        assert (welcome.resumed, welcome.last_index, welcome.frames_lost) == (True, 6, 0)
        assert talk.track(7, clip[7]).box == truth[6]
        talk.say(wire.Bye())
        assert talk.hear() == wire.Bye("done")
    assert second.end(signal.SIGINT) == 0
    assert not list(tmp_path.rglob("*.session"))


def test_what_cannot_be_restored_is_told_and_kept(
    serve: Any, tmp_path: Path, open_session: Any, caplog: pytest.LogCaptureFixture
) -> None:
    first = serve(capacity=2, state_dir=tmp_path)
    open_session(first, "one")
    first.stop()
    (good,) = tmp_path.rglob("*.session")
    bad = good.with_name("bad.session")
    bad.write_bytes(good.read_bytes()[:-1] + b"?")
    second = serve(capacity=2, state_dir=tmp_path)
    assert [one["session"] for one in second.call("GET", "/v1/sessions").json["sessions"]] == ["one"]
    second.stop()
    told = [record for record in caplog.records if record.getMessage() == "session not restored"]
    assert [record.__dict__["file"] for record in told] == ["bad.session"]
    assert bad.exists()
