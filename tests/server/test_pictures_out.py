"""Annotated pictures of sources: motion JPEG, RTSP to GStreamer's server, WebRTC; delays do not grow."""

from __future__ import annotations

import asyncio
import http.client
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from framestate.errors import OptionError
from framestate.server import Settings
from framestate.server.app import create_app
from framestate.vision import decode_image

from ..ports import free_port
from .conftest import MODEL, load
from .test_sources import has_gstreamer, run

__all__ = ["run"]
RECORDER = """
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer, GLib
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1"); server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory()
factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
coded = "rtph264depay name=depay0 ! h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream"
factory.set_launch(f"( {coded} ! filesink location={sys.argv[2]} buffer-mode=unbuffered )")
server.get_mount_points().add_factory("/door", factory)
server.attach(None)
GLib.MainLoop().run()
"""
Pixels = npt.NDArray[np.uint8]


def follow(running: Any, until: Any) -> None:
    until(lambda: running.call("GET", "/v1/sources/cam/frame").status == 200)
    assert running.call("POST", "/v1/sources/cam/target?box=60,50,40,30").status == 201


@pytest.mark.alone
def test_motion_jpeg_shows_the_box_and_waits_for_nobody(serve: Any, clip_file: Path, until: Any) -> None:
    running = serve(sources=(f"cam={clip_file}",))
    plain = parts(running, 3)
    follow(running, until)
    drawn = parts(running, 6)
    for seen in (plain, drawn):
        assert [one[0] for one in seen] == sorted({one[0] for one in seen})
    assert all(one[1].shape == (120, 160, 3) for one in plain + drawn)
    look = decode_image(running.call("GET", "/v1/sources/cam/frame").body)
    assert coloured(drawn[-1][1]) > coloured(look) + 50
    slow = parts(running, 3, "?fps=2")
    assert slow[2][0] - slow[0][0] >= 7  # ten frames a second come, two of them are sent
    assert running.call("GET", "/v1/sources/none/mjpeg").status == 404
    head = running.call("HEAD", "/v1/sources/cam/mjpeg")
    assert (head.status, head.body) == (200, b"")
    assert running.call("GET", "/v1/sources/cam/mjpeg?fps=0").status == 422


def test_motion_jpeg_ends_with_the_source_and_with_the_server(
    serve: Any, clip_file: Path, until: Any
) -> None:
    running = serve(sources=(f"cam={clip_file}", f"yard={clip_file}"))
    ends = []
    for name in ("cam", "yard"):
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
        connection.request("GET", f"/v1/sources/{name}/mjpeg")
        ends.append((connection, connection.getresponse()))
    assert running.call("DELETE", "/v1/sources/cam").status == 204
    assert ends[0][1].read().endswith(b"--\r\n")
    running.server.should_exit = True
    assert ends[1][1].read().endswith(b"--\r\n")
    for connection, _ in ends:
        connection.close()


def parts(running: Any, count: int, query: str = "") -> list[tuple[int, Pixels]]:
    """Numbers and pictures of a motion JPEG."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
    try:
        connection.request("GET", f"/v1/sources/cam/mjpeg{query}")
        answer = connection.getresponse()
        assert answer.getheader("content-type") == "multipart/x-mixed-replace; boundary=framestate-picture"
        found: list[tuple[int, Pixels]] = []
        while len(found) < count:
            assert answer.readline() == b"--framestate-picture\r\n"
            head = b"".join(iter(answer.readline, b"\r\n")).decode()
            size = int(re.findall(r"content-length: (\d+)", head)[0])
            index = int(re.findall(r"x-frame-index: (\d+)", head)[0])
            found.append((index, decode_image(answer.read(size))))
            assert answer.readline() == b"\r\n"
        return found
    finally:
        connection.close()


def coloured(image: Pixels) -> int:
    """Pixels of strong colour, as boxes have them."""
    return int((np.ptp(image.astype(int), axis=2) > 120).sum())


def test_a_push_goes_to_a_real_rtsp_server_that_comes_back(
    serve: Any, clip_file: Path, tmp_path: Path, run: Any, until: Any
) -> None:
    if not has_gstreamer():
        pytest.skip("there is no GStreamer RTSP server here")
    port, files = free_port(), [tmp_path / "one.h264", tmp_path / "two.h264"]
    running = serve(sources=(f"cam={clip_file}",), pushes=(f"cam=rtsp://127.0.0.1:{port}/door",))
    follow(running, until)
    for file in files:
        server = run("/usr/bin/python3", "-c", RECORDER, str(port), str(file))
        until(lambda file=file: file.exists() and file.stat().st_size > 20_000, 40)
        server.kill()
        server.wait()
        with av.open(str(file), format="h264") as video:
            images: list[Any] = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
        assert len(images) > 5
        assert images[-1].shape == (120, 160, 3)
        assert max(coloured(one) for one in images) > 50


@pytest.mark.parametrize("push", ["cam", "none=rtsp://x/y", "cam=http://x/y", "cam=rtsp:///y"])
def test_a_push_needs_a_source_and_an_address(push: str, clip_file: Path) -> None:
    with load(1) as engine, pytest.raises(OptionError):
        create_app(Settings(sources=(f"cam={clip_file}",), pushes=(push,)), {MODEL: engine})


# WebRTC


@pytest.fixture
def web_rtc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides meet on this machine's own address, which WebRTC leaves out otherwise."""
    pytest.importorskip("aiortc")
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda *given, **named: ["127.0.0.1"])


