"""Chromium's camera by WHIP to a source of the server, and that source by WHEP back into Chromium."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser

from .conftest import Site

WAIT_MS = 60_000
MEET = """
async ([path, brings]) => {
  const peer = new RTCPeerConnection();
  if (brings) {
    const camera = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } });
    camera.getVideoTracks().forEach((track) => peer.addTrack(track, camera));
  } else {
    peer.addTransceiver("video", { direction: "recvonly" });
    const video = document.body.appendChild(document.createElement("video"));
    video.id = "seen"; video.muted = true; video.autoplay = true;
    peer.ontrack = (come) => { video.srcObject = new MediaStream([come.track]); video.play(); };
  }
  await peer.setLocalDescription(await peer.createOffer());
  while (peer.iceGatheringState !== "complete") await new Promise((done) => setTimeout(done, 20));
  const headers = { "content-type": "application/sdp" };
  const answer = await fetch(path, { method: "POST", headers, body: peer.localDescription.sdp });
  const sdp = await answer.text();
  if (answer.status === 201) await peer.setRemoteDescription({ type: "answer", sdp });
  (window.peers ||= []).push(peer);
  return [answer.status, answer.headers.get("location")];
}
"""
FRAMES = "() => document.querySelector('#seen').getVideoPlaybackQuality().totalVideoFrames"


def until(page: Any, is_so: Callable[[Any], bool]) -> Any:
    """The source, once something is so of it."""
    end = time.monotonic() + WAIT_MS / 1000
    while not is_so(source := page.request.get("/v1/sources/door").json()):
        assert time.monotonic() < end, source
        time.sleep(0.05)
    return source


def test_a_browser_publishes_and_watches(
    host: Callable[..., Site], browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aiortc")
    loopback = ["127.0.0.1"]  # which WebRTC leaves out otherwise
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda *given, **named: loopback)
    site = host(sources=("door=whip:",))
    context = browser.new_context(permissions=["camera"], base_url=site.url)
    page: Any = context.new_page()
    page.goto(site.url)
    status, camera = page.evaluate(MEET, ["/v1/sources/door/whip", True])
    assert (status, camera.startswith("/v1/sources/door/whip/")) == (201, True)
    source = until(page, lambda source: source["frames"] > 5)
    assert source["state"] == "live"
    viewer = browser.new_context().new_page()  # without leave to film a browser hides its addresses
    viewer.goto(site.url)
    status, _ = viewer.evaluate(MEET, ["/v1/sources/door/whep", False])
    assert status == 201
    viewer.wait_for_function(f"() => ({FRAMES})() > 10", timeout=WAIT_MS)
    size = viewer.evaluate("() => [seen.videoWidth, seen.videoHeight]")
    assert size[0] * source["height"] == size[1] * source["width"]
    assert page.evaluate("async (at) => (await fetch(at, { method: 'DELETE' })).status", camera) == 204
    until(page, lambda source: source["state"] == "away")
    context.close()
    viewer.context.close()
