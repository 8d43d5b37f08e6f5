"""The API in Chromium: Swagger UI from the package, with every call, and nothing from elsewhere."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

WAIT_MS = 60_000


def test_every_call_is_shown_and_nothing_is_fetched_from_elsewhere(site: Any, visit: Any) -> None:
    with urllib.request.urlopen(f"{site.url}openapi.json", timeout=30) as answer:
        document = json.load(answer)
    page = visit(site)  # which fails for whatever is asked of others, and for every complaint of the policy
    page.click("#health summary")
    page.click("text=API")
    expect(page.locator(".opblock").first).to_be_visible(timeout=WAIT_MS)
    calls = sum(len(path) for path in document["paths"].values())
    expect(page.locator(".opblock")).to_have_count(calls)
    page.locator(".opblock-summary").first.click()
    expect(page.locator(".opblock-body").first).to_be_visible()
    assert page.locator(".scheme-container select option").all_inner_texts() in ([], ["/"])


def test_a_key_is_asked_for_once(host: Any, visit: Any, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("0123456789abcdef-key\n")
    site = host(api_key_file=keys)
    page = visit(site, ready=False, expected=("status of 401",))
    page.goto(f"{site.url}docs")
    page.fill("#key-input", "0123456789abcdef-key")
    page.press("#key-input", "Enter")
    expect(page.locator(".opblock").first).to_be_visible(timeout=WAIT_MS)
    expect(page.locator("#key-form")).to_be_hidden()


def test_its_licence_comes_with_it(site: Any, checkout: Path) -> None:
    with urllib.request.urlopen(f"{site.url}static/swagger-ui.LICENSE.txt", timeout=30) as answer:
        text = answer.read().decode()
    assert "swagger-ui-dist 5.35.0" in text
    assert "SmartBear Software" in text
    assert "Apache License" in text
    for name in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert "sourceMappingURL" not in (checkout / "server" / "page" / name).read_text("utf-8")
