"""``framestate push``: a bundle to a folder or an address, whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from framestate.bundles import load_bundle

fsspec = pytest.importorskip("fsspec")


def test_a_pushed_bundle_is_the_bundle(
    report: Callable[..., dict[str, Any]], refused: Callable[..., str], work: Path
) -> None:
    found = report("push", "tracker-nano", "there")
    pushed = load_bundle(work / "there" / "tracker-nano")
    source = load_bundle("tracker-nano")
    assert pushed.manifest == source.manifest
    assert set(found["files"].values()) == {
        *(member.bytes for member in source.files.values()),
        (source.path / "manifest.json").stat().st_size,
    }
    assert "holds a bundle tracker-nano already" in refused("push", "tracker-nano", "there")
    report("push", "tracker-nano", "there", "--replace")


def test_any_address_will_do(
    report: Callable[..., dict[str, Any]], refused: Callable[..., str], work: Path
) -> None:
    found = report("push", "tracker-nano", "memory://models/v1")
    memory = fsspec.filesystem("memory")
    names = {Path(path).name for path in memory.ls("/models/v1/tracker-nano", detail=False)}
    assert names == {*load_bundle("tracker-nano").files, "manifest.json"}
    assert all(path.startswith("memory://") for path in found["files"])
    assert "cannot be opened" in refused("push", "tracker-nano", "nowhere://models")
    assert "./none" in refused("push", "./none", "there")
