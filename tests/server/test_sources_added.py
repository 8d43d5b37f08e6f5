"""Live sources that come and go while the server runs, and cameras whose pictures change their size."""

from __future__ import annotations

import json
import os
import signal
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framestate.errors import ForbiddenError, OptionError
from framestate.server.allowed_sources import AllowedSources
from framestate.server.fitted import fitted
from framestate.server.live import Address
from framestate.vision import Frame, decode_image

from .clips import RATE, write_clip


def added(running: Any, name: str, where: object, **headers: str) -> Any:
    return running.call(
        "POST", "/v1/sources", json.dumps({"name": name, "address": str(where)}).encode(), **headers
    )


@pytest.mark.parametrize(
    ("place", "good", "bad"),
    [
        (
            "rtsp://10.0.0.*/live/",
            ["rtsp://10.0.0.7/live", "rtsp://u:p@10.0.0.7:554/live/a?x=1", "rtsp://10.0.0.7/live/a/b"],
            [
                "rtsp://10.0.1.7/live", "rtsp://10.0.0.7/live2", "rtsp://10.0.0.7/", "rtsp://10.0.0.7:80/live",
                "http://10.0.0.7/live", "rtsp://10.0.0.7@evil.example/live", "rtsp://evil.example/@10.0.0.7/live",
                "rtsp://10.0.0.7/live/../secret", "rtsp://10.0.0.7/live/%2e%2e/secret", "rtsp://a@b@10.0.0.7/live",
                "rtsp://evil.example#@10.0.0.7/live", "rtsp://evil.example\\@10.0.0.7/live",
                "rtsp://10.0.0.7.evil/live",
                "rtsp://10.0.0.7 /live", "rtsp://10.0.0.7/live\n", "rtsp://10.0.0.1.2/live", "/live",
                "RTSP:/10.0.0.7/live",
            ],
        ),
        ("rtsp://*.cams.example/", ["rtsp://a.cams.example/x"], ["rtsp://a.b.cams.example/x", "rtsp://cams.example/"]),
        ("http://cam.example:8080/", ["http://cam.example:8080/v.mp4"], ["http://cam.example/v.mp4"]),
        ("tcp://cam.example:5000", ["tcp://cam.example:5000"], ["tcp://cam.example:5000?listen=1", "tcp://cam.example"]),
        ("rtsp://[fd00::7]/", ["rtsp://[fd00::7]/x"], ["rtsp://[fd00::8]/x"]),
        ("/dev/video*", ["/dev/video0", "/dev/video12"], ["/dev/sda", "/dev/video0/../sda", "/dev/video"]),
        ("/dev/video1", ["/dev/video1"], ["/dev/video0", "/dev/video10"]),
        ("/srv/films", ["/srv/films/a.mp4", "/srv/films/b/c.mp4"], ["/srv/filmsx", "/srv/films/../a"]),
    ],
)  # fmt: skip
def test_a_place_holds_what_lies_in_it_and_nothing_else(place: str, good: list[str], bad: list[str]) -> None:
    allowed = AllowedSources([place])
    for where in good:
        allowed.check(Address("x", where))
    for where in bad:
        with pytest.raises(ForbiddenError) as caught:
            allowed.check(Address("x", where))
        assert where not in str(caught.value)


@pytest.mark.parametrize(
    "place",
    [
        "films",
        "ftp://x/",
        "rtsp://",
        "rtsp://u:p@cam/",
        "rtsp://cam/?a",
        "tcp://cam",
        "rtsp://c am/",
        "rtsp://cam:0/",
    ],
)
def test_what_is_no_place_is_said_at_the_start(place: str) -> None:
    with pytest.raises(OptionError):
        AllowedSources([place])


def test_a_link_out_of_the_folder_is_outside(tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    (tmp_path / "secret").touch()
    (folder / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(ForbiddenError):
        AllowedSources([str(folder)]).check(Address("x", str(folder / "link")))


def test_sources_come_and_go(serve: Any, clip_file: Path, until: Any, tmp_path: Path) -> None:
    running = serve(allow_sources=(str(clip_file.parent),), state_dir=tmp_path, max_sources=2)
    made = added(running, "yard", clip_file)
    assert (made.status, made.json["name"]) == (201, "yard")
    assert str(clip_file) not in made.body.decode()
    until(lambda: running.call("GET", "/v1/sources/yard").json["state"] == "live")
    assert added(running, "yard", clip_file).status == 409
    assert added(running, "gate", clip_file.parent / "none.mp4").status == 422
    for name, where in (("gate", "/etc/hostname"), ("gate", "rtsp://127.0.0.1/x"), ("gate", "/etc/none")):
        refused = added(running, name, where)
        assert (refused.status, refused.json["code"]) == (403, "ForbiddenError")
        assert where not in refused.body.decode()
    assert added(running, "a/b", clip_file).status == 422
    assert added(running, "gate", clip_file).status == 201
    assert added(running, "roof", clip_file).json["code"] == "CapacityError"
    kept = tmp_path / "sources.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert running.call("POST", "/v1/sources/yard/target?box=60,50,40,30").status == 201
    with running.stream("yard", "/v1/sources/{}/stream") as watching:
        watching.hello()
        assert running.call("DELETE", "/v1/sources/yard").status == 204
        assert watching.rest()[-1].code == "UnknownItemError"
    assert running.call("GET", "/v1/sessions/source-yard").status == 404
    assert running.call("DELETE", "/v1/sources/yard").status == 404
    assert [one["name"] for one in running.call("GET", "/v1/sources").json["sources"]] == ["gate"]
    assert json.loads(kept.read_text()) == {"gate": str(clip_file)}
    running.stop()
    again = serve(allow_sources=(str(clip_file.parent),), state_dir=tmp_path)
    until(lambda: again.call("GET", "/v1/sources/gate").json["state"] == "live")
    again.stop()
    other = serve(state_dir=tmp_path)  # nothing is allowed any more
    assert other.call("GET", "/v1/sources").json == {"sources": []}


@pytest.mark.parametrize("text", ["{", "[]", '{"gate": 7}', ""])
def test_a_damaged_list_is_told_of_and_left_out(
    serve: Any, tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "sources.json").write_text(text)
    assert serve(state_dir=tmp_path).call("GET", "/v1/sources").json == {"sources": []}
    assert "sources not restored" in caplog.messages


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"name": "x"}', b'{"name": 1, "address": "y"}',
                                  b'{"name": "x", "address": "y", "more": "z"}', b"x" * 9000])  # fmt: skip
