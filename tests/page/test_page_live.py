"""The page in Chromium: a wall of live sources; in one of them targets are clicked, put right and ended."""

from __future__ import annotations

import json
import math
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from framestate.vision.synthetic import Scene
from playwright.sync_api import Page, expect

from .test_page_videos import until

WAIT_MS = 30_000
FRAMES = 120  # of the sample, which is played again and again
Place = tuple[float, float]


@pytest.fixture(scope="module")
def wall(host: Any) -> Any:
    """A server with two live sources, one of which is away."""
    clip = Path(__file__).parents[2] / "server" / "page" / "sample.mp4"
    return host(sources=(f"pond={clip}", "yard=rtsp://127.0.0.1:9/none"))


def told(site: Any, path: str) -> Any:
    with urllib.request.urlopen(f"{site.url}v1/sources/{path}", timeout=30) as answer:
        return json.load(answer)


def spot(page: Page, x: float, y: float) -> Place:
    """Where a place of the picture is on the screen."""
    area = page.locator("#live-picture").bounding_box()
    assert area is not None
    scale = area["width"] / 640
    return area["x"] + x * scale, area["y"] + y * scale


def middle(box: list[float]) -> Place:
    return box[0] + box[2] / 2, box[1] + box[3] / 2


def target(site: Any, number: int) -> Any:
    return next(one for one in told(site, "pond/targets")["targets"] if one["id"] == number)


def ids(site: Any) -> list[int]:
    return [one["id"] for one in told(site, "pond/targets")["targets"]]


def early(site: Any) -> int:
    """Waits for a frame of the clip before a leaf hides the fish; gives its number in the clip."""
    while (frame := (told(site, "pond")["frames"] - 1) % FRAMES) not in range(5, 30):
        pass
    return int(frame)


def test_sources_are_shown_as_they_are_and_one_opens(wall: Any, visit: Any) -> None:
    page = visit(wall, expected=("status of 503",))
    page.click("#tab-live")
    pond, yard = page.locator("#sources li").nth(0), page.locator("#sources li").nth(1)
    expect(pond).to_contain_text("Live", timeout=WAIT_MS)
    expect(pond).to_contain_text("640 × 360")
    expect(pond).to_contain_text("fps")
    expect(pond).to_contain_text("s old")
    until(page, "document.querySelector('#sources img').naturalWidth === 640")
    expect(yard).to_contain_text("Away", timeout=WAIT_MS)
    expect(yard).to_contain_text("refused")
    pond.get_by_role("button").click()
    expect(page.locator("#source-name")).to_have_text("pond")
    expect(page.locator("#live-picture")).to_be_visible(timeout=WAIT_MS)
    page.go_back()
    expect(page.locator("#wall")).to_be_visible()
    expect(page.locator("#source-view")).to_be_hidden()


@pytest.mark.alone
def test_targets_are_clicked_put_right_and_ended(wall: Any, visit: Any) -> None:
    scene = Scene()
    page = visit(wall)
    page.goto(f"{wall.url}#live/pond")
    expect(page.locator("#live-picture")).to_be_visible(timeout=WAIT_MS)
    page.mouse.click(*spot(page, *scene.box(early(wall) + 1).centre))
    rows = page.locator("#live-targets li")
    expect(rows).to_have_count(1)
    first = target(wall, 1)
    truth = scene.box(first["frame"] % FRAMES).centre
    assert math.dist(middle(first["box"]), truth) < 40
    page.mouse.click(*spot(page, *scene.rival_box(early(wall) + 1).centre))
    expect(rows).to_have_count(2)
    page.focus("#live-stage")
    page.keyboard.press("2")
    page.keyboard.press("ArrowRight")  # from now on the picture stands still
    shown = "(await import('/static/app.js')).wall.view.stage.find(2).box"
    box = page.evaluate(f"(async () => {shown})()")
    page.mouse.move(*spot(page, *middle(box)))
    page.mouse.down()
    for step in (4, 12):
        page.mouse.move(*spot(page, middle(box)[0] + step, middle(box)[1]))
    with page.expect_request(lambda request: request.method == "PATCH") as sent:
        page.mouse.up()
    query = parse_qs(urlsplit(sent.value.url).query)
    assert int(query["index"][0]) > first["frame"], "the frame that stood still while it was dragged"
    assert [float(side) for side in query["box"][0].split(",")] == pytest.approx(
        [box[0] + 12, *box[1:]], abs=1
    )
    expect(page.locator("#live")).to_have_text("Target 2 is put right.")
    page.focus("#live-stage")
    page.keyboard.press("n")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.locator("#live")).to_have_text(re.compile(r"Target [3-9] is followed"))
    newest = max(ids(wall))
    expect(page.get_by_role("button", name=f"End target {newest}")).to_be_visible()
    page.focus("#live-stage")
    page.keyboard.press(str(newest))
    page.keyboard.press("Delete")
    expect(page.locator("#live")).to_have_text(f"Target {newest} is no longer followed.")
    assert newest not in ids(wall)
    for number in ids(wall):
        page.get_by_role("button", name=f"End target {number}").click()
    expect(rows).to_have_count(0)
    assert ids(wall) == []


def test_a_source_is_grey_while_its_connection_is_away(wall: Any, visit: Any) -> None:
    page = visit(wall)
    closes: list[Callable[[], None]] = []

    def cut(client: Any) -> None:
        if len(closes) == 1:  # the first try to come back fails
            closes.append(client.close)
            client.close(code=4000)
            return
        server = client.connect_to_server()

        def close() -> None:
            server.close(code=4000)
            client.close(code=4000)

        closes.append(close)

    page.route_web_socket(re.compile("/v1/sessions/source-pond/stream$"), cut)
    page.goto(f"{wall.url}#live/pond")
    expect(page.locator("#live-picture")).to_be_visible(timeout=WAIT_MS)
    view, hint = page.locator("#source-view"), page.locator("#live-hint")
    page.evaluate(
        """new MutationObserver(() => {
            const { dataset } = document.getElementById("source-view");
            if (dataset.connection === "away") document.body.dataset.filter =
                getComputedStyle(document.getElementById("live-picture")).filter;
        }).observe(document.getElementById("source-view"), { attributes: true })"""
    )
    closes[0]()
    expect(page.locator("#live")).to_have_text("The connection was lost. Trying again.")
    expect(view).to_have_attribute("data-connection", "there")
    assert "grayscale" in page.evaluate("document.body.dataset.filter")
    assert len(closes) == 3
    expect(hint).to_contain_text("Click something")
