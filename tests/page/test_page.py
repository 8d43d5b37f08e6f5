"""The page in real Chromium: a target is picked with mouse, finger or keys, and followed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from framestate.vision import Box
from framestate.vision.synthetic import demo_clip
from playwright.sync_api import FileChooser, Page, expect

Film = tuple[Path, Box]
WAIT_MS = 30_000
WORDS = """
    const word = document.getElementById("status-word");
    window.words = [];
    new MutationObserver(() => words.push(word.textContent)).observe(word, { childList: true });
"""
"""Keeps every status that is shown, however shortly."""
NOT_FOUND = ("status of 4", "status of 5")  # what Chromium logs of an answer that is an error


def load(page: Page, film: Film) -> None:
    """Picks the clip."""
    page.set_input_files("#file", film[0])
    page.wait_for_selector("#start:visible")


def place(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a place of the picture is on the screen."""
    area = page.locator("#picture").bounding_box()
    assert area is not None
    width = page.evaluate("document.getElementById('picture').width")
    return area["x"] + x * area["width"] / width, area["y"] + y * area["width"] / width


def draw(page: Page, box: Box) -> None:
    """Draws a box with the mouse."""
    page.mouse.move(*place(page, box.x, box.y))
    page.mouse.down()
    page.mouse.move(*place(page, box.x + 9, box.y + 9))
    page.mouse.move(*place(page, box.x + box.w, box.y + box.h))
    page.mouse.up()


def box_in(page: Page) -> list[float]:
    """The box in numbers."""
    values = [page.input_value(f"#box-{name}") for name in "xywh"]
    return [float(value) for value in values]


def status(page: Page) -> str:
    return page.inner_text("#status-word")


def wait_for_tracks(page: Page) -> None:
    expect(page.locator("#score")).not_to_have_text("–", timeout=WAIT_MS)


def run_to_the_end(page: Page, site: Any) -> None:
    expect(page.locator("#status-word")).to_have_text("Ended", timeout=WAIT_MS)
    expect(page.locator("#live")).to_have_text(re.compile("^The end: "))
    site.until_free()


def test_a_target_is_drawn_and_followed_to_the_end(site: Any, visit: Any, film: Film) -> None:
    page = visit(site)
    assert page.inner_text("#health-text").startswith("Ready")
    load(page, film)
    assert page.is_disabled("#start")
    draw(page, film[1])
    assert box_in(page) == pytest.approx(list(film[1].xywh), abs=2)
    before = page.locator("#picture").screenshot()
    page.evaluate(WORDS)
    page.click("#start")
    wait_for_tracks(page)
    assert {"Tracking", "Uncertain"} & set(page.evaluate("window.words")), "it may have ended by now"
    assert 0.0 < float(page.inner_text("#score")) <= 1.0
    assert re.fullmatch(r"\d+ ms", page.inner_text("#latency"))
    assert page.locator("#picture").screenshot() != before
    run_to_the_end(page, site)
    frames = int(re.findall(r"The end: (\d+) frames", page.inner_text("#hint"))[0])
    dropped = int(page.inner_text("#dropped"))
    assert frames > 3
    assert frames + dropped <= 24
    page.click("#restart")
    expect(page.locator("#status-word")).not_to_have_text("Ended")
    run_to_the_end(page, site)


def test_everything_works_by_keyboard(site: Any, visit: Any, film: Film) -> None:
    page = visit(site)
    choosers: list[FileChooser] = []
    page.on("filechooser", lambda chooser: choosers.append(chooser))
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "pick-file":
            break
    for wait in range(400):
        if choosers:
            break
        if wait % 40 == 0:  # Playwright needs a moment until it catches the dialogue: the first may be missed
            page.keyboard.press("Enter")
        page.wait_for_timeout(50)
    choosers[0].set_files(film[0])
    page.wait_for_selector("#start:visible")
    assert page.evaluate("document.activeElement.id") == "stage"
    page.evaluate("document.getElementById('speed').value = '0.25'")  # it is not over before it is paused
    page.keyboard.press("ArrowLeft")  # the first one puts a box there
    x, y, w, h = box_in(page)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Alt+ArrowDown")
    assert box_in(page) == [x - 4, y + 5, w, h]
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    assert box_in(page) == [x - 4, y + 5, w + 4, h - 4]
    for _ in range(60):
        page.keyboard.press("ArrowLeft")
    assert box_in(page)[0] == 0  # never out of the picture
    page.keyboard.press("Enter")
    wait_for_tracks(page)
    page.focus("#pause")
    page.keyboard.press("Space")
    expect(page.locator("#status-word")).to_have_text("Paused")
    page.keyboard.press("Space")
    expect(page.locator("#status-word")).not_to_have_text("Paused")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "scrub"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "again"
    page.keyboard.press("Enter")
    page.wait_for_selector("#start:visible")
    site.until_free()
    page.focus("#tab-track")
    for name in ("live", "interpolate"):
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.id") == f"tab-{name}"
    assert page.is_visible("#panel-interpolate")
    assert page.is_hidden("#panel-track")


