"""ModelSpec, FunctionSpec, TensorSpec: what they compute and what they refuse."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from framestate.bundles import FunctionSpec, ModelSpec, TensorSpec, past_name, present_name
from framestate.bundles.tensor import ITEM_BYTES
from framestate.errors import BundleError
from hypothesis import given
from hypothesis import strategies as st


def test_names_of_past_and_present() -> None:
    assert past_name("0.ssm") == "past_state.0.ssm"
    assert present_name("0.ssm") == "present_state.0.ssm"


def test_a_shape_becomes_concrete() -> None:
    tensor = TensorSpec("x", "float16", (5, "batch", 2))
    assert tensor.concrete(3) == (5, 3, 2)
    assert tensor.concrete(0) == (5, 0, 2)
    assert tensor.batch_axis == 1
    assert tensor.bytes_per_row == 20
    with pytest.raises(BundleError, match="batch of -1 rows"):
        tensor.concrete(-1)


def test_a_fixed_shape_has_no_batch_axis() -> None:
    assert TensorSpec("x", "int64", (2, 3)).batch_axis is None
    assert TensorSpec("x", "int64", ()).bytes_per_row == 8


def test_every_type_is_as_long_as_numpys() -> None:
    assert {name: np.dtype(name).itemsize for name in ITEM_BYTES} == dict(ITEM_BYTES)


def test_eight_axes_are_allowed() -> None:
    assert TensorSpec("x", "float32", (1,) * 8).bytes_per_row == 4


@pytest.mark.parametrize(
    ("name", "dtype", "shape", "said"),
    [
        ("", "float32", (1,), "not a name"),
        ("a/b", "float32", (1,), "not a name"),
        ("../a", "float32", (1,), "not a name"),
        ("a..b", "float32", (1,), "not a name"),
        ("a\n", "float32", (1,), "not a name"),
        ("x" * 201, "float32", (1,), "not a name"),
        (7, "float32", (1,), "not a name"),
        ("x", "float33", (1,), "dtype"),
        ("x", "object", (1,), "dtype"),
        ("x", None, (1,), "dtype"),
        ("x", "float32", [1], "not a tuple"),
        ("x", "float32", (1,) * 9, "at most 8"),
        ("x", "float32", (0,), "no size"),
        ("x", "float32", (-1,), "no size"),
        ("x", "float32", (True,), "no size"),
        ("x", "float32", (2.0,), "no size"),
        ("x", "float32", ("time",), "no size"),
        ("x", "float32", ("batch", "batch"), "more than once"),
        ("x", "float32", (2**21, 2**21), "more than"),
    ],
)
def test_a_tensor_that_breaks_a_rule(name: Any, dtype: Any, shape: Any, said: str) -> None:
    with pytest.raises(BundleError, match=said) as caught:
        TensorSpec(name, dtype, shape)
    assert len(str(caught.value)) < 600
    assert caught.value.remedy


def test_the_state_of_one_session(spec: ModelSpec) -> None:
    assert spec.state_bytes == 4 * 2 * 8 + 2 * 5


def test_functions_are_found_by_name(spec: ModelSpec) -> None:
    assert spec.function("step").writes_state == ("0.ssm", "0.conv")
    with pytest.raises(BundleError, match=r"no function 'stop'.*init, step"):
        spec.function("stop")


def test_a_spec_survives_json(spec: ModelSpec) -> None:
    assert ModelSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_a_spec_keeps_its_own_copy_of_the_config(spec: ModelSpec) -> None:
    config: dict[str, Any] = {"sizes": (1, 2)}
    changed = dataclasses.replace(spec, config=config)
    config["sizes"] = "gone"
    assert changed.config == {"sizes": [1, 2]}


def test_a_function_gives_something() -> None:
    with pytest.raises(BundleError, match="no outputs and writes no state"):
        FunctionSpec((), ())


@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_a_function_has_no_name_twice(side: str) -> None:
    x, y = TensorSpec("x", "float32", (1,)), TensorSpec("y", "float32", (1,))
    sides = {"inputs": (y,), "outputs": (y,), side: (x, x)}
    with pytest.raises(BundleError, match="hold 'x' twice"):
        FunctionSpec(sides["inputs"], sides["outputs"])
    with pytest.raises(BundleError, match="hold 's' twice"):
        FunctionSpec((x,), (y,), ("s", "s"), ())


def test_a_function_names_state_that_exists(spec: ModelSpec) -> None:
    stray = FunctionSpec((), (), ("0.ssm",), ("1.ssm",))
    with pytest.raises(BundleError, match=r"'1\.ssm', which the model lacks.*0\.ssm, 0\.conv"):
        dataclasses.replace(spec, functions={"step": stray})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"functions": {}}, "no functions"),
        ({"name": "../tiny"}, "the name of a model"),
        ({"task": ""}, "the task of a model"),
        ({"config": {"x": float("nan")}}, "config.x is nan"),
        ({"config": {"x": object()}}, "config.x is a object"),
        ({"config": {1: 2}}, "config has the key 1"),
        ({"config": []}, "not an object"),
        ({"preprocess": {"x": b"bytes"}}, "preprocess.x is a bytes"),
        ({"state": (TensorSpec("0.ssm", "float32", (2,)),)}, "no 'batch' axis"),
        ({"state": (TensorSpec("s", "float32", ("batch",)),) * 2}, "hold 's' twice"),
    ],
)
def test_a_model_that_breaks_a_rule(spec: ModelSpec, change: dict[str, Any], said: str) -> None:
    with pytest.raises(BundleError, match=said):
        dataclasses.replace(spec, **change)


@pytest.mark.parametrize(
    "path", [[], ["functions"], ["functions", "step"], ["functions", "step", "inputs", 0], ["state", 1]]
)
def test_every_field_is_wanted_and_no_other(spec: ModelSpec, path: list[Any]) -> None:
    def holder(data: Any) -> Any:
        for step in path:
            data = data[step]
        return data

    if path != ["functions"]:  # its keys are free
        for key in list(holder(spec.to_json())):
            data = json.loads(json.dumps(spec.to_json()))
            del holder(data)[key]
            with pytest.raises(BundleError, match=f"no field '{key}'"):
                ModelSpec.from_json(data)
        data = json.loads(json.dumps(spec.to_json()))
        holder(data)["extra"] = 1
        with pytest.raises(BundleError, match="unknown field 'extra'"):
            ModelSpec.from_json(data)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(value=JSON_VALUES, where=st.integers(0, 40))
def test_anything_in_place_of_anything_is_a_bundle_error_or_a_spec(value: Any, where: int) -> None:
    data: Any = {
        "name": "m",
        "task": "t",
        "architecture": "a",
        "config": {},
        "preprocess": {},
        "functions": {
            "step": {
                "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", 2]}],
                "outputs": [],
                "reads_state": ["s"],
                "writes_state": ["s"],
            }
        },
        "state": [{"name": "s", "dtype": "float32", "shape": ["batch", 2]}],
    }
    places: list[tuple[Any, Any]] = []

    def visit(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                visit(node[key])

    visit(data)
    holder, key = places[where % len(places)]
    holder[key] = value
    try:
        spec = ModelSpec.from_json(data)
    except BundleError:
        return
    assert ModelSpec.from_json(spec.to_json()) == spec


def test_a_shape_may_follow_the_size_of_the_frames() -> None:
    tensor = TensorSpec("x", "float32", ("batch", 3, "height/8", "width"))
    assert tensor.concrete(2, (32, 20)) == (2, 3, 4, 20)
    assert tensor.sized((32, 20)) == TensorSpec("x", "float32", ("batch", 3, 4, 20))
    assert not tensor.is_sized
    assert tensor.sized((32, 20)).is_sized
    assert tensor.size_in((2, 3, 4, 20)) == (32, 20)
    assert TensorSpec("y", "float32", ("batch", "width/2")).size_in((1, 4)) == (None, 8)
    for ask in (lambda: tensor.concrete(1), lambda: tensor.bytes_per_row):
        with pytest.raises(BundleError, match="depends on the size"):
            ask()
    for size in ((33, 20), (4, 20)):
        with pytest.raises(BundleError, match=r"height/8.*multiple of 8"):
            tensor.concrete(1, size)


@pytest.mark.parametrize(
    "dim", ["height/3", "height/0", "depth", "width/", "height/02", "width/2048", "1", ""]
)
def test_a_side_that_is_none(dim: str) -> None:
    with pytest.raises(BundleError, match="no size"):
        TensorSpec("x", "float32", ("batch", dim))


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 2, 4, 8, 16]), st.integers(1, 4))
def test_a_size_is_read_back_from_its_shape(tall: int, wide: int, divisor: int, batch: int) -> None:
    tensor = TensorSpec("x", "float32", ("batch", f"height/{divisor}", "width"))
    size = (tall * divisor, wide)
    assert tensor.size_in(tensor.concrete(batch, size)) == size
    assert tensor.sized(size).concrete(batch) == tensor.concrete(batch, size)


def test_a_model_takes_the_size_of_its_frames(spec: ModelSpec) -> None:
    image = TensorSpec("image", "float32", ("batch", 3, "height", "width"))
    state = TensorSpec("features", "float32", ("batch", 8, "height/4", "width/4"))
    free = dataclasses.replace(
        spec, functions={"encode": FunctionSpec((image,), (image,), (), ("features",))}, state=(state,)
    )
    assert spec.is_sized
    assert not free.is_sized
    assert ModelSpec.from_json(json.loads(json.dumps(free.to_json()))) == free
    fixed = free.sized(16, 32)
    assert fixed.is_sized
    assert fixed.state_bytes == 4 * 8 * 4 * 8
    assert fixed.functions["encode"].inputs[0].shape == ("batch", 3, 16, 32)
    assert fixed.sized(480, 640) == fixed
    with pytest.raises(BundleError, match="depends on the size"):
        _ = free.state_bytes
    with pytest.raises(BundleError, match="multiple of 4"):
        free.sized(18, 32)


def test_a_state_of_fixed_size_is_fixed_whatever_the_frames(spec: ModelSpec) -> None:
    image = TensorSpec("image", "float32", ("batch", 3, "height", "width"))
    state, free = (TensorSpec("h", "float32", ("batch", *sides)) for sides in ((8, 4), ("height", "width")))
    functions = {"step": FunctionSpec((image,), (image,), ("h",), ("h",))}
    assert dataclasses.replace(spec, functions=functions, state=(state,)).fixed_state_bytes == 4 * 8 * 4
    assert dataclasses.replace(spec, functions=functions, state=(free,)).fixed_state_bytes is None
