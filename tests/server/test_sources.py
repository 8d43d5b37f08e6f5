"""Live sources: files, real streams of real servers, loss of connection, several viewers."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from framestate import wire
from framestate.errors import OptionError
from framestate.server.live import parse_source
from framestate.vision import decode_image

from ..ports import free_port

FFMPEG = shutil.which("ffmpeg")
RTSP_SERVER = """
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer, GLib
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1"); server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory(); factory.set_shared(True)
raw = "video/x-raw,format=I420,width=160,height=120,framerate=10/1"
source = f"videotestsrc is-live=true pattern=ball ! {raw}"
coded = "x264enc tune=zerolatency key-int-max=10 ! rtph264pay name=pay0 pt=96"
factory.set_launch(f"( {source} ! {coded} )")
server.get_mount_points().add_factory("/live", factory)
server.attach(None)
GLib.MainLoop().run()
"""


def has_gstreamer() -> bool:
    code = (
        'import gi; gi.require_version("GstRtspServer", "1.0"); from gi.repository import GstRtspServer, Gst;'
    )
    check = (
        'Gst.init(None); raise SystemExit(not all(map(Gst.ElementFactory.find, ["x264enc", "rtph264pay"])))'
    )
    done = subprocess.run(["/usr/bin/python3", "-c", code + check], check=False, capture_output=True)
    return done.returncode == 0


@pytest.fixture
def run() -> Iterator[Callable[..., Any]]:
    """Starts programs, and ends them."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> Any:
        started.append(
            subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        )
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.wait()


def state(running: Any, name: str = "cam") -> Any:
    return running.call("GET", f"/v1/sources/{name}").json


def test_a_source_is_looked_at_followed_and_watched(serve: Any, clip_file: Path, until: Any) -> None:
    running = serve(sources=(f"cam={clip_file}",))
    until(lambda: state(running)["state"] == "live" and state(running)["frames"])
    assert (state(running)["width"], state(running)["height"]) == (160, 120)
    look = running.call("GET", "/v1/sources/cam/frame")
    assert decode_image(look.body).shape == (120, 160, 3)
    index = int(look.headers["x-frame-index"])
    with (
        running.stream("cam", "/v1/sources/{}/stream") as first,
        running.stream("source-cam") as second,
    ):
        for viewer in (first, second):
            welcome = viewer.hello()
            assert (welcome.session, welcome.resumed) == ("source-cam", False)
            assert isinstance(viewer.hear(), wire.Picture)
        chosen = running.call("POST", f"/v1/sources/cam/target?box=60,50,40,30&index={index}")
        assert (chosen.status, chosen.json["session"]) == (201, "source-cam")
        seen = []
        for viewer in (first, second):
            heard = [viewer.hear() for _ in range(16)]
            tracks = [one for one in heard if isinstance(one, wire.SceneAnswer)]
            pictures = [one for one in heard if isinstance(one, wire.Picture)]
            assert tracks
            assert [one.index for one in pictures] == sorted({one.index for one in pictures})
            for place, one in enumerate(heard):
                if isinstance(one, wire.SceneAnswer):
                    assert heard[place - 1].index == one.frame_index  # each follows its own picture
            assert all([target.id for target in one] == [1] for one in tracks)
            seen.append({one.frame_index: one[0].box for one in tracks})
        both = seen[0].keys() & seen[1].keys()
        assert both
        assert all(seen[0][key] == seen[1][key] for key in both)
        assert state(running)["viewers"] == 2
        second.say(wire.Open({"box": [1, 2, 3, 4]}))
        assert second.rest()[-1].code == "WireError"
        assert running.call("DELETE", "/v1/sources/cam/target").status == 204
        assert running.call("DELETE", "/v1/sources/cam/target").status == 404
        first.say(wire.Bye())
        assert first.rest()[-1] == wire.Bye("done")
    assert running.call("POST", "/v1/sources/cam/target?box=900,50,40,30").json["code"] == "BoxError"
    assert (
        running.call("POST", "/v1/sources/cam/target?box=1,1,40,30&index=999999").json["code"]
        == "UnknownItemError"
    )
    until(lambda: state(running)["reconnects"] >= 1)  # the file began again
    assert state(running)["frames"] > 20