def test_a_finger_draws_on_a_phone_and_nothing_is_wider_than_it(site: Any, visit: Any, film: Film) -> None:
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    page = visit(site, color_scheme="dark", device_scale_factor=2, **phone)
    fits = "document.documentElement.scrollWidth <= 360"
    assert page.evaluate(fits)
    load(page, film)
    page.locator("#picture").scroll_into_view_if_needed()
    fingers = page.context.new_cdp_session(page)
    box = film[1]
    corners = [(box.x, box.y), (box.x + 12, box.y + 12), (box.x + box.w, box.y + box.h)]
    for kind, points in zip(("touchStart", "touchMove", "touchMove"), corners, strict=True):
        x, y = place(page, *points)
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert box_in(page) == pytest.approx(list(box.xywh), abs=2)
    assert page.evaluate(fits)
    page.click(".numbers summary")
    assert page.evaluate(fits)
    page.fill("#box-x", "40")
    page.keyboard.press("Enter")
    assert box_in(page)[0] == 40
    page.tap("#start")
    wait_for_tracks(page)
    assert page.evaluate(fits)
    small = page.evaluate(
        "[...document.querySelectorAll('button, select, summary, a.button')]"
        ".filter((one) => one.offsetParent && one.getBoundingClientRect().height < 32).map((one) => one.id)"
    )
    assert small == []
    page.tap("#other")
    page.tap("#tab-interpolate")
    assert page.evaluate(fits)
    site.until_free()


def test_the_camera_is_followed(site: Any, visit: Any) -> None:
    page = visit(site, permissions=["camera"])
    page.click("#pick-camera")
    page.wait_for_selector("#start:visible")
    page.focus("#stage")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    wait_for_tracks(page)
    assert page.is_hidden("#restart")
    page.click("#other")
    expect(page.locator("#empty")).to_be_visible()
    site.until_free()


def test_a_lost_connection_is_found_again(site: Any, visit: Any, film: Film) -> None:
    page = visit(site)
    sessions: list[str] = []

    def cut(client: Any) -> None:
        sessions.append(client.url.split("/")[-2])
        server = client.connect_to_server()
        tracks = 0

        def heard(message: str | bytes) -> None:
            nonlocal tracks
            tracks += isinstance(message, str) and json.loads(message)["type"] == "answer"
            client.send(message)
            if tracks == 3 and len(sessions) == 1:
                server.close(code=4000)
                client.close(code=4000)

        server.on_message(heard)

    page.route_web_socket(re.compile("/stream$"), cut)
    load(page, film)
    draw(page, film[1])
    page.select_option("#speed", "0.25")
    page.click("#start")
    run_to_the_end(page, site)
    assert len(sessions) == 2, "it was connected again; the hint of that is gone too fast to be looked at"
    assert sessions[0] == "new"
    assert re.fullmatch("[0-9a-f]{32}", sessions[1])


def test_errors_say_what_to_do(host: Any, visit: Any, film: Film, tmp_path: Path) -> None:
    page = visit(host(max_frame_bytes=2000), expected=NOT_FOUND)
    (tmp_path / "notes.mp4").write_text("this is no video")
    page.set_input_files("#file", tmp_path / "notes.mp4")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Notes.mp4 cannot be played by this browser.")
    expect(alert).to_contain_text("Use MP4 (H.264) or WebM")
    expect(page.locator("#empty")).to_be_visible()
    load(page, film)
    expect(alert).to_be_hidden()
    draw(page, film[1])
    page.click("#start")
    expect(alert).to_be_visible()
    assert page.inner_text("#alert-remedy")
    page.wait_for_selector("#start:visible")  # ready for another try, with the same box
    assert box_in(page) == pytest.approx(list(film[1].xywh), abs=2)
    page.click("#alert-close")
    expect(alert).to_be_hidden()


def test_a_full_server_says_so(site: Any, visit: Any, film: Film) -> None:
    engine = site.engines["tracker-nano"]
    image = next(demo_clip(0, 1, (320, 180)))[0]
    held = [engine.open(image, box=film[1]) for _ in range(4)]
    try:
        page = visit(site, expected=NOT_FOUND)
        load(page, film)
        draw(page, film[1])
        page.click("#start")
        expect(page.get_by_role("alert")).to_contain_text("4")
        page.wait_for_selector("#start:visible")
    finally:
        for session in held:
            session.close()
    site.until_free()


def test_a_key_is_asked_for_once(host: Any, visit: Any, film: Film, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("a key?of-some+length/here\n".replace(" ", "-"))
    site = host(api_key_file=keys)
    page = visit_locked(site, visit)
    page.fill("#key-input", "a-key?of-some+length/here")
    page.keyboard.press("Enter")
    expect(page.locator("#health-dot")).to_have_attribute("data-state", "good")
    expect(page.locator("#key-form")).to_be_hidden()
    load(page, film)
    draw(page, film[1])
    page.click("#start")
    wait_for_tracks(page)
    page.click("#other")


def visit_locked(site: Any, visit: Any) -> Page:
    """The page of a server that wants a key."""
    page: Page = visit(site, expected=NOT_FOUND, ready=False)
    expect(page.locator("#key-form")).to_be_visible()
    return page
