"""The files of the page as they are written: colours that can be told apart, nothing inline or from afar."""

from __future__ import annotations

import re
import struct
from pathlib import Path


def test_colours_can_be_told_apart_in_both_schemes(checkout: Path) -> None:
    """WCAG 2.2, 1.4.3: text has a contrast of 4.5 with what it stands on."""
    style = (checkout / "server/page/style.css").read_text("utf-8")
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", part)) for part in split(style))
    for colours in (light, {**light, **dark}):
        for text in ("text", "quiet", "accent-strong", "tracking", "uncertain", "lost"):
            for ground in ("ground", "surface"):
                assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        assert contrast(colours["on-accent"], colours["accent"]) >= 4.5
        assert contrast(colours["text"], colours["alert-ground"]) >= 4.5


def split(style: str) -> tuple[str, str]:
    """The variables of the light and of the dark scheme."""
    light, dark = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    return light, dark


def contrast(one: str, other: str) -> float:
    """Of two colours, 1 to 21."""

    def luminance(colour: str) -> float:
        parts = [value / 255 for value in struct.unpack("3B", bytes.fromhex(colour[1:]))]
        red, green, blue = (
            one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts
        )
        return float(0.2126 * red + 0.7152 * green + 0.0722 * blue)

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_no_script_or_style_stands_in_the_page_and_files_are_short(checkout: Path) -> None:
    for path in sorted((checkout / "server" / "page").iterdir()):
        if path.suffix not in (".html", ".js", ".css") or path.name.startswith("swagger-ui"):
            continue
        text = path.read_text("utf-8")
        found = re.search(r"<script(?![^>]*src=)|\son\w+=\"|style=\"|https?://(?!127\.0\.0\.1)", text)
        assert found is None, (path.name, found)
        if path.suffix == ".js":
            assert text.count("\n") < 200, path.name
            assert text.startswith("// "), f"{path.name} says in its first line what it holds"