def test_a_body_that_is_no_source_is_refused(shared: Any, body: bytes) -> None:
    answer = shared.call("POST", "/v1/sources", body)
    assert answer.status in (400, 413, 422)
    assert answer.json["remedy"]


def test_sighup_reads_the_file_of_sources_again(
    process: Any, clip_file: Path, tmp_path: Path, until: Any
) -> None:
    file = tmp_path / "sources"
    file.write_text(f"door={clip_file}\nyard={clip_file}\n")
    server = process("--source-file", str(file))

    def names() -> list[str]:
        return [one["name"] for one in server.call("GET", "/v1/sources").json["sources"]]

    assert names() == ["door", "yard"]
    file.write_text(f"yard={clip_file}\n# door\nroof={clip_file}\n")
    os.kill(server.pid, signal.SIGHUP)
    until(lambda: names() == ["yard", "roof"])
    file.write_text(f"yard={clip_file}\nyard=/none\n")
    os.kill(server.pid, signal.SIGHUP)
    until(lambda: server.call("GET", "/v1/sources/roof").json["state"] == "live")
    assert names() == ["yard", "roof"]
    assert server.end(signal.SIGTERM) == 0


def test_a_frame_is_fitted_whole_and_undistorted() -> None:
    image = np.full((120, 160, 3), 200, np.uint8)
    frame = Frame(image, 7, RATE, 3)
    assert fitted(frame, 160, 120) is frame
    for size in ((320, 240), (80, 60), (160, 160), (40, 120), (1, 1)):
        other = fitted(frame, *size)
        assert (other.width, other.height, other.pts, other.index) == (*size, 7, 3)
    tall = fitted(frame, 160, 160).image
    assert (tall[20:140] == 200).all()
    assert (tall[:20] == 0).all()
    assert (tall[140:] == 0).all()


def test_a_list_that_is_too_long_changes_nothing(serve: Any, clip_file: Path) -> None:
    given = (f"a={clip_file}", f"b={clip_file}")
    running = serve(sources=given, max_sources=2)
    with pytest.raises(OptionError, match="may be 2 sources"):
        running.server.sources.replace(given, (*given[:1], f"c={clip_file}", f"d={clip_file}"))
    assert [one["name"] for one in running.call("GET", "/v1/sources").json["sources"]] == ["a", "b"]


def test_a_camera_that_changes_its_size_is_followed_on(serve: Any, tmp_path: Path, until: Any) -> None:
    camera = tmp_path / "camera.mp4"

    def record(size: tuple[int, int]) -> None:
        write_clip(tmp_path / f"{size[0]}.mp4", 6, rate=10, size=size).replace(camera)

    record((160, 120))
    running = serve(sources=(f"cam={camera}",))
    until(lambda: running.call("GET", "/v1/sources/cam/frame").status == 200)
    with running.stream("cam", "/v1/sources/{}/stream") as watching:
        watching.hello()
        assert running.call("POST", "/v1/sources/cam/target?box=60,50,40,30").status == 201
        session = running.call("GET", "/v1/sessions/source-cam").json
        record((320, 180))
        until(lambda: running.call("GET", "/v1/sources/cam").json["width"] == 320)
        until(
            lambda: (
                running.call("GET", "/v1/sessions/source-cam").json["last_index"] > session["last_index"] + 8
            )
        )
        now = running.call("GET", "/v1/sessions/source-cam").json
        assert (now["width"], now["height"], now["opened_at"]) == (160, 120, session["opened_at"])
        heard = [watching.hear() for _ in range(60)]
        sizes = {decode_image(one.payload).shape for one in heard if hasattr(one, "payload")}
        assert sizes == {(120, 160, 3)}  # whoever watches sees what the boxes are of
    assert running.call("POST", "/v1/sources/cam/target?box=60,50,40,30").json["width"] == 320
