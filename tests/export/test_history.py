"""The stateless baseline: same outputs as the stateful step, on both runtimes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from framestate.bundles import Bundle
from framestate.errors import OptionError
from framestate.export.history import history_cases
from framestate.plugins.operators import Dialect


@pytest.mark.parametrize(
    ("runtime", "ops"),
    [("eager", "ort"), ("onnx", "ort"), pytest.param("onnx", "portable", marks=pytest.mark.long)],
)
def test_every_form_gives_the_same_outputs(
    tiny_bundle: Bundle, tmp_path: Path, runtime: str, ops: Dialect
) -> None:
    said: list[str] = []
    histories = [1, 3] if runtime == "eager" else [2]
    with history_cases(tiny_bundle, histories, tmp_path, runtime=runtime, ops=ops, say=said.append) as cases:
        assert [case.history for case in cases] == histories
        for case in cases:
            assert set(case.calls) == {"stateless", "cached", "stateful"}
            for call in case.calls.values():
                found = call()
                for name, expected in case.reference.items():
                    np.testing.assert_allclose(found[name], expected, atol=1e-4)
    assert len(said) == {"eager": 0, "onnx": 2}[runtime] + (ops == "portable")  # else the bundle's own step


def test_other_architectures_and_empty_histories_are_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    other = replace(tiny_bundle, spec=replace(tiny_bundle.spec, architecture="siamese"))
    for bundle, histories, runtime in (
        (other, [1], "onnx"),
        (tiny_bundle, [0], "onnx"),
        (tiny_bundle, [1], "trt"),
    ):
        with (
            pytest.raises(OptionError),
            history_cases(bundle, histories, tmp_path, runtime=runtime, ops="ort", say=print),
        ):
            pass