def test_nobody_can_make_the_server_read_an_address(shared: Any) -> None:
    for path in ("/v1/sources/rtsp%3A%2F%2Flocalhost/frame", "/v1/sources/x/target?box=1,1,9,9"):
        method = "POST" if "target" in path else "GET"
        assert shared.call(method, path).status in (404, 422)
    body = b'{"name": "x", "address": "rtsp://127.0.0.1/live"}'
    assert shared.call("POST", "/v1/sources", body).json["code"] == "ForbiddenError"
    assert shared.call("GET", "/v1/sources").json == {"sources": []}


@pytest.mark.parametrize(
    "text",
    ["", "cam", "cam=", "=x", "a b=/dev/video0", "cam=/no/file", "cam=gopher://x/", "cam=file:///etc/passwd"],
)
def test_a_source_needs_a_name_and_a_known_address(text: str) -> None:
    with pytest.raises(OptionError):
        parse_source(text)


def test_an_address_is_never_shown(serve: Any, until: Any) -> None:
    address = f"rtsp://user:secret@127.0.0.1:{free_port()}/live"
    assert "secret" not in repr(parse_source(f"cam={address}"))
    running = serve(sources=(f"cam={address}",))
    until(lambda: state(running)["problem"])
    answer = running.call("GET", "/v1/sources")
    assert answer.json["sources"][0]["state"] in ("away", "connecting")
    assert b"secret" not in answer.body
    look = running.call("GET", "/v1/sources/cam/frame")
    assert (look.status, look.json["code"]) == (503, "UnavailableError")
    assert b"secret" not in look.body
    with running.stream("cam", "/v1/sources/{}/stream") as viewer:
        assert isinstance(viewer.hello(), wire.Welcome)  # it may wait for the source to come


@pytest.mark.skipif(FFMPEG is None, reason="there is no ffmpeg here")
def test_a_real_stream_comes_back_and_is_followed_on(
    serve: Any, run: Any, until: Any, clip_file: Path
) -> None:
    assert FFMPEG is not None
    port = free_port()
    command = [FFMPEG, "-re", "-stream_loop", "-1", "-i", str(clip_file), "-c:v", "mpeg2video", "-q:v", "3",
               "-f", "mpegts", f"tcp://127.0.0.1:{port}?listen=1"]  # fmt: skip
    running = serve(sources=(f"cam=tcp://127.0.0.1:{port}",))
    until(lambda: state(running)["problem"])  # nobody is there yet
    first = run(*command)
    until(lambda: state(running)["state"] == "live", 40)
    assert running.call("POST", "/v1/sources/cam/target?box=60,50,40,30").status == 201
    with running.stream("cam", "/v1/sources/{}/stream") as viewer:
        assert viewer.hello().resumed
        before = next(one for one in iter(viewer.hear, None) if isinstance(one, wire.SceneAnswer))
        first.kill()
        first.wait()
        until(lambda: state(running)["state"] != "live", 40)
        run(*command)
        until(lambda: state(running)["reconnects"] == 1, 40)
        heard = [viewer.hear() for _ in range(6)]
        after = [one for one in heard if isinstance(one, wire.SceneAnswer)]
        assert after
        assert all(one.frame_index > before.frame_index for one in after)
    assert state(running)["session"] == "source-cam"
    events = running.call("GET", "/v1/events").json["events"]
    assert [one["type"] for one in events if one.get("source") == "cam"] == [
        "source.away", "source.back", "source.away", "source.back",
    ]  # fmt: skip


