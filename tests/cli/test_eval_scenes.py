"""``framestate eval scenes``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from framestate.bench.made_scenes import drawn_background, drawn_cutouts, made_scene, write_scene

Report = Callable[..., dict[str, Any]]
Refused = Callable[..., str]


def test_ours_and_others_on_the_same_detections(report: Report, refused: Refused, work: Path) -> None:
    size = 96, 64
    moments = made_scene(drawn_cutouts(1, 2), drawn_background(1, size), seed=1, objects=3, frames=6)
    write_scene(work / "all" / "one", moments, size)
    found = report("eval", "scenes", "all", "--every", "1,3", "--against", "sort", "--plot", "curve.png")
    rows = {(row["tracker"], row["every"]): row for row in found["rows"]}
    assert set(rows) == {(name, every) for name in ("tracker-nano", "sort") for every in (1, 3)}
    assert all(0 <= row["scores"]["hota"] <= 100 and set(row["scenes"]) == {"one"} for row in rows.values())
    assert (work / "curve.png").stat().st_size > 1000
    found = report("eval", "scenes", "all", "--every", "3", "--delay", "4,9")
    names = {"tracker-nano", "tracker-nano, 4 frames late", "tracker-nano, 9 frames late"}
    assert {row["tracker"] for row in found["rows"]} == names
    for given, words in (
        (("--delay", "0"), "list of numbers"),
        (("--against", "nobody"), "bytetrack"),
        (("--every", "0"), "list of numbers"),
        (("--scenes", "two"), "no scene"),
        (("--detections", "some"), "public or noise"),
    ):
        assert words in refused("eval", "scenes", "all", *given)
    assert "is no folder" in refused("eval", "scenes", "none")
