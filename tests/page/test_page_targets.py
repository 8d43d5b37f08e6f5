"""The page in Chromium: the sample, several targets, corrections, the timeline, and results as files."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framestate.vision import Box, VideoReader
from framestate.vision.synthetic import Scene
from playwright.sync_api import Page, expect

from .conftest import painted
from .test_page import draw, load, place, wait_for_tracks
from .test_page_videos import until

Film = tuple[Path, Box]
WAIT_MS = 30_000
RATE = 12  # of the film
SETTLED = "(async () => (await import('/static/app.js')).tracker.follower.flight.size === 0)()"
"""No frame is on its way any more."""


def at_the_end(page: Page) -> None:
    expect(page.locator("#status-word")).to_have_text("Ended", timeout=WAIT_MS)


def saved(page: Page, what: str) -> Path:
    """A file of the menu of results."""
    if not page.is_visible(f"#save-{what}"):
        page.click("#save summary")
    with page.expect_download(timeout=60_000) as download:
        page.click(f"#save-{what}")
    return Path(download.value.path())


def rows_of(page: Page) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(saved(page, "json").read_text("utf-8"))["tracks"]
    return rows


def overlap(row: dict[str, Any], truth: Box) -> float:
    return Box(*row["box"]).iou(truth)


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*place(page, *start))
    page.mouse.down()
    for share in (0.3, 1.0):
        page.mouse.move(*place(page, *(a + share * (b - a) for a, b in zip(start, end, strict=True))))
    page.mouse.up()


@pytest.fixture
def sample(checkout: Path) -> Path:
    return checkout / "server" / "page" / "sample.mp4"


def test_the_sample_is_the_demo_clip_and_its_boxes_are_the_truth(checkout: Path, sample: Path) -> None:
    scene = Scene()
    written = re.findall(
        r"\[(\d+), (\d+), (\d+), (\d+)\]", (checkout / "server/page/sample.js").read_text("utf-8")
    )
    for box, truth in zip(written, (scene.box(0), scene.rival_box(0)), strict=True):
        assert [float(side) for side in box] == pytest.approx(list(truth.xywh), abs=1)
    with VideoReader(sample) as video:
        assert video.frame_count == 120
        first = next(iter(video)).image
    assert np.abs(first.astype(int) - scene.render(0)).mean() < 4


def test_the_sample_plays_at_once_and_is_looked_back_on(site: Any, visit: Any, tmp_path: Path) -> None:
    page = visit(site)
    page.click("#pick-sample")
    expect(page.locator("#targets li")).to_have_count(2)
    wait_for_tracks(page)
    assert site.sessions == 2
    at_the_end(page)
    site.until_free()
    rows, scene = rows_of(page), Scene()
    with saved(page, "csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [(int(row["frame"]), int(row["target"]), row["status"]) for row in table] == [
        (row["frame"], row["target"], row["status"]) for row in rows
    ]
    seen: dict[int, list[float]] = {1: [], 2: []}
    for row in rows:
        frame = round(row["seconds"] * 25)
        if row["target"] == 2 or scene.visible(frame) > 0.95:
            seen[row["target"]].append(overlap(row, (scene.box, scene.rival_box)[row["target"] - 1](frame)))
    assert all(np.median(overlaps) > 0.6 for overlaps in seen.values())
    page.keyboard.press("Escape")
    newest = page.locator("#picture").screenshot()
    page.focus("#scrub")
    page.keyboard.press("Home")
    expect(page.locator("#time")).to_have_text(re.compile(r"^0:00\.0 / 0:04\.8"))
    until(
        page,
        "document.getElementById('scrub').getAttribute('aria-valuetext').includes('1 tracking, 2 tracking')",
    )
    for _ in range(200):  # nothing tells when what is drawn is seen
        if page.locator("#picture").screenshot() != newest:
            break
    else:
        pytest.fail("the first picture is not shown")
    page.click("#pause")  # replay
    expect(page.locator("#pause")).to_have_text("Stop")
    until(page, "Number(document.getElementById('scrub').value) > 0.5")
    page.click("#pause")
    expect(page.locator("#pause")).to_have_text("Replay")


def test_a_box_is_dragged_right_a_target_added_and_one_ended(site: Any, visit: Any, film: Film) -> None:
    page, scene = visit(site), Scene(0, 24, (320, 180))
    said: list[str | bytes] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda data: said.append(data)))
    load(page, film)
    far = Box(230, 120, film[1].w, film[1].h)  # where nothing is
    draw(page, far)
    page.select_option("#speed", "0.25")
    page.click("#start")
    wait_for_tracks(page)
    page.click("#pause")
    expect(page.locator("#status-word")).to_have_text("Paused")
    session = page.inner_text("#health-text")
    until(page, SETTLED)
    painted(page)
    now = page.evaluate("Number(document.getElementById('scrub').value)")
    truth = scene.box(round(now * RATE)).centre
    box = page.evaluate(
        "(async () => (await import('/static/app.js')).tracker.review.shot().tracks.get(1).box)()"
    )
    drag(page, (box[0] + box[2] / 2, box[1] + box[3] / 2), truth)
    expect(page.locator("#live")).to_have_text("Target 1 is followed from where you put it.")
    assert site.sessions == 1, session
    rival = scene.rival_box(round(now * RATE))
    draw(page, rival)
    expect(page.locator("#targets li")).to_have_count(2)
    assert site.sessions == 2
    page.click("#pause")
    until(page, f"Number(document.getElementById('scrub').value) > {now + 0.5}")
    page.get_by_role("button", name="End target 2").click()
    expect(page.locator("#targets li")).to_have_count(1)
    at_the_end(page)
    rows = rows_of(page)
    first = [row for row in rows if row["target"] == 1]
    assert overlap(first[0], far) > 0.9
    after = next(row for row in first if row["seconds"] > now)  # later it swims under a leaf
    assert math.dist(Box(*after["box"]).centre, scene.box(round(after["seconds"] * RATE)).centre) < 25
    assert {row["frame"] for row in rows if row["target"] == 2} < {row["frame"] for row in first}
    corrections = [json.loads(text) for text in said if isinstance(text, str) and '"correct"' in text]
    assert [one["type"] for one in corrections] == ["correct"], "over the stream, and once"
    assert (
        math.dist((corrections[0]["box"][0] + box[2] / 2, corrections[0]["box"][1] + box[3] / 2), truth) < 4
    )
    assert page.is_hidden("#save-job"), "the server knows nothing of corrections"
    site.until_free()


def test_an_earlier_frame_is_followed_again_and_videos_are_made(site: Any, visit: Any, film: Film) -> None:
    page = visit(site)
    load(page, film)
    draw(page, film[1])
    page.click("#start")
    at_the_end(page)
    server, here = saved(page, "job"), saved(page, "recording")
    with VideoReader(server) as video:
        assert video.frame_count == 24
    with VideoReader(here) as video:
        assert (video.width, video.height) == (320, 180)
        assert sum(1 for _ in video) > 6
    page.keyboard.press("Escape")
    page.fill("#scrub", "0.5")
    expect(page.locator("#time")).to_have_text(re.compile(r"^0:00\.[45]"))
    page.focus("#stage")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#status-word")).not_to_have_text("Ended")
    at_the_end(page)
    page.fill("#scrub", "1")
    page.click("#from-here")  # with the boxes as they are there
    expect(page.locator("#status-word")).not_to_have_text("Ended")
    at_the_end(page)
    frames = [row["seconds"] for row in rows_of(page)]
    assert frames == sorted(frames)
    assert frames[-1] > 1.5
    site.until_free()


def test_frames_go_in_order_however_long_each_takes_to_encode(site: Any, visit: Any, film: Film) -> None:
    page = visit(site)
    page.evaluate(
        """() => {
            const encode = HTMLCanvasElement.prototype.toBlob;
            let count = 0;
            HTMLCanvasElement.prototype.toBlob = function (done, ...how) {
                const late = count++ % 3 === 1 ? 300 : 0;
                encode.call(this, (blob) => setTimeout(() => done(blob), late), ...how);
            };
        }"""
    )
    load(page, film)
    draw(page, film[1])
    page.click("#start")
    at_the_end(page)
    expect(page.locator("#alert")).to_be_hidden()
    seconds = [row["seconds"] for row in rows_of(page)]
    assert seconds == sorted(set(seconds))
    assert len(seconds) > 4
    site.until_free()