@pytest.mark.skipif(not has_gstreamer(), reason="GStreamer's RTSP server and its Python binding are not here")
def test_an_rtsp_server_is_read(serve: Any, run: Any, until: Any) -> None:
    port = free_port()
    run("/usr/bin/python3", "-c", RTSP_SERVER, str(port))
    running = serve(sources=(f"cam=rtsp://127.0.0.1:{port}/live",))
    until(lambda: state(running)["frames"] > 5, 40)
    assert (state(running)["width"], state(running)["height"]) == (160, 120)
    assert running.call("POST", "/v1/sources/cam/target?box=60,50,40,30").status == 201
    with running.stream("cam", "/v1/sources/{}/stream") as viewer:
        viewer.hello()
        tracks = [one for one in (viewer.hear() for _ in range(8)) if isinstance(one, wire.SceneAnswer)]
        assert len(tracks) >= 3
    assert state(running)["reconnects"] == 0


def test_a_source_goes_on_after_a_restart(serve: Any, clip_file: Path, tmp_path: Path, until: Any) -> None:
    first = serve(sources=(f"cam={clip_file}",), state_dir=tmp_path)
    until(lambda: state(first)["frames"])
    assert first.call("POST", "/v1/sources/cam/target?box=60,50,40,30").status == 201
    until(lambda: first.call("GET", "/v1/sessions/source-cam").json["last_index"] > 3)
    first.stop()
    second = serve(sources=(f"cam={clip_file}",), state_dir=tmp_path)
    assert state(second)["session"] == "source-cam"
    before = second.call("GET", "/v1/sessions/source-cam").json
    assert before["seconds_left"] is None
    until(lambda: second.call("GET", "/v1/sessions/source-cam").json["last_index"] > before["last_index"] + 3)


def test_a_target_is_followed_until_another_one_is(serve: Any, clip_file: Path, until: Any) -> None:
    """What cannot be opened, for a reason of any kind, takes the place of nothing."""
    running = serve(capacity=2, sources=(f"cam={clip_file}",))
    until(lambda: state(running)["frames"] > 0)
    assert running.call("POST", "/v1/sources/cam/target?box=60,50,40,30").status == 201
    before = running.hub.find("source-cam")
    for wrong in ("box=60,50,40,30&model=none", "box=900,50,40,30", "", "box=1,1,9,9&options={%22a%22:1}"):
        assert running.call("POST", f"/v1/sources/cam/target?{wrong}").status in (404, 422)
        assert running.hub.find("source-cam") is before
    assert running.call("POST", "/v1/sources/cam/target?box=50,50,40,30").status == 201
    after = running.hub.find("source-cam")
    assert after is not before
    jpeg = running.call("GET", "/v1/sources/cam/frame").body
    assert running.call("POST", "/v1/sessions?box=60,50,40,30", jpeg).status == 201  # the last slot
    assert running.call("POST", "/v1/sources/cam/target?box=60,50,40,30").status == 503
    assert running.hub.find("source-cam") is after
    assert running.engine.slots.num_used == 2


def test_no_clock_that_is_set_stops_a_source(
    serve: Any, clip_file: Path, tmp_path: Path, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine's clock is an hour back after a restart, then a day, then it is set to next year."""

    def pts(running: Any) -> int:
        return int(running.hub.find("source-cam").session.clock.pts)

    first = serve(sources=(f"cam={clip_file}",), state_dir=tmp_path)
    until(lambda: state(first)["frames"] > 0)
    assert first.call("POST", "/v1/sources/cam/target?box=60,50,40,30").status == 201
    begun = first.hub.find("source-cam").last_index
    until(lambda: first.hub.find("source-cam").last_index > begun + 3)
    last = pts(first)
    first.stop()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 3600)
    second = serve(sources=(f"cam={clip_file}",), state_dir=tmp_path)
    entry = second.hub.find("source-cam")
    answered = entry.last_index
    until(lambda: entry.last_index > answered + 5)
    assert 1000 <= pts(second) - last < 60_000
    monkeypatch.setattr(time, "time", lambda: real() - 86_400)  # while it runs
    frames, at = entry.last_index, pts(second)
    until(lambda: entry.last_index > frames + 10)
    passed = (pts(second) - at) / (entry.last_index - frames)
    monkeypatch.setattr(time, "time", lambda: real() + 3e7)
    assert passed > 20  # ms from frame to frame, as before
    frames, at = entry.last_index, pts(second)
    until(lambda: entry.last_index > frames + 10)
    assert pts(second) - at < 60_000
