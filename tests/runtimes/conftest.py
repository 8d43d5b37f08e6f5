"""Every installed runtime on the same small tracker."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from framestate.bundles import Bundle
from framestate.runtimes import Arrays, Runtime, open_runtime, runtime_table

INSTALLED = [entry.name for entry in runtime_table() if not entry.missing]


@pytest.fixture(params=INSTALLED)
def runtime(request: pytest.FixtureRequest, tiny_bundle: Bundle) -> Iterator[Runtime]:
    opened = open_runtime(tiny_bundle, request.param, device="cpu", threads=1)
    yield opened
    opened.close()


@pytest.fixture
def crops() -> Arrays:
    """Inputs of three rows: template, search and carry, by name."""
    rng = np.random.default_rng(0)
    return {
        "template": rng.normal(size=(3, 3, 32, 32)).astype(np.float32),
        "search": rng.normal(size=(3, 3, 64, 64)).astype(np.float32),
        "carry": np.array([1.0, 0.5, 0.0], np.float32),
    }
