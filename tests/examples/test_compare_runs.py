"""examples/compare_runs.py: runs of different lengths on one axis."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest
from framestate.errors import DataError, OptionError


def write_run(folder: Path, steps: list[int]) -> Path:
    folder.mkdir()
    lines = [
        {"step": step, "loss": 2.0, **({"accuracy": step / 100} if step % 20 == 0 else {})} for step in steps
    ]
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    return folder


def test_steps_become_minutes(example: ModuleType, tmp_path: Path) -> None:
    run = write_run(tmp_path / "one", [10, 20, 30, 40, 50])
    assert example.read_curve(run, 5.0, "accuracy") == [(2.0, 0.2), (4.0, 0.4)]
    pytest.importorskip("matplotlib")
    other = write_run(tmp_path / "two", [20, 40])
    example.main([str(tmp_path / "out.png"), f"V2={run}:5", f"V1={other}:4.5"])
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_no_run(example: ModuleType, tmp_path: Path) -> None:
    run = write_run(tmp_path / "one", [20])
    with pytest.raises(DataError, match="has 'psnr'"):
        example.read_curve(run, 5.0, "psnr")
    with pytest.raises(DataError, match="holds no log"):
        example.read_curve(tmp_path, 5.0, "accuracy")
    for text in ("V2", "V2=runs", "=runs:3", "V2=runs:soon"):
        with pytest.raises(OptionError, match="is no run"):
            example.parse_run(text)
