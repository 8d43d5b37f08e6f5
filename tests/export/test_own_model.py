"""examples/own_model.py, which docs/bring-your-own-model.md walks through: a model like any other."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from framestate.bundles import Bundle, load_bundle
from framestate.engine import Engine
from framestate.errors import BundleError
from framestate.export.proof import prove
from framestate.runtimes import open_runtime
from framestate.runtimes.eager import EagerRuntime


@pytest.fixture(scope="module")
def example(request: pytest.FixtureRequest) -> ModuleType:
    path = request.config.rootpath / "examples" / "own_model.py"
    spec = importlib.util.spec_from_file_location("own_model", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made(example: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, float]:
    """The bundle that the example writes, and how well it tracks."""
    out = tmp_path_factory.mktemp("own") / "own-tracker"
    overlap: float = example.main(out)
    return load_bundle(out), overlap


def test_the_example_runs_from_model_to_boxes(made: tuple[Bundle, float]) -> None:
    bundle, overlap = made
    assert overlap > 0.25  # untrained, yet it holds on to an orange fish
    parity = bundle.parity["onnx"]
    assert isinstance(parity, dict)
    assert 0 < parity["max_rel"] <= 1e-4
    assert bundle.provenance == {"by": "examples/own_model.py"}


def test_a_bundle_names_no_code(made: tuple[Bundle, float], example: ModuleType) -> None:
    """PyTorch needs the code, and only whoever opens the bundle can hand it over."""
    bundle, _ = made
    with pytest.raises(BundleError, match=r"'own_tracker', which has no PyTorch form here.*ONNX"):
        open_runtime(bundle, "eager", device="cpu")
    eager = EagerRuntime(bundle, build=example.build)
    onnx = open_runtime(bundle, "onnx", threads=1)
    assert prove(eager, onnx, frames=20).passed


def test_state_makes_a_difference_and_sessions_keep_theirs(
    made: tuple[Bundle, float], example: ModuleType
) -> None:
    bundle, _ = made
    runtime = open_runtime(bundle, "onnx", threads=1)
    rng = np.random.default_rng(0)
    template = rng.normal(size=(2, 3, example.TEMPLATE, example.TEMPLATE)).astype(np.float32)
    search = rng.normal(size=(2, 3, example.SEARCH, example.SEARCH)).astype(np.float32)
    _, state = runtime.call("init", {"template": template}, None)
    store = runtime.allocate(2)
    store.write([0, 1], state or {})
    first, written = runtime.call("step", {"search": search}, store.read([0, 1]))
    store.write([0, 1], written or {})
    second, _ = runtime.call("step", {"search": search}, store.read([0, 1]))
    assert not np.array_equal(first["score"], second["score"])
    alone, _ = runtime.call("step", {"search": search[1:]}, store.read([1]))
    assert np.allclose(alone["score"][0], second["score"][1], atol=1e-6)


def test_it_loads_by_its_path(made: tuple[Bundle, float]) -> None:
    with Engine.load(made[0].path, threads=1) as engine:
        assert engine.runtime.name == "onnx"


def test_the_page_shows_the_file_as_it_is(checkout: Path) -> None:
    """Every code block of the page that is cut from the example is in it."""
    page = (checkout / "docs" / "bring-your-own-model.md").read_text("utf-8")
    source = (checkout / "examples" / "own_model.py").read_text("utf-8")
    blocks = [block.split("```")[0] for block in page.split("```python own_model.py\n")[1:]]
    assert len(blocks) >= 3
    for block in blocks:
        for part in block.split("    ...\n"):
            assert part.strip("\n") in source, part
