"""axe-core looks at the page in every state, on a desk and on a phone: nothing serious is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from framestate.vision import Box
from playwright.sync_api import Page, expect

from .test_page import NOT_FOUND, draw, load, wait_for_tracks

VERSION = "4.14.1"
GRAVE = ("serious", "critical")
WAIT_MS = 60_000
SCREENS: dict[str, dict[str, Any]] = {
    "desk": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "has_touch": True},
}


@pytest.fixture
def look(checkout: Path) -> Callable[[Page, str], None]:
    """Has axe-core look at a page as it is."""
    script = checkout / "build" / "node" / "node_modules" / "axe-core" / "axe.min.js"
    if not script.is_file():
        pytest.skip(f"there is no axe-core here: npm install --prefix build/node axe-core@{VERSION}")
    source = script.read_text("utf-8")

    def check(page: Page, state: str) -> None:
        page.evaluate(source)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        assert found["testEngine"]["version"] == VERSION
        grave = [
            {"rule": one["id"], "nodes": [node["html"][:200] for node in one["nodes"]]}
            for one in found["violations"]
            if one["impact"] in GRAVE
        ]
        assert grave == [], f"{state}: {json.dumps(grave, indent=1)}"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{state} is too wide"

    return check


@pytest.mark.parametrize("screen", SCREENS)
def test_nothing_serious_is_found_in_any_state(
    screen: str, host: Any, visit: Any, film: tuple[Path, Box], look: Any, tmp_path: Path, checkout: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text("the-key-that-is-right\n")
    clip = checkout / "server" / "page" / "sample.mp4"
    site = host(api_key_file=keys, sources=(f"pond={clip}", "yard=rtsp://127.0.0.1:9/none"))
    page = visit(site, ready=False, expected=(*NOT_FOUND, "INTERNET_DISCONNECTED"), **SCREENS[screen])
    page.fill("#key-input", "this-one-is-not-right")
    page.keyboard.press("Enter")
    expect(page.locator("#key-problem")).not_to_be_empty()
    look(page, "a wrong key")
    page.fill("#key-input", "the-key-that-is-right")
    page.keyboard.press("Enter")
    expect(page.locator("#health-dot")).to_have_attribute("data-state", "good")
    look(page, "nothing chosen yet")
    load(page, film)
    draw(page, film[1])
    look(page, "a box is drawn")
    page.select_option("#speed", "0.25")
    page.click("#start")
    wait_for_tracks(page)
    look(page, "running")
    page.click("#pause")
    page.click("#save summary")
    look(page, "paused, with the menu of results")
    page.keyboard.press("Escape")
    page.click("#health summary")
    expect(page.locator("#models-list")).to_contain_text("tracker-nano")
    look(page, "the server's sessions")
    page.keyboard.press("Escape")
    page.click("#tab-live")
    expect(page.locator("#sources")).to_contain_text("Away", timeout=WAIT_MS)
    look(page, "the wall")
    page.get_by_role("button", name="pond").click()
    expect(page.locator("#live-picture")).to_be_visible(timeout=WAIT_MS)
    page.keyboard.press("n")
    page.keyboard.press("Enter")
    expect(page.locator("#live-targets li")).to_have_count(1)
    look(page, "a live source with a target")
    page.click("#tab-interpolate")
    page.set_input_files("#job-file", film[0])
    page.click("#job-start")
    expect(page.locator("#compare")).to_be_visible(timeout=WAIT_MS)
    look(page, "before and after")
    page.click("#tab-run")
    page.set_input_files("#run-file", film[0])
    page.fill("#run-options", "{")
    page.click("#run-start")
    expect(page.locator("#alert")).to_be_visible()
    look(page, "any model, and an error")
    page.click("#tab-track")
    page.context.set_offline(True)
    expect(page.locator("#health-dot")).to_have_attribute("data-state", "gone", timeout=WAIT_MS)
    look(page, "the server is gone")