def coded(number: int) -> Pixels:
    """A picture that says its number in 16 large squares, dark or bright."""
    image = np.full((128, 256, 3), 128, np.uint8)
    for bit in range(16):
        y, x = 64 * (bit // 8), 32 * (bit % 8)
        image[y : y + 64, x : x + 32] = 235 if number >> bit & 1 else 20
    return image


def number_in(image: Pixels) -> int:
    bits = [image[64 * (bit // 8) + 32, 32 * (bit % 8) + 16].mean() > 128 for bit in range(16)]
    return sum(bright << bit for bit, bright in enumerate(bits))


@asynccontextmanager
async def peer(
    running: Any, path: str, *, track: Any = None
) -> AsyncIterator[tuple[Any, str, asyncio.Queue[Any]]]:
    """A WebRTC connection to a path, what ends it, and the pictures that come."""
    import aiortc

    connection = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
    pictures: asyncio.Queue[Any] = asyncio.Queue()
    tasks = set()

    async def read(track: Any) -> None:
        while True:
            try:
                frame = await track.recv()
            except aiortc.mediastreams.MediaStreamError:
                return
            pictures.put_nowait((time.monotonic(), frame.to_ndarray(format="rgb24")))

    if track is None:
        connection.addTransceiver("video", direction="recvonly")
        connection.on("track", lambda come: tasks.add(asyncio.ensure_future(read(come))))
    else:
        connection.addTrack(track)
    await connection.setLocalDescription(await connection.createOffer())
    sdp = connection.localDescription.sdp.encode()
    answer = await asyncio.to_thread(running.call, "POST", path, sdp, content_type="application/sdp")
    assert answer.status == 201, answer.body
    assert answer.headers["content-type"] == "application/sdp"
    await connection.setRemoteDescription(aiortc.RTCSessionDescription(answer.body.decode(), "answer"))
    try:
        yield connection, answer.headers["location"], pictures
    finally:
        await connection.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def publisher(fps: float, sent: dict[int, float]) -> Any:
    """A track of numbered pictures; ``sent`` is when each left."""
    from aiortc.mediastreams import MediaStreamTrack

    class Track(MediaStreamTrack):  # type: ignore[misc]
        kind = "video"

        def __init__(self) -> None:
            super().__init__()
            self.number, self.began = 0, time.monotonic()

        async def recv(self) -> Any:
            await asyncio.sleep(max(0.0, self.began + self.number / fps - time.monotonic()))
            self.number += 1
            frame = av.VideoFrame.from_ndarray(coded(self.number), format="rgb24")
            frame.pts, frame.time_base = round(90_000 * self.number / fps), Fraction(1, 90_000)
            sent[self.number] = time.monotonic()
            return frame

    return Track()


async def delays(running: Any, seconds: float, fps: float) -> list[tuple[float, float]]:
    """From publisher to viewer, through the server: (when, how late) of each picture."""
    sent: dict[int, float] = {}
    found = []
    async with (
        peer(running, "/v1/sources/cam/whip", track=publisher(fps, sent)),
        peer(running, "/v1/sources/cam/whep") as (_, _, pictures),
    ):
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            came, image = await asyncio.wait_for(pictures.get(), 30)
            number = number_in(image)
            if number in sent:
                found.append((came - began, came - sent[number]))
    return found


@pytest.mark.alone
def test_pictures_go_in_and_out_by_webrtc(serve: Any, until: Any, web_rtc: None) -> None:
    running = serve(sources=("cam=whip:",))
    assert running.call("GET", "/v1/sources/cam").json["state"] == "connecting"
    found = asyncio.run(delays(running, 4.0, 10.0))
    assert len(found) > 10
    assert np.median([late for _, late in found[5:]]) < 1.0
    until(lambda: running.call("GET", "/v1/sources/cam").json["state"] == "away")
    assert running.call("GET", "/v1/sources/cam").json["problem"] == "the publisher has gone"
    assert running.call("GET", "/v1/sources/cam").json["frames"] > 10


def test_one_publisher_at_a_time_and_deletes_end_it(
    serve: Any, until: Any, clip_file: Path, web_rtc: None
) -> None:
    running = serve(sources=("cam=whip:", f"film={clip_file}"), max_peers=2)

    async def meet() -> None:
        sent: dict[int, float] = {}
        async with peer(running, "/v1/sources/cam/whip", track=publisher(10, sent)) as (first, where, _):
            second = await asyncio.to_thread(
                running.call, "POST", "/v1/sources/cam/whip", b"v=0", content_type="application/sdp"
            )
            assert second.json["code"] == "SessionBusyError"
            async with peer(running, "/v1/sources/film/whep") as (_, shown, pictures):
                await asyncio.wait_for(pictures.get(), 20)
                full = await asyncio.to_thread(
                    running.call, "POST", "/v1/sources/film/whep", b"v=0", content_type="application/sdp"
                )
                assert full.json["code"] == "CapacityError"
                assert (await asyncio.to_thread(running.call, "DELETE", shown)).status == 204
            assert (await asyncio.to_thread(running.call, "DELETE", where)).status == 204
            assert (await asyncio.to_thread(running.call, "DELETE", where)).status == 404
            del first
        async with peer(
            running, "/v1/sources/cam/whip", track=publisher(10, sent)
        ):  # the place is free again
            pass

    asyncio.run(meet())


def test_a_publisher_of_too_large_pictures_is_hung_up_on(serve: Any, until: Any, web_rtc: None) -> None:
    running = serve(sources=("cam=whip:",), max_pixels=64 * 64)

    async def meet() -> None:
        ended = asyncio.Event()
        async with peer(running, "/v1/sources/cam/whip", track=publisher(10, {})) as (connection, where, _):
            connection.on(
                "connectionstatechange",
                lambda: ended.set() if connection.connectionState == "closed" else None,
            )
            await asyncio.wait_for(ended.wait(), 20)
            assert (await asyncio.to_thread(running.call, "DELETE", where)).status == 404

    asyncio.run(meet())
    assert running.call("GET", "/v1/sources/cam").json["frames"] == 0


@pytest.mark.parametrize(
    ("path", "body", "kind", "status"),
    [
        ("cam/whip", b"v=0", "text/plain", 400), ("cam/whip", b"no sdp", "application/sdp", 400),
        ("cam/whip", b"", "application/sdp", 400), ("cam/whip", b"\xff\xfe", "application/sdp", 400),
        ("cam/whip", b"x" * 70_000, "application/sdp", 413), ("film/whip", b"v=0", "application/sdp", 422),
        ("cam/whep", b"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", "application/sdp", 400),
        ("none/whep", b"v=0", "application/sdp", 404),
    ],
)  # fmt: skip
def test_what_is_no_offer_is_refused_and_leaves_nothing_behind(
    serve: Any, clip_file: Path, web_rtc: None, path: str, body: bytes, kind: str, status: int
) -> None:
    running = serve(sources=("cam=whip:", f"film={clip_file}"), max_peers=1)
    for _ in range(3):  # a place that was taken and not given back would show
        answer = running.call("POST", f"/v1/sources/{path}", body, content_type=kind)
        assert answer.status == status, answer.body
        assert answer.json["remedy"]


@pytest.mark.alone
@pytest.mark.long
def test_after_ten_minutes_a_picture_is_no_later_than_after_one(serve: Any, web_rtc: None) -> None:
    running = serve(sources=("cam=whip:",))
    found = asyncio.run(delays(running, 620.0, 15.0))
    late = {
        minute: float(np.median([one for at, one in found if 60 * minute - 15 <= at < 60 * minute + 15]))
        for minute in (1, 10)
    }
    print(f"median delay after one minute {1e3 * late[1]:.0f} ms, after ten {1e3 * late[10]:.0f} ms")  # noqa: T201
    assert late[10] <= 1.1 * late[1]
