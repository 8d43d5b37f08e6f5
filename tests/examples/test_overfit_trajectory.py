"""examples/overfit_trajectory.py: it trains, makes a bundle and follows with it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from framestate.bundles import load_bundle


def test_a_few_steps_go_all_the_way(
    example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 0 <= example.main([str(tmp_path), "--steps", "1", "1"]) < 0.9
    assert "processor time" in capsys.readouterr().out
    assert load_bundle(tmp_path / "bundle").spec.architecture == "artrack_mamba_v2"
