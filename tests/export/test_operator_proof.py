"""Operators are proved beside one huge step when a model is exported."""

from __future__ import annotations

import math

import pytest
from framestate.bundles import Bundle
from framestate.errors import ParityError
from framestate.export import operator_proof
from framestate.export.operator_proof import Call, prove_operators, recorded, spiked_error
from framestate.models import build_model
from framestate.plugins.cases import CONFIGURATIONS, Configuration
from framestate.plugins.operators import Dialect

by_label = {case.label: case for case in CONFIGURATIONS}


def call_of(case: Configuration, time: int = 72, *, open_time: bool = False) -> Call:
    shapes = tuple((name, tuple(tensor.shape)) for name, tensor in case.draw(time, B=2).items())
    return Call(case, shapes, (), open_time)


@pytest.mark.long
@pytest.mark.parametrize("dialect", ["ort", "portable"])
@pytest.mark.parametrize("label", by_label)
def test_a_graph_keeps_its_digits_beside_a_huge_step(label: str, dialect: Dialect) -> None:
    assert spiked_error(call_of(by_label[label]), dialect) <= 1e-5


@pytest.mark.parametrize(("label", "dialect"), [("`ssd_scan`", "ort"), ("`mlstm_scan`", "portable")])
def test_the_shipped_operators_do(label: str, dialect: Dialect) -> None:
    assert spiked_error(call_of(by_label[label]), dialect) <= 1e-5


@pytest.mark.parametrize(
    ("label", "dialect"),
    [("`mlstm_scan`", "ort"), ("`mlstm_scan`", "portable"), ("`gated_scan`, delta rule", "portable")],
)
def test_a_gate_that_is_shut_is_no_other(label: str, dialect: Dialect) -> None:
    assert spiked_error(call_of(by_label[label], 24), dialect, math.inf) <= 1e-5


def test_so_does_a_graph_with_open_steps() -> None:
    assert spiked_error(call_of(by_label["`ssd_scan`"], open_time=True), "portable") <= 1e-5


def test_a_models_calls_are_found(tiny_bundle: Bundle) -> None:
    calls = recorded(tiny_bundle.spec, build_model)
    assert {call.case.operator for call in calls} == {"ssd_scan", "causal_conv1d"}
    assert all(call.draw(0.0)["x"].shape[1] <= operator_proof.STEPS for call in calls)


def test_a_bundles_manifest_says_what_was_proved(tiny_bundle: Bundle) -> None:
    said = tiny_bundle.parity["onnx"]
    assert isinstance(said, dict)
    proved = said["operators"]
    assert isinstance(proved, dict)
    assert proved["calls"] == len(recorded(tiny_bundle.spec, build_model))
    assert isinstance(proved["max_rel"], float)
    assert proved["max_rel"] <= 1e-5


def test_beyond_the_tolerance_nothing_is_exported(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operator_proof, "TOLERANCE", 0.0)
    with pytest.raises(ParityError, match=r"beside a step of 1e\+06 in the dialect 'ort'"):
        prove_operators(tiny_bundle.spec, build_model, "ort")
