"""A classifier's bundle: proven in each dialect, and refused where nothing is measured or nothing agrees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framestate.bundles import Bundle, load_bundle, write_bundle
from framestate.errors import OptionError, ParityError
from framestate.export.bundle import GraphOptions, bundle_model, prove
from framestate.export.proof import prove as prove_runtimes
from framestate.models import build_model, load_weights
from framestate.models.classification import MambaClassifier
from framestate.plugins import eager_operators
from framestate.runtimes import Arrays, RuntimeOver, State, open_runtime
from safetensors.numpy import save


def model_of(bundle: Bundle) -> MambaClassifier:
    model = build_model(bundle.spec, eager_operators())
    load_weights(model, bundle.weights())
    assert isinstance(model, MambaClassifier)
    return model


def test_the_manifest_says_what_it_is(tiny_classifier: Bundle) -> None:
    bundle = load_bundle(tiny_classifier.path)
    assert (bundle.spec.task, bundle.spec.state_bytes) == ("classification", 12)
    parity = bundle.parity["onnx"]
    assert isinstance(parity, dict)
    assert parity["dialect"] == "ort"
    assert parity["same_labels"] == 1.0
    assert parity["drift"] <= parity["drift_tolerance"]


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_smaller_numbers_are_refused(tiny_classifier: Bundle, tmp_path: Path, precision: Any) -> None:
    with pytest.raises(OptionError, match=f"not exported in {precision}"):
        bundle_model(
            model_of(tiny_classifier),
            tiny_classifier.spec,
            tmp_path / "p",
            provenance={},
            options=GraphOptions(precision=precision),
        )
    assert not (tmp_path / "p").exists()


class Drifting(RuntimeOver):
    """A runtime whose state fades a little at each call."""

    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        outputs, written = super().call(function, inputs, state)
        return outputs, {name: np.asarray(value) * np.float32(0.9) for name, value in (written or {}).items()}


def test_a_state_that_drifts_is_no_parity(tiny_classifier: Bundle) -> None:
    reference, candidate = (
        open_runtime(tiny_classifier, name, device="cpu", threads=1) for name in ("eager", "onnx")
    )
    sound, drifting = (prove_runtimes(reference, one, frames=8) for one in (candidate, Drifting(candidate)))
    assert sound.passed
    assert not drifting.passed
    assert drifting.values["drift"] > sound.allowed.limits["drift"]
    assert "smoothed probability" in drifting.summary


def test_graphs_of_other_weights_are_no_parity(tiny_classifier: Bundle, tmp_path: Path) -> None:
    weights = tiny_classifier.weights()
    weights["head.bias"] = weights["head.bias"] + np.array([0.01, 0.0, 0.0], np.float32)
    files: dict[str, Path | bytes] = {name: tiny_classifier.file(name) for name in tiny_classifier.files}
    files["weights.safetensors"] = save(weights)
    other = write_bundle(tmp_path / "p", tiny_classifier.spec, files, provenance={}, metrics={}, parity={})
    with pytest.raises(ParityError, match="onnx differs from eager by"):
        prove(other, 3, lambda text: None)
