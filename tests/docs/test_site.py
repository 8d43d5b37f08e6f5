"""``make docs``: the site builds with every link right, and asks nobody for anything."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from framestate.cli.main import FIRST, REST

pytest.importorskip("mkdocs", reason="MkDocs is not installed: pip install '.[docs]'")
CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built anew; a link that leads nowhere ends the build."""
    root = Path(__file__).resolve().parents[2]
    folder = tmp_path_factory.mktemp("site")
    types = subprocess.run(["make", "-s", "types"], cwd=root, capture_output=True, text=True, check=False)
    assert types.returncode == 0, types.stderr
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)],
        cwd=root, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        for tag in re.findall(r"<(?:script|link|img|iframe|source|video)\b[^>]*>", text):
            assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", tag), f"{page.name}: {tag}"
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", sheet.read_text("utf-8")), (
            sheet.name
        )


def test_the_reference_holds_every_verb_and_the_names_of_python(site: Path) -> None:
    command = (site / "reference" / "command.html").read_text("utf-8")
    for verb in (*FIRST, *REST):
        assert f"framestate {verb}" in command or f"framestate more {verb}" in command
    assert "--slow-motion" in command
    python = (site / "reference" / "python.html").read_text("utf-8")
    for name in ("framestate.engine.Engine", "framestate.vision.VideoReader", "framestate.errors.BoxError"):
        assert f'id="{name}"' in python


def test_the_decisions_are_listed(site: Path) -> None:
    page = site / "decisions" / "README.html"
    text = (page if page.exists() else page.with_name("index.html")).read_text("utf-8")
    for path in (Path(__file__).resolve().parents[2] / "docs" / "decisions").glob("[0-9]*.md"):
        assert f"{path.stem}.html" in text


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here: apt-get install chromium")
def test_a_browser_asks_for_files_of_the_site_alone(site: Path) -> None:
    from playwright.sync_api import sync_playwright

    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        for name in ("index", "follow", "reference/python"):
            page.goto((site / f"{name}.html").as_uri())
            assert page.locator("h1").first.is_visible()
        browser.close()
    assert asked
    assert all(url.startswith((f"file://{site}", "data:", "blob:")) for url in asked), asked
