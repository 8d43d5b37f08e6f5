"""What the engine may rely on with a classifier, whichever runtime and dialect runs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from framestate.bundles import Bundle
from framestate.errors import DataError, StateError, StepError
from framestate.runtimes import Arrays, Runtime, open_runtime, runtime_table
from framestate.runtimes.onnx import OnnxRuntime

INSTALLED = [entry.name for entry in runtime_table() if entry.name != "tensorrt" and not entry.missing]


@pytest.fixture(scope="session")
def portable(tiny_classifier: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same classifier with graphs of plain ONNX."""
    from framestate.export.bundle import GraphOptions, bundle_model
    from framestate.models import build_model, load_weights
    from framestate.plugins import eager_operators

    model = build_model(tiny_classifier.spec, eager_operators())
    load_weights(model, tiny_classifier.weights())
    folder: Path = tmp_path_factory.mktemp("bundles") / "portable"
    options = GraphOptions("portable")
    return bundle_model(model, tiny_classifier.spec, folder, provenance={}, frames=4, options=options)[0]


def test_the_portable_dialect_needs_no_operators_of_ours(tiny_classifier: Bundle, portable: Bundle) -> None:
    onnx = pytest.importorskip("onnx")
    plain, ours = (onnx.load(bundle.file("classify.onnx")) for bundle in (portable, tiny_classifier))
    assert {node.domain for node in plain.graph.node} == {""}
    kinds = [node.op_type for node in ours.graph.node if node.domain == "com.microsoft"]
    assert sorted(kinds) == ["CausalConvWithState"] * 2 + ["LinearAttention"] * 2


@pytest.fixture(params=[*INSTALLED, "onnx, bound", "onnx, portable"])
def runtime(request: pytest.FixtureRequest, tiny_classifier: Bundle) -> Iterator[Runtime]:
    name, _, form = request.param.partition(", ")
    if form == "bound":
        opened: Runtime = OnnxRuntime(tiny_classifier, bound=True)
    else:
        bundle = request.getfixturevalue("portable") if form else tiny_classifier
        opened = open_runtime(bundle, name, device="cpu", threads=1)
    yield opened
    opened.close()


@pytest.fixture
def frames() -> Arrays:
    """Three rows: each another picture, and another share of its average that stays."""
    image = np.random.default_rng(0).normal(size=(3, 3, 16, 16)).astype(np.float32)
    return {"image": image, "keep": np.array([0.0, 0.5, 0.9], np.float32)}


def run(runtime: Runtime, frames: Arrays, times: int = 3) -> list[Arrays]:
    """The outputs of a few frames after one another, by the state carried between them."""
    store, answers = runtime.allocate(3), []
    for index in range(times):
        turned = {"image": np.roll(frames["image"], index, 0), "keep": frames["keep"]}
        outputs, state = runtime.call("classify", turned, store.read([0, 1, 2]))
        assert state is not None
        store.write([0, 1, 2], state)
        answers.append(outputs)
    return answers


def test_every_runtime_and_dialect_agrees(runtime: Runtime, frames: Arrays, tiny_classifier: Bundle) -> None:
    reference = open_runtime(tiny_classifier, "eager", device="cpu", threads=1)
    for found, wanted in zip(run(runtime, frames), run(reference, frames), strict=True):
        for name, value in wanted.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found["frame"].sum(1), 1, atol=1e-5)
    reference.close()


def test_a_batch_is_its_rows_one_at_a_time(runtime: Runtime, frames: Arrays) -> None:
    together = run(runtime, frames)
    for row in range(3):
        store = runtime.allocate(3)
        for index, wanted in enumerate(together):
            one = {
                "image": np.ascontiguousarray(np.roll(frames["image"], index, 0)[row : row + 1]),
                "keep": frames["keep"][row : row + 1],
            }
            outputs, state = runtime.call("classify", one, store.read([row]))
            store.write([row], state or {})
            for name, value in outputs.items():
                np.testing.assert_allclose(value[0], wanted[name][row], rtol=1e-5, atol=1e-6)


def test_the_average_is_carried_as_keep_says(runtime: Runtime, frames: Arrays) -> None:
    first, second, _ = run(runtime, frames)
    keep = frames["keep"][:, None]
    wanted = keep * first["smoothed"] + (1 - keep) * second["frame"]
    np.testing.assert_allclose(second["smoothed"], wanted, atol=1e-6)
    assert np.abs(second["smoothed"][2] - second["frame"][2]).max() > 1e-4


def test_what_does_not_fit_is_named(runtime: Runtime, frames: Arrays) -> None:
    state = runtime.allocate(3).read([0, 1, 2])
    small = {**frames, "image": frames["image"][..., :8]}
    with pytest.raises(DataError, match="input 'image'"):
        runtime.call("classify", small, state)
    with pytest.raises(StateError, match="average"):
        runtime.call("classify", frames, {})
    frames["image"][1, 0, 0, 0] = np.nan
    with pytest.raises(StepError, match="not finite"):
        runtime.call("classify", frames, state)
