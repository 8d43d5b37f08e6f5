"""The page in real Chromium: a whole video is smoothed, and pictures are written as the server reads them."""

from __future__ import annotations

import re
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from framestate import wire
from framestate.bundles import Bundle
from framestate.engine import Engine
from framestate.server import Settings
from framestate.vision import Box
from playwright.sync_api import Page, Route, expect

from ..server.tiny_stream import write_stream
from .conftest import Site

Film = tuple[Path, Box]
STOP = "document.getElementById('run-stop').click()"  # which hides when the video has ended
NOT_FOUND = ("status of 4", "status of 5")  # what Chromium logs of an answer that is an error


def until(page: Page, script: str) -> None:
    """Waits for a script to be true; the page's own policy forbids Playwright to do so within it."""
    end = time.monotonic() + 20
    while not page.evaluate(script):
        assert time.monotonic() < end, script
        page.wait_for_timeout(50)


def halves(page: Page, side: str) -> bytes:
    """A picture of what is to the left or right of the line, at a quarter, and of no line."""
    area = page.locator("#split-view").bounding_box()
    assert area is not None
    share = {"left": (0.0, 0.2), "right": (0.4, 1.0)}[side]
    wide = area["width"] * (share[1] - share[0])
    clip = {"x": area["x"] + area["width"] * share[0], "y": area["y"] + 60, "width": wide, "height": 200}
    return page.screenshot(clip=clip)  # type: ignore[arg-type]


def test_a_video_is_smoothed_and_compared(site: Any, visit: Any, film: Film) -> None:
    page = visit(site)
    page.click("#tab-interpolate")
    page.set_input_files("#job-file", film[0])
    page.click("#job-start")
    expect(page.locator("#compare")).to_be_visible(timeout=60_000)
    lengths = page.evaluate("['before', 'after'].map((id) => document.getElementById(id).duration)")
    assert lengths[0] == pytest.approx(lengths[1], abs=0.2)
    before, after = (f"document.getElementById('{name}')" for name in ("before", "after"))
    apart = f"Math.abs({before}.currentTime - {after}.currentTime)"
    until(page, f"{before}.currentTime > 0.2")
    until(page, f"{apart} < 0.3")
    page.click("#play")
    assert page.evaluate(f"{before}.paused && {after}.paused")
    page.fill("#split", "25")
    edge = page.evaluate("getComputedStyle(document.getElementById('after')).clipPath")
    assert edge.startswith("inset(0px 0px 0px"), "after is shown to the right of the line only"
    same = False
    for _ in range(10):  # a seek ends before its frame is seen, and nothing tells when it is
        page.fill("#seek", "0")
        until(page, f"!{before}.seeking && !{after}.seeking")
        page.wait_for_timeout(100)
        first = [halves(page, name) for name in ("left", "right")]
        page.click("#step-on")  # a frame that was made: before stays where it is
        until(page, f"!{before}.seeking && !{after}.seeking")
        page.wait_for_timeout(100)
        second = [halves(page, name) for name in ("left", "right")]
        if same := (first[0] == second[0], first[1] == second[1]) == (True, False):
            break
    assert same, "before moves, or after does not"
    page.fill("#seek", "1")
    until(page, f"{apart} < 0.001 && {after}.currentTime === 1")
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "koi_2x.mp4"
    assert Path(download.value.path()).stat().st_size > 1000


def test_a_job_is_cancelled_and_a_bad_file_is_told_of(
    site: Any, visit: Any, film: Film, tmp_path: Path
) -> None:
    page = visit(site, expected=NOT_FOUND)
    page.click("#tab-interpolate")
    (tmp_path / "notes.mp4").write_text("this is no video")
    page.set_input_files("#job-file", tmp_path / "notes.mp4")
    page.click("#job-start")
    expect(page.get_by_role("alert")).to_be_visible()
    assert page.inner_text("#alert-remedy")
    expect(page.locator("#job-progress")).to_be_hidden()
    expect(page.locator("#job-start")).to_be_enabled()


def test_a_job_outlives_a_server_that_does_not_answer(site: Any, visit: Any, film: Film) -> None:
    page = visit(site, expected=("ERR_FAILED",))
    aborted: list[str] = []

    def refuse(route: Route) -> None:
        if len(aborted) < 2:
            aborted.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    page.route(re.compile("/v1/videos/[0-9a-f]{32}$"), refuse)
    page.click("#tab-interpolate")
    page.set_input_files("#job-file", film[0])
    page.click("#job-start")
    expect(page.locator("#job-stage")).to_have_text("The server is gone. Trying again")
    expect(page.locator("#compare")).to_be_visible(timeout=60_000)
    assert len(aborted) == 2
    expect(page.locator("#alert")).to_be_hidden()


def test_the_javascript_client_writes_what_the_python_one_reads(site: Any, visit: Any) -> None:
    page = visit(site)
    script = """async ([index, pts]) => {
        const { encodePicture } = await import("/static/client.js");
        return [...new Uint8Array(encodePicture(index, pts, "png", new Uint8Array([1, 2, 255]).buffer))];
    }"""
    for index, pts in ((0, 0), (7, 1_234_567), (2**53 - 1, 2**53 - 2)):
        data = bytes(page.evaluate(script, [index, pts]))
        wanted = wire.Picture("frame", index, pts, Fraction(1, 1_000_000), "png", b"\x01\x02\xff")
        assert wire.decode_picture(data) == wanted
        assert data == wire.encode_picture(wanted)


def test_any_model_is_run_and_its_answers_are_shown(site: Any, visit: Any, film: Film) -> None:
    page = visit(site, expected=NOT_FOUND)
    page.click("#tab-run")
    expect(page.locator("#run-model option")).to_have_text(["tiny (interpolation)"])
    page.set_input_files("#run-file", film[0])
    page.fill("#run-options", "{")
    page.click("#run-start")
    expect(page.locator("#alert-problem")).to_contain_text("no JSON")
    page.fill("#run-options", '{"factor": "none"}')
    page.click("#run-start")
    expect(page.locator("#alert-problem")).to_contain_text("Factor is")
    page.fill("#run-options", '{"factor": 2}')
    page.click("#run-start")
    expect(page.locator("#run-text")).to_contain_text("made of frame", timeout=30_000)
    expect(page.locator("#run-picture")).to_be_visible()
    page.evaluate(STOP)
    end = time.monotonic() + 20
    while site.engines["tiny"].slots.num_used:
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("task", ["classification", "stream"])
def test_answers_of_other_tasks_are_shown(
    task: str, visit: Any, film: Film, tiny_classifier: Bundle, tmp_path: Path
) -> None:
    bundle = tiny_classifier if task == "classification" else write_stream(tmp_path / "stream")
    with Engine.load(bundle, runtime="onnx", threads=1, capacity=2) as engine:
        site = Site(Settings(port=0), {"mine": engine})
        try:
            page = visit(site)
            page.click("#tab-run")
            expect(page.locator("#run-model option")).to_have_text([f"mine ({task})"])
            page.set_input_files("#run-file", film[0])
            page.click("#run-start")
            wanted = "smoothed" if task == "classification" else "far"
            expect(page.locator("#run-values")).to_contain_text(wanted, timeout=30_000)
            if task == "stream":
                expect(page.locator("#run-picture-text")).to_have_text("shown")
                expect(page.locator("#run-picture")).to_be_visible()
            page.evaluate(STOP)
        finally:
            site.stop()
