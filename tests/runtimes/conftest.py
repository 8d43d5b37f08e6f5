"""Every installed runtime on the same small trackers, one of each family."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from framestate.bundles import Bundle
from framestate.runtimes import Arrays, Runtime, open_runtime, runtime_table
from framestate.runtimes.eager import EagerRuntime
from framestate.runtimes.onnx import OnnxRuntime
from framestate.runtimes.tensorrt import TensorRTRuntime

from .host_gpu import plan_bundle, stand_in
from .host_graphs import HostRecorder

INSTALLED = [entry.name for entry in runtime_table() if entry.name != "tensorrt" and not entry.missing]
TRACKERS = ("tiny_bundle", "tiny_vil_bundle", "tiny_trajectory_bundle")
FORMS = (*INSTALLED, "eager, resident", "eager, graphs", "onnx, bound", "onnx, graphs", "tensorrt, host")


@pytest.fixture(params=[f"{tracker}: {form}" for tracker in TRACKERS for form in FORMS])
def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Runtime]:
    """Each installed runtime, and those for GPUs over host memory, where an address is an address too."""
    tracker, form = request.param.split(": ")
    name, _, bound = form.partition(", ")
    bundle: Bundle = request.getfixturevalue(tracker)
    if name == "tensorrt":
        request.getfixturevalue("host_vendor")
        opened: Runtime = TensorRTRuntime(plan_bundle(bundle, tmp_path / "plans"))
    elif name == "eager" and bound:
        opened = EagerRuntime(bundle, resident=True, graphs=HostRecorder() if bound == "graphs" else False)
    elif bound:
        opened = OnnxRuntime(bundle, bound=True, graphs=bound == "graphs")
    else:
        opened = open_runtime(bundle, name, device="cpu", threads=1)
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


@pytest.fixture
def host_vendor(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """See ``stand_in``."""
    return stand_in(monkeypatch)


@pytest.fixture
def plans(tiny_bundle: Bundle, tmp_path: Path) -> Bundle:
    """The small tracker with plans for the stand-ins, for one to four rows."""
    return plan_bundle(tiny_bundle, tmp_path / "plans")


@pytest.fixture
def host_tensorrt(plans: Bundle, host_vendor: SimpleNamespace) -> TensorRTRuntime:
    """Our TensorRT runtime over the stand-ins."""
    return TensorRTRuntime(plans)
