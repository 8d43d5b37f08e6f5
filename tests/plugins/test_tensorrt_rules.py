"""The rules of the TensorRT plugins: what fits, what comes out, and that the Triton kernels agree."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from pathlib import Path
from typing import Any

import pytest
from framestate.plugins import tensorrt_registry
from framestate.plugins.tensorrt_registry import OPERATORS, plugin_hash, plugin_modules
from framestate.plugins.tensorrt_rules import FREE, OPEN, PluginRules, TimeTiles

RULES: list[PluginRules] = [plugin.RULES for plugin in plugin_modules()]
SSD = RULES[OPERATORS.index("ssd_scan")]
CONV = RULES[OPERATORS.index("causal_conv1d")]
SIZES = {"B": 2, "T": 9, "H": 4, "P": 6, "G": 2, "N": 5, "D": 7, "K": 4, "V": 3}


def shapes(rules: PluginRules) -> list[list[int]]:
    return [[SIZES[dim[0]] + int(dim[1:] or 0) for dim in rule.dims] for rule in rules.inputs]


@pytest.mark.parametrize("rules", RULES, ids=OPERATORS)
def test_sizes_are_read_off_shapes_whatever_is_open(rules: PluginRules) -> None:
    whole = rules.sizes(shapes(rules))
    assert whole == {letter: SIZES[letter] for letter in whole}
    free_open = [[OPEN if dim in FREE else size for dim, size in zip(rule.dims, shape, strict=True)]
                 for rule, shape in zip(rules.inputs, shapes(rules), strict=True)]  # fmt: skip
    assert rules.fixed(free_open) == {**whole, "B": OPEN, "T": OPEN}
    for letter in FREE:
        place, axis = rules.place(letter)
        assert rules.inputs[place].dims[axis] == letter
    nothing = rules.sizes([[OPEN] * len(rule.dims) for rule in rules.inputs])
    assert set(nothing.values()) == {OPEN}
    with pytest.raises(ValueError, match="only the batch and the steps may be open"):
        rules.fixed([[OPEN] * len(rule.dims) for rule in rules.inputs])


@pytest.mark.parametrize("rules", RULES, ids=OPERATORS)
def test_every_wrong_dimension_is_found(rules: PluginRules) -> None:
    """A dimension that two inputs share cannot differ between them, and no rank can."""
    shared = [(i, j) for i, rule in enumerate(rules.inputs) for j, dim in enumerate(rule.dims)
              if sum(dim[0] == other[0] for one in rules.inputs for other in one.dims) > 1]  # fmt: skip
    assert len(shared) > 5
    for place, axis in shared:
        wrong = shapes(rules)
        wrong[place][axis] += 13
        with pytest.raises(ValueError, match=f"of {rules.name} has"):
            rules.sizes(wrong)
    for place, rule in enumerate(rules.inputs):
        wrong = shapes(rules)
        wrong[place].append(1)
        with pytest.raises(ValueError, match=f"{rule.name} of {rules.name} has .* dimensions"):
            rules.sizes(wrong)
    with pytest.raises(ValueError, match="inputs; it takes"):
        rules.sizes(shapes(rules)[:-1])


def test_groups_share_the_heads_evenly() -> None:
    uneven = shapes(SSD)
    uneven[3][2] = uneven[4][2] = 3
    with pytest.raises(ValueError, match="H = 4; it must be a multiple of G = 3"):
        SSD.sizes(uneven)


@pytest.mark.parametrize("rules", RULES, ids=OPERATORS)
@pytest.mark.parametrize("kind", ["fp32", "fp16"])
def test_types(rules: PluginRules, kind: str) -> None:
    every = (*rules.inputs, *rules.outputs)
    types = ["fp32" if rule.always_float32 else kind for rule in every]
    inputs = types[: len(rules.inputs)]
    assert rules.kind(inputs) == kind
    assert all(rules.fits(place, types) for place in range(len(every)))
    assert [inputs[place] for place in rules.like] == types[len(inputs) :]  # outputs are like inputs
    for place in range(1, len(inputs)):
        for other in ("fp16" if types[place] == "fp32" else "fp32", "int32"):
            wrong = [*types[:place], other, *types[place + 1 :]]
            assert not rules.fits(place, wrong)
            with pytest.raises(ValueError, match="it must be"):
                rules.kind(wrong[: len(inputs)])
    with pytest.raises(ValueError, match="it takes fp32 or fp16"):
        rules.kind(["bf16", *inputs[1:]])


@pytest.mark.parametrize("rules", RULES, ids=OPERATORS)
def test_the_state_of_a_scan_stays_float32(rules: PluginRules) -> None:
    listed = rules.combinations().split(", ")
    assert len(listed) == len(rules.inputs) + len(rules.outputs)
    assert set(listed) <= {"FP32", "FP32|FP16"}
    if rules is not CONV:  # whose state is inputs, and has their type
        assert listed[-1] == listed[len(rules.inputs) - 1] == "FP32"


@pytest.mark.parametrize("rules", RULES, ids=OPERATORS)
def test_rules_and_onnx_node_agree(rules: PluginRules) -> None:
    """The tensors stand in the order in which the dialect emits them, and its text gives the shapes."""
    module = importlib.import_module(f"framestate.plugins.{rules.operator}.onnx_plugin")
    told = inspect.getdoc(module) or ""
    assert f"framestate::{rules.name}" in told
    listed = told.split("\n", 2)[2]
    places = [listed.index(f"{rule.name} (") for rule in rules.inputs]
    assert places == sorted(places)
    for rule in rules.inputs:
        dims = ", ".join(dim.replace("-", " - ") for dim in rule.dims) + ("," if len(rule.dims) == 1 else "")
        assert f"{rule.name} ({dims})" in listed


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
@pytest.mark.parametrize("rules", RULES, ids=OPERATORS)
def test_rules_and_kernel_agree(rules: PluginRules) -> None:
    arguments: dict[str, str] = importlib.import_module(
        f"framestate.plugins.{rules.operator}.triton_kernel"
    ).ARGUMENTS
    compiled_in = {
        name for name, kind in arguments.items() if kind == "fp32"
    }  # TensorRT passes integers alone
    assert sorted(rules.order) == sorted(set(arguments) - compiled_in)
    for rule in (*rules.inputs, *rules.outputs):
        assert arguments[rule.argument] == ("*fp32" if rule.always_float32 else "*T")
    assert {arguments[name] for name in rules.scalars} == {"i32"}


@pytest.mark.parametrize(("time", "count"), [(0, 1), (1, 1), (8, 1), (9, 2), (17, 3)])
def test_tiles_of_steps_cover_all_of_them(time: int, count: int) -> None:
    assert TimeTiles(8).count(time) == count


def test_the_hash_follows_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = plugin_hash()
    assert before == plugin_hash()
    files = tensorrt_registry.sources()
    assert all(path.is_file() for path in files)
    copy: Any = tmp_path / files[-1].parent.name / files[-1].name
    copy.parent.mkdir()
    copy.write_bytes(files[-1].read_bytes())
    monkeypatch.setattr(tensorrt_registry, "sources", lambda: [*files[:-1], copy])
    assert plugin_hash() == before
    copy.write_bytes(copy.read_bytes() + b"\n")
    assert plugin_hash() != before
