"""Each promise is shown for each kind of session."""

from __future__ import annotations

from pathlib import Path

import pytest

from .kinds import KINDS, Kind


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tiny models of all kinds are written, once."""
    return tmp_path_factory.mktemp("models")
