"""Every installed runtime on the same small tracker."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from framestate.bundles import Bundle
from framestate.runtimes import Arrays, Runtime, open_runtime, runtime_table
from framestate.runtimes.onnx import OnnxRuntime

INSTALLED = [entry.name for entry in runtime_table() if not entry.missing]


@pytest.fixture(params=[*INSTALLED, "onnx, bound"])
def runtime(request: pytest.FixtureRequest, tiny_bundle: Bundle) -> Iterator[Runtime]:
    """Each installed runtime; ONNX Runtime also with its state bound by address, as on a GPU."""
    name, _, bound = request.param.partition(", ")
    if bound:
        opened: Runtime = OnnxRuntime(tiny_bundle, bound=True)
    else:
        opened = open_runtime(tiny_bundle, name, device="cpu", threads=1)
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
