"""Functions whose shapes follow the size of the frames: what the runtimes check before they run one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from framestate.bundles import FunctionSpec, ModelSpec, TensorSpec
from framestate.errors import BundleError, DataError, StateError
from framestate.runtimes.checks import check_call, sized_spec
from framestate.runtimes.host_store import HostStateStore

IMAGE = TensorSpec("image", "float32", ("batch", 3, "height", "width"))
FIRST = TensorSpec("first.features", "float32", ("batch", 8, "height/4", "width/4"))
SECOND = TensorSpec("second.features", "float32", ("batch", 8, "height/4", "width/4"))
MOTION = TensorSpec("motion.flow", "float32", ("batch", 4, "height/2", "width/2"))
SPEC = ModelSpec(
    name="middle",
    task="interpolation",
    architecture="none",
    config={},
    preprocess={"multiple": 4},
    functions={
        "encode": FunctionSpec((IMAGE,), (), (), ("second.features",)),
        "motion": FunctionSpec((), (), ("first.features", "second.features"), ("motion.flow",)),
        "interpolate": FunctionSpec(
            (TensorSpec("t", "float32", ("batch", 1)),), (IMAGE,), ("motion.flow",), ()
        ),
    },
    state=(FIRST, SECOND, MOTION),
)


def zeros(*shape: int) -> Any:
    return np.zeros(shape, np.float32)


def check(function: str, inputs: Any, state: Any) -> int:
    return check_call(function, SPEC, SPEC.function(function), inputs, state)


def test_sizes_come_from_inputs_or_state_and_so_does_the_batch() -> None:
    assert check("encode", {"image": zeros(2, 3, 12, 20)}, None) == 2
    state = {"first.features": zeros(3, 8, 4, 5), "second.features": zeros(3, 8, 4, 5)}
    assert check("motion", {}, state) == 3
    assert check("interpolate", {"t": zeros(3, 1)}, {"motion.flow": zeros(3, 4, 8, 10)}) == 3


@pytest.mark.parametrize("shape", [(1, 3, 13, 20), (1, 3, 12, 18), (1, 3, 0, 20), (1, 4, 12, 20), (1, 3, 12)])
def test_an_image_that_does_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError):
        check("encode", {"image": zeros(*shape)}, None)


@pytest.mark.parametrize(
    ("first", "second"),
    [((1, 8, 4, 5), (1, 8, 4, 6)), ((1, 8, 4, 5), (2, 8, 4, 5)), ((1, 8, 4, 5), (1, 7, 4, 5))],
)
def test_states_must_agree(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    with pytest.raises(StateError, match=r"second\.features"):
        check("motion", {}, {"first.features": zeros(*first), "second.features": zeros(*second)})


def test_states_must_be_there() -> None:
    with pytest.raises(StateError, match=r"second\.features.*not among"):
        check("motion", {}, {"first.features": zeros(1, 8, 4, 5)})
    with pytest.raises(StateError, match=r"first\.features"):
        check("motion", {}, None)


def test_rows_need_a_size() -> None:
    with pytest.raises(BundleError, match="size"):
        sized_spec(SPEC, None)
    store = HostStateStore(sized_spec(SPEC, (12, 20)), 2)
    assert store.save_row(0)["motion.flow"].shape == (4, 6, 10)
    with pytest.raises(BundleError, match="multiple of 4"):
        sized_spec(SPEC, (10, 20))
