"""Chromium, as people have it, and a real server with a page for it to open."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from framestate.bundles import Bundle
from framestate.engine import Engine
from framestate.server import Server, Settings
from framestate.vision import Box, VideoWriter
from framestate.vision.synthetic import demo_clip
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

CHROMIUM = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
]  # fmt: skip
SIZE = (320, 180)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests, each with a fresh profile in it."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


def painted(page: Page) -> None:
    """Waits until a page has been painted: before, Chromium hands no keys to it."""
    page.evaluate("new Promise((then) => requestAnimationFrame(() => requestAnimationFrame(then)))")


class Site:
    """A server in a thread."""

    def __init__(self, settings: Settings, engines: dict[str, Engine]) -> None:
        self.server = Server(settings, engines)
        self.hub = self.server.hub
        self.engines = engines
        self.url = f"http://127.0.0.1:{self.server.address[1]}/"
        self._thread = threading.Thread(target=self.server.run, name="test-server")
        self._thread.start()
        while not self.server.started and self._thread.is_alive():
            time.sleep(0.01)

    @property
    def sessions(self) -> int:
        return self.engines["tracker-nano"].slots.num_used

    def until_free(self) -> None:
        """Waits until no session is open."""
        end = time.monotonic() + 20
        while self.sessions:
            assert time.monotonic() < end, "a session stays open"
            time.sleep(0.05)

    def stop(self) -> None:
        self.server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive()


@pytest.fixture(scope="module")
def host(tiny_interpolator: Bundle) -> Iterator[Callable[..., Site]]:
    """Starts servers over the same two models."""
    with ExitStack() as stack:
        engines = {
            "tracker-nano": Engine.load("tracker-nano", runtime="onnx", threads=1, workers=1, capacity=4),
            "tiny": Engine.load(str(tiny_interpolator.path), runtime="onnx", threads=1),
        }
        for engine in engines.values():
            stack.enter_context(engine)

        def start(**settings: Any) -> Site:
            site = Site(Settings(port=0, **settings), engines)
            stack.callback(site.stop)
            return site

        yield start


@pytest.fixture(scope="module")
def site(host: Callable[..., Site]) -> Site:
    """The server that most tests use."""
    return host()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Box]:
    """A clip of 24 frames as a file, and the target's box in the first."""
    path = tmp_path_factory.mktemp("film") / "koi.mp4"
    pairs = list(demo_clip(0, 24, SIZE))
    with VideoWriter(path, *SIZE, Fraction(12)) as writer:
        for image, _, _ in pairs:
            writer.write(image)
    return path, pairs[0][1]


Visit = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Opens the page of a site. Whatever it asks of others, or complains about, fails the test."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def start(site: Site, *, expected: tuple[str, ...] = (), ready: bool = True, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)

        def asked(url: str) -> None:
            if not url.startswith((site.url, "blob:", "data:")):
                faults.append(f"it asked for {url}")

        def said(kind: str, text: str) -> None:
            if kind in ("error", "warning") and not any(part in text for part in expected):
                faults.append(text)

        page.on("request", lambda request: asked(request.url))
        page.on("console", lambda message: said(message.type, message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(site.url)
        painted(page)
        if ready:
            expect(page.locator("#health-dot")).to_have_attribute("data-state", "good", timeout=30_000)
        return page

    yield start
    for context in contexts:
        context.close()
    assert faults == []
