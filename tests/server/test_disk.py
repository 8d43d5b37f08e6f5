"""A disk that fills and is freed again, videos that are kept for a while, and several done side by side."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from framestate.errors import UnavailableError
from framestate.server.disk import Disk
from framestate.server.jobs import Job, JobStore
from framestate.server.videos import Videos

from .clips import write_clip
from .disks import mounted

BOX = "box=60,50,40,30"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Four seconds of work or so."""
    return write_clip(tmp_path_factory.mktemp("video") / "clip.mp4", 1200).read_bytes()


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_clip(tmp_path_factory.mktemp("video") / "short.mp4", 6).read_bytes()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB."""
    with mounted(tmp_path / "disk", "size=6m") as folder:
        yield folder


def fill(folder: Path) -> Path:
    """Takes all the room there is, or has become again."""
    path = folder / "filler"
    with path.open("ab", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                pass
    return path


def state_of(running: Any, key: str) -> Any:
    return running.call("GET", f"/v1/videos/{key}").json


def test_a_full_disk_fails_what_it_stops_and_nothing_else(
    serve: Any, small_disk: Path, clip: bytes, short: bytes, until: Any, open_session: Any, film: Any
) -> None:
    running = serve(state_dir=small_disk, snapshot_s=0.2, idle_s=8)  # looked after every second or so
    session = open_session(running)
    key = running.call("POST", f"/v1/videos?{BOX}&annotate=true", clip).json["id"]
    until(lambda: state_of(running, key)["frames"] > 20)
    filler = fill(small_disk)
    job = until(lambda: (now := state_of(running, key))["state"] != "running" and now, 60)
    assert (job["state"], job["error"]["code"]) == ("failed", "StorageError")
    refused = running.call("POST", f"/v1/videos?{BOX}", short)
    assert (refused.status, refused.json["code"]) == (507, "StorageError")

    def unready() -> Any:
        fill(small_disk)  # what the failed job had written is deleted some time
        answer = running.call("GET", "/v2/health/ready")
        return answer if answer.status == 503 else None

    answer = until(unready)
    assert "state folder" in answer.json["problem"] or "recorded" in answer.json["problem"]
    assert running.call("GET", "/v2/health/live").status == 200
    assert running.call("POST", f"/v1/sessions/{session}/frames?pts=1", film[0][1]).status == 200

    filler.unlink()
    until(lambda: running.call("GET", "/v2/health/ready").status == 200)
    key = running.call("POST", f"/v1/videos?{BOX}", short).json["id"]
    until(lambda: state_of(running, key)["state"] == "done")
    assert [one.name for one in small_disk.glob("videos/*/results/*")] == ["boxes.csv"]


def test_a_disk_that_is_no_more_is_told_of_and_found_again(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "state")
    disk.folder.write_text("a file")  # so that nothing can be made in it, or deleted
    disk.probe()
    with pytest.raises(UnavailableError, match=r"cannot be written \(.*\)\. have it writable again"):
        disk.check()
    disk.folder.unlink()
    disk.folder.mkdir()
    disk.probe()
    disk.check()
    assert not list(disk.folder.iterdir())


def test_tidying_goes_on_after_a_video_that_somebody_else_deleted(
    serve: Any, short: bytes, until: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, gone = Videos._too_old, Job("gone", "tracking", "tracker-nano", {}, "done")
    monkeypatch.setattr(Videos, "_too_old", lambda self: [gone, *real(self)])
    running = serve(state_dir=tmp_path, keep_videos=1.0)
    key = running.call("POST", f"/v1/videos?{BOX}", short).json["id"]
    until(lambda: running.call("GET", f"/v1/videos/{key}").status == 404)


def test_videos_that_are_over_make_room(serve: Any, short: bytes, until: Any, tmp_path: Path) -> None:
    running = serve(state_dir=tmp_path, max_videos=1, keep_videos="2s")
    for _ in range(3):  # what is done does not count
        key = running.call("POST", f"/v1/videos?{BOX}", short).json["id"]
        until(lambda key=key: state_of(running, key)["state"] == "done")
    until(lambda: running.call("GET", "/v1/videos").json["videos"] == [])
    assert not list((tmp_path / "videos").iterdir())


def test_the_oldest_videos_go_where_they_take_too_much(
    serve: Any, short: bytes, until: Any, tmp_path: Path
) -> None:
    running = serve(state_dir=tmp_path, keep_videos=8.0, keep_videos_bytes=2 * len(short))
    keys = [running.call("POST", f"/v1/videos?{BOX}", short).json["id"] for _ in range(3)]
    until(lambda: {one["id"] for one in running.call("GET", "/v1/videos").json["videos"]} == {keys[2]})


def test_several_videos_are_worked_on_at_once(serve: Any, clip: bytes, until: Any) -> None:
    running = serve(video_workers=2)
    keys = [running.call("POST", f"/v1/videos?{BOX}", clip).json["id"] for _ in range(3)]
    until(lambda: [state_of(running, key)["state"] for key in keys[:2]] == ["running", "running"])
    assert state_of(running, keys[2])["state"] == "queued"
    for key in keys:
        assert running.call("DELETE", f"/v1/videos/{key}").status == 204


def test_half_a_file_of_a_killed_attempt_goes(serve: Any, tmp_path: Path) -> None:
    """The server was killed at work, and the job was cancelled, or ended, by the next one."""
    results = tmp_path / "videos" / "one" / "results"
    results.mkdir(parents=True)
    for name in ("boxes.part", "boxes.csv"):
        (results / name).write_bytes(b"1")
    store = JobStore(tmp_path / "jobs.sqlite")
    store.put(Job("one", "tracking", "tracker-nano", {}, "done", results=("boxes.csv",)))
    store.close()
    serve(state_dir=tmp_path)
    assert [path.name for path in results.iterdir()] == ["boxes.csv"]


def test_jobs_stand_in_the_order_in_which_they_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the clock is set back between two of them, and when one of them changes."""
    store = JobStore(tmp_path / "jobs.sqlite")
    real = time.time
    for number, hours in enumerate((0, -1, 2)):
        monkeypatch.setattr(time, "time", lambda hours=hours: real() + 3600 * hours)
        store.put(Job(f"{9 - number}", "tracking", "tracker-nano", {}))
    first = store.get("9")
    assert first is not None
    store.put(first)
    assert [job.id for job in store.queued()] == ["9", "8", "7"]
    store.close()
