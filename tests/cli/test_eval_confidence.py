"""``framestate eval confidence``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import Result

MakeSequences = Callable[..., Path]
ONE = ("--threads", 1)


def test_ours_beside_one_that_never_doubts(
    report: Callable[..., dict[str, Any]], make_sequences: MakeSequences, work: Path
) -> None:
    folder = make_sequences("a", "b")
    found = report(
        "eval", "confidence", folder, "--against", "static", "--plot", "r.png", "--curves", "c.png", *ONE
    )
    assert list(found["trackers"]) == ["tracker-nano", "static"]
    ours, static = found["trackers"].values()
    assert 0 <= ours["ece"] <= 1
    assert static["ece"] is None  # it gives no score
    assert static["lost_frames"] == 0
    assert set(ours["sequences"]) == {"a", "b"}
    assert ours["frames"] == sum(one["frames"] for one in ours["sequences"].values()) == 6
    for name in ("r.png", "c.png"):
        assert (work / name).read_bytes()[:4] == b"\x89PNG"
    assert 0 < static["f"] <= 1


def test_a_table(invoke: Callable[..., Result], make_sequences: MakeSequences) -> None:
    result = invoke("eval", "confidence", make_sequences("a"), *ONE)
    assert result.exit_code == 0
    assert "Lost and found" in result.stdout
    assert "ECE" in result.stdout
    assert "Long-term tracking" in result.stdout


def test_an_unknown_peer_is_a_usage_error(
    invoke: Callable[..., Result], make_sequences: MakeSequences
) -> None:
    result = invoke("eval", "confidence", make_sequences("a"), "--against", "nobody", *ONE)
    assert result.exit_code == 2
    assert "nobody" in result.stderr
