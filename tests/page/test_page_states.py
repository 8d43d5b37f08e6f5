"""The page in Chromium says what is: a server that is gone, a wrong key, sessions by model; pop-ups close."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from framestate.bundles import Bundle
from framestate.engine import Engine
from framestate.server import Settings
from framestate.vision import Box
from playwright.sync_api import expect

from ..ports import free_port
from .conftest import Site
from .test_page import NOT_FOUND, draw, load, visit_locked, wait_for_tracks

Film = tuple[Path, Box]
WAIT_MS = 30_000
GONE = ("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE")
WRONG = {
    "a-key-that-is-long-enough": "The API key is not one of this server's.",
    "zwölf große Boxkämpfer": "A key has no spaces",
}


@pytest.fixture
def again(tmp_path: Path) -> Any:
    """Starts a server with one tracker on a port that stays, as a restart does."""
    port, opened = free_port(), []

    def start() -> Site:
        engine = Engine.load("tracker-nano", runtime="onnx", threads=1, workers=1, capacity=4)
        site = Site(Settings(port=port, state_dir=tmp_path / "state"), {"tracker-nano": engine})
        opened.append((site, engine))
        return site

    def stop() -> None:
        site, engine = opened.pop()
        site.stop()
        engine.close()

    yield start, stop
    if opened:
        stop()


def test_a_server_that_goes_is_grey_and_said_and_followed_on_when_back(
    again: tuple[Callable[[], Site], Callable[[], None]], visit: Any, film: Film
) -> None:
    start, stop = again
    page = visit(start(), expected=(*GONE, *NOT_FOUND))
    load(page, film)
    draw(page, film[1])
    page.select_option("#speed", "0.25")
    page.click("#start")
    wait_for_tracks(page)
    stop()
    dot, word = page.locator("#health-dot"), page.locator("#status-word")
    expect(word).to_have_text("No connection", timeout=WAIT_MS)
    expect(dot).to_have_attribute("data-state", "gone", timeout=WAIT_MS)
    assert page.inner_text("#health-text") == "Server gone"
    expect(page.locator("#hint")).to_contain_text("Trying again")
    expect(page.locator("#targets")).to_contain_text("No connection")
    assert "Tracking" not in page.inner_text("#panel-track aside")
    grey = page.evaluate("getComputedStyle(document.getElementById('picture')).filter")
    assert "grayscale" in grey
    start()
    expect(word).to_have_text(re.compile("Tracking|Uncertain|Lost|Ended"), timeout=WAIT_MS)
    expect(dot).to_have_attribute("data-state", "good", timeout=WAIT_MS)
    page.click("#other")


@pytest.mark.parametrize("path", ["", "docs"])
def test_a_wrong_key_is_said_where_it_is_typed(host: Any, visit: Any, tmp_path: Path, path: str) -> None:
    keys = tmp_path / "keys"
    keys.write_text("the-key-that-is-right\n")
    site = host(api_key_file=keys)
    page = visit_locked(site, visit)
    page.goto(site.url + path)
    said, field = page.locator("#key-problem"), page.locator("#key-input")
    for key, problem in WRONG.items():
        page.fill("#key-input", key)
        page.keyboard.press("Enter")
        expect(said).to_contain_text("no key of this server" if path and "-" in key else problem)
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(field).to_be_focused()
        page.wait_for_timeout(50)
    page.fill("#key-input", "the-key-that-is-right")
    page.keyboard.press("Enter")
    expect(page.locator("#key-form")).to_be_hidden()


def test_popups_close_and_sessions_are_counted_by_model(
    site: Any, visit: Any, film: Film, tiny_interpolator: Bundle
) -> None:
    page = visit(site)
    load(page, film)
    draw(page, film[1])
    page.select_option("#speed", "0.25")
    page.click("#start")
    wait_for_tracks(page)
    popup, summary = page.locator("#models-list"), page.locator("#health summary")
    summary.click()
    expect(popup.locator("li")).to_contain_text(
        [re.compile(r"tracker-nano\D*1 of \d+"), re.compile(r"\D0 of \d+")]
    )
    closes: list[Callable[[], None]] = [
        lambda: page.keyboard.press("Escape"),
        lambda: page.mouse.click(5, 700),
    ]
    for close in closes:
        expect(popup).to_be_visible()
        close()
        expect(popup).to_be_hidden()
        summary.click()
    page.focus("#pause")  # the focus goes elsewhere
    expect(popup).to_be_hidden()
    page.click("#other")
    site.until_free()


def test_a_tab_says_which_model_it_lacks(again: Any, visit: Any, tiny_interpolator: Bundle) -> None:
    start, _ = again
    page = visit(start())
    expect(page.locator("#track-missing")).to_be_hidden()
    for tab, note, button in (
        ("interpolate", "job-missing", "job-sample"),
        ("run", "run-missing", "run-start"),
    ):
        page.click(f"#tab-{tab}")
        expect(page.locator(f"#{note}")).to_contain_text("framestate serve --model")
        expect(page.locator(f"#{button}")).to_be_disabled()
    with Engine.load(str(tiny_interpolator.path), runtime="onnx", threads=1) as engine:
        site = Site(Settings(port=0), {"tiny": engine})
        try:
            page = visit(site)
            expect(page.locator("#track-missing")).to_be_visible()
            expect(page.locator("#pick-sample")).to_be_disabled()
            page.click("#tab-interpolate")
            expect(page.locator("#job-missing")).to_be_hidden()
            expect(page.locator("#job-sample")).to_be_enabled()
        finally:
            site.stop()
