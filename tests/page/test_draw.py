"""``framestate track`` without a box: the page that opens, drawn on by a real browser."""

from __future__ import annotations

import csv
import os
import pty
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from framestate.cli.draw import MOST_BYTES
from framestate.vision import VideoWriter
from framestate.vision.synthetic import demo_clip
from playwright.sync_api import Browser, Page, expect

from .conftest import painted

FRAMES = 3
Command = Callable[..., tuple["subprocess.Popen[str]", str]]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, 320, 180, 25) as video:
        for image, _, _ in demo_clip(frames=FRAMES, size=(320, 180)):
            video.write(image)
    return path


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    """Starts the command at a terminal of its own; returns it with the address that it opens."""
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}.part && mv {opened}.part {opened}\n')
    browser.chmod(0o755)
    master, terminal = pty.openpty()
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "framestate.cli.main", "track", *map(str, arguments)],
            stdin=terminal, stderr=terminal, stdout=subprocess.PIPE, text=True, cwd=tmp_path,
            env={**os.environ, "BROWSER": f"{browser} %s", "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        started.append(process)
        end = time.monotonic() + 60
        while not opened.exists():
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        return process, opened.read_text(encoding="utf-8").strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()
    os.close(master)
    os.close(terminal)


def drag(page: Page, start: tuple[int, int], end: tuple[int, int]) -> None:
    """Over the picture, whose pixels are given, at whatever size it is shown."""
    shown = page.locator("#stage img").bounding_box()
    assert shown is not None
    scale = shown["width"] / 320
    for place, act in ((start, page.mouse.down), (end, page.mouse.up)):
        page.mouse.move(shown["x"] + place[0] * scale, shown["y"] + place[1] * scale)
        act()


@pytest.mark.parametrize("size", [(1200, 900), (400, 800)])
def test_boxes_drawn_on_the_page_are_followed(
    command: Command, clip: Path, tmp_path: Path, browser: Browser, size: tuple[int, int]
) -> None:
    process, address = command(clip, "--boxes", "boxes.csv", "--threads", 1)
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.goto(address)
    follow = page.get_by_role("button", name="Follow")
    expect(follow).to_be_disabled()
    drag(page, (100, 100), (102, 101))
    expect(page.get_by_role("status")).to_contain_text("smaller than 4 by 4")
    drag(page, (60, 90), (110, 130))
    drag(page, (200, 60), (150, 20))  # from any corner
    drag(page, (10, 10), (30, 30))
    page.keyboard.press("Backspace")
    expect(page.get_by_role("status")).to_contain_text("Boxes: 2")
    follow.click()
    expect(page.get_by_role("status")).to_contain_text("goes on in your terminal")
    page.close()
    process.communicate(timeout=60)
    assert process.returncode == 0
    with (tmp_path / "boxes.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = [[float(row[side]) for side in "xywh"] for row in rows[:2]]
    for box, wanted in zip(found, ([60, 90, 50, 40], [150, 20, 50, 40]), strict=True):
        assert box == pytest.approx(wanted, abs=2)
    assert len(rows) == 2 * FRAMES


def test_a_frame_that_does_not_arrive_is_told_of_and_can_be_cancelled(
    command: Command, clip: Path, browser: Browser
) -> None:
    process, address = command(clip)
    page = browser.new_page()
    page.route("**/frame.jpg", lambda route: route.abort())
    page.goto(address)
    expect(page.get_by_role("status")).to_contain_text("does not arrive")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("status")).to_contain_text("Cancelled")
    page.close()
    process.communicate(timeout=60)
    assert process.returncode == 2


def test_nothing_drawn_is_an_error_with_a_remedy(command: Command, clip: Path, browser: Browser) -> None:
    process, address = command(clip)
    page = browser.new_page()
    page.goto(address)
    painted(page)
    page.keyboard.press("Escape")
    expect(page.get_by_role("status")).to_contain_text("Cancelled")
    page.close()
    process.communicate(timeout=60)
    assert process.returncode == 2
    assert not clip.with_name("clip_tracked.mp4").exists()


def test_only_the_page_itself_is_answered(command: Command, clip: Path) -> None:
    process, address = command(clip)
    root = address.rsplit("/", 2)[0]
    refused = {"": 404, "/": 404, "/guess/": 404, "/guess/frame.jpg": 404}
    for path, status in refused.items():
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(root + path, timeout=10)
        assert error.value.code == status
        error.value.close()
    bad = {b"": 400, b"[[1,2,3]]": 400, b"[[1,2,-3,4]]": 400, b"[[900,900,5,5]]": 400, b"{": 400, b"7": 400}
    bad |= {b'[["nan",1,2,3]]': 400, b"[" * (MOST_BYTES + 1): 404}
    for body, status in bad.items():
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(f"{address}boxes", data=body, timeout=10)
        assert error.value.code == status, body
        error.value.close()
    assert process.poll() is None, "it waits for boxes that can be used"
