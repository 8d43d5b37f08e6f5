"""Whole videos: the same boxes as the command gives, progress, cancelling, and a restart."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from framestate.server.jobs import MOST_ATTEMPTS, Job, JobStore
from framestate.vision import VideoReader

from .clips import write_clip

BOX = "box=60,50,40,30"


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("video") / "clip.mp4", 12)


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("video") / "long.mp4", 600)


def finished(running: Any, key: str, until: Any) -> Any:
    def over() -> Any:
        job = running.call("GET", f"/v1/videos/{key}").json
        return job if job["state"] not in ("queued", "running") else None

    return until(over, 60)


def test_a_video_gives_what_the_command_gives(shared: Any, video: Path, tmp_path: Path, until: Any) -> None:
    uploaded = shared.call("POST", f"/v1/videos?{BOX}&box=20,20,30,30&annotate=true", video.read_bytes())
    assert uploaded.status == 202
    key = uploaded.json["id"]
    assert uploaded.headers["location"] == f"/v1/videos/{key}"
    job = finished(shared, key, until)
    assert (job["state"], job["frames"], job["progress"], job["attempts"]) == ("done", 12, 1.0, 1)
    assert job["results"] == ["boxes.csv", "tracked.mp4"]
    boxes = shared.call("GET", f"/v1/videos/{key}/results/boxes.csv")
    assert boxes.headers["content-type"].startswith("text/csv")
    done = subprocess.run(
        [sys.executable, "-m", "framestate.cli.main", "track", str(video), "--box", "60,50,40,30",
         "--box", "20,20,30,30", "--boxes", str(tmp_path / "boxes.csv"), "--threads", "1"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert boxes.body == (tmp_path / "boxes.csv").read_bytes()
    (tmp_path / "tracked.mp4").write_bytes(shared.call("GET", f"/v1/videos/{key}/results/tracked.mp4").body)
    with VideoReader(tmp_path / "tracked.mp4") as film:
        assert len(list(film)) == 12
    for name in ("input", "other.csv", "..%2finput", "..%2f..%2f..%2fjobs.sqlite"):
        assert shared.call("GET", f"/v1/videos/{key}/results/{name}").status == 404
    assert [one["id"] for one in shared.call("GET", "/v1/videos").json["videos"]] == [key]
    assert shared.call("POST", f"/v1/videos/{key}/cancel").json["code"] == "SessionError"
    assert shared.call("DELETE", f"/v1/videos/{key}").status == 204
    assert shared.call("GET", f"/v1/videos/{key}").status == 404
    assert shared.engine.slots.num_used == 0


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        (f"/v1/videos?{BOX}", b"no video", 422, "VideoError"),
        (f"/v1/videos?{BOX}", b"", 400, "RequestError"),
        (f"/v1/videos?{BOX}", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/x\n", 422, "VideoError"),
        (f"/v1/videos?{BOX}", b"ffconcat version 1.0\nfile /etc/passwd\n", 422, "VideoError"),
        ("/v1/videos?box=9000,1,5,5", None, 422, "BoxError"),
        ("/v1/videos", None, 422, "OptionError"),
        (f"/v1/videos?{BOX}&task=interpolation", None, 404, "UnknownModelError"),
        (f"/v1/videos?{BOX}&model=none", None, 404, "UnknownModelError"),
        (f"/v1/videos?{BOX}&task=dancing", None, 404, "UnknownModelError"),
    ],
)
def test_what_is_no_job_leaves_nothing(
    shared: Any, video: Path, path: str, body: bytes | None, status: int, code: str
) -> None:
    answer = shared.call("POST", path, video.read_bytes() if body is None else body)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert "/tmp" not in answer.json["detail"]
    assert shared.call("GET", "/v1/videos").json == {"videos": []}


def test_a_job_of_half_a_file_says_so(shared: Any, long_video: Path, until: Any) -> None:
    data = long_video.read_bytes()
    at = data.index(b"moov")  # a file whose table of contents comes first, as uploads that broke off have it
    assert at < 1000, "write_clip puts it elsewhere"
    key = shared.call("POST", f"/v1/videos?{BOX}", data[: len(data) // 2]).json["id"]
    job = finished(shared, key, until)
    assert job["state"] == "done"
    assert 0 < job["frames"] < 600
    assert any("ends early" in words for words in job["notes"])


def test_records_of_a_server_without_notes_are_read(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs.sqlite")
    store.put(Job("a", "tracking", "m", {}))
    store.close()
    with sqlite3.connect(tmp_path / "jobs.sqlite") as database:
        database.execute("ALTER TABLE jobs DROP COLUMN notes")
    database.close()
    store = JobStore(tmp_path / "jobs.sqlite")
    assert store.get("a").notes == ()  # type: ignore[union-attr]
    store.put(Job("b", "tracking", "m", {}, notes=("x",)))
    assert [job.notes for job in store.all()] == [(), ("x",)]
    store.close()


def test_a_job_can_be_cancelled(serve: Any, long_video: Path, until: Any) -> None:
    running = serve(max_videos=2)
    first, second = (
        running.call("POST", f"/v1/videos?{BOX}", long_video.read_bytes()).json["id"] for _ in range(2)
    )
    full = running.call("POST", f"/v1/videos?{BOX}", long_video.read_bytes())
    assert (full.status, full.json["code"]) == (429, "TooManyError")
    until(lambda: running.call("GET", f"/v1/videos/{first}").json["frames"] > 3)
    assert 0 < running.call("GET", f"/v1/videos/{first}").json["progress"] < 1
    assert running.call("GET", f"/v1/videos/{second}").json["state"] == "queued"
    for key in (second, first):
        assert running.call("POST", f"/v1/videos/{key}/cancel").json["state"] == "cancelled"
    until(lambda: running.engine.slots.num_used == 0)
    for key in (first, second):
        assert running.call("GET", f"/v1/videos/{key}").json["state"] == "cancelled"
        assert running.call("DELETE", f"/v1/videos/{key}").status == 204
    third = running.call("POST", f"/v1/videos?{BOX}", long_video.read_bytes()).json["id"]
    until(lambda: running.call("GET", f"/v1/videos/{third}").json["frames"] > 0)
    assert running.call("DELETE", f"/v1/videos/{third}").status == 204
    assert running.call("GET", "/v1/videos").json == {"videos": []}


def test_live_sessions_go_first(serve: Any, video: Path, until: Any, open_session: Any) -> None:
    running = serve(capacity=1)
    key = open_session(running)
    job = running.call("POST", f"/v1/videos?{BOX}", video.read_bytes()).json["id"]
    until(lambda: running.call("GET", f"/v1/videos/{job}").json["state"] == "running")
    assert running.call("GET", f"/v1/videos/{job}").json["frames"] == 0  # it waits for a slot
    running.call("DELETE", f"/v1/sessions/{key}")
    assert finished(running, job, until)["state"] == "done"


def test_a_restart_begins_a_video_anew(process: Any, long_video: Path, tmp_path: Path, until: Any) -> None:
    first = process("--state-dir", str(tmp_path), "--max-sessions", "2", snapshot_s="0.1")
    key, other = (
        first.call("POST", f"/v1/videos?{BOX}", long_video.read_bytes()).json["id"] for _ in range(2)
    )
    until(lambda: first.call("GET", f"/v1/videos/{key}").json["frames"] > 20)
    first.end(signal.SIGKILL)
    (tmp_path / "videos" / other / "input").unlink()
    (tmp_path / "videos" / ("0" * 32)).mkdir()  # an upload that was under way
    second = process("--state-dir", str(tmp_path), "--max-sessions", "2")
    job = second.call("GET", f"/v1/videos/{key}").json
    assert job["state"] in ("queued", "running")
    gone = second.call("GET", f"/v1/videos/{other}").json
    assert (gone["state"], gone["error"]["code"]) == ("failed", "RunError")
    assert not (tmp_path / "videos" / ("0" * 32)).exists()
    until(lambda: second.call("GET", f"/v1/videos/{key}").json["attempts"] == 2)
    assert [one["session"] for one in second.call("GET", "/v1/sessions").json["sessions"]] == []
    assert second.end(signal.SIGTERM) == 0
    store = JobStore(tmp_path / "jobs.sqlite")
    kept = store.get(key)
    store.close()
    assert kept is not None
    assert (kept.state, kept.attempts) == ("queued", 1)  # being told to stop is no failed attempt


def test_a_video_that_kills_the_server_is_given_up(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs.sqlite")
    for name, attempts in (("a", MOST_ATTEMPTS), ("b", MOST_ATTEMPTS - 1)):
        store.put(Job(name, "tracking", "m", {}, state="running", attempts=attempts, total=5))
        (tmp_path / name).mkdir()
        (tmp_path / name / "input").touch()
    store.put(Job("c", "tracking", "m", {}, state="done", results=("boxes.csv",)))
    store.recover(tmp_path)
    assert [job.state for job in store.all()] == ["failed", "queued", "done"]
    assert "ended 3 times" in json.dumps(dict(store.all()[0].error or {}))
    store.close()
