"""What ``framestate serve --ray`` hands to Ray Serve."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from framestate.cli.serve_ray import ClusterChoice, cluster_options
from framestate.server import Settings


def test_options_are_written_down_and_name_files_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.chdir(tmp_path)
    settings = Settings(api_key_file=Path("keys"), max_sessions=3, keep_videos=3600.0)
    given = json.loads(json.dumps(cluster_options(settings, ClusterChoice(1, None, None)).server))
    assert given["api_key_file"] == str(tmp_path / "keys")
    assert Settings(**given) == settings.model_copy(update={"api_key_file": tmp_path / "keys"})
