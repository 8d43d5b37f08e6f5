"""examples/overfit_trajectory.py: it trains, makes a bundle and follows with it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from framestate.bundles import load_bundle


def test_a_few_steps_go_all_the_way(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = checkout / "examples" / "overfit_trajectory.py"
    spec = importlib.util.spec_from_file_location("overfit_trajectory", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert 0 <= module.main([str(tmp_path), "--steps", "1", "1"]) < 0.9
    assert "processor time" in capsys.readouterr().out
    assert load_bundle(tmp_path / "bundle").spec.architecture == "artrack_mamba_v2"
