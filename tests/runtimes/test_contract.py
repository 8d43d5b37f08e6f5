"""What the engine may rely on, whichever runtime it was given."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from framestate.errors import BundleError, DataError, RuntimeUnavailableError, StateError, StepError
from framestate.runtimes import Arrays, Runtime, RuntimeOver, State, StateStore


def started(runtime: Runtime, crops: Arrays, capacity: int = 3) -> StateStore:
    """A store whose first three rows hold the templates' state."""
    _, state = runtime.call("init", {"template": crops["template"]}, None)
    assert state is not None
    store = runtime.allocate(capacity)
    store.write([0, 1, 2], state)
    return store


@pytest.fixture
def crops(crops: Arrays, runtime: Runtime) -> Arrays:
    """With the words of the last boxes, for a tracker that is told them."""
    told = [one for one in runtime.spec.function("step").inputs if one.name == "history"]
    rng = np.random.default_rng(1)
    return crops | {one.name: rng.integers(0, 80, one.concrete(3)).astype(one.dtype) for one in told}


def inputs(crops: Arrays, rows: slice = slice(None)) -> Arrays:
    return {name: np.ascontiguousarray(array[rows]) for name, array in crops.items() if name != "template"}


def step(runtime: Runtime, crops: Arrays, state: State, rows: slice = slice(None)) -> tuple[Arrays, Any]:
    outputs, written = runtime.call("step", inputs(crops, rows), state)
    assert written is not None
    return outputs, written


def pinned(runtime: Runtime) -> str:
    """A state of the first layer that a step reads and does not write."""
    step = runtime.spec.function("step")
    return next(n for n in step.reads_state if n.startswith("layers.0.") and n not in step.writes_state)


def rows_of(store: StateStore, count: int = 3) -> list[dict[str, bytes]]:
    return [{name: a.tobytes() for name, a in store.save_row(row).items()} for row in range(count)]


def test_results_are_named_and_shaped_as_the_spec_says(runtime: Runtime, crops: Arrays) -> None:
    spec = runtime.spec
    outputs, state = runtime.call("init", {"template": crops["template"]}, None)
    assert outputs == {}
    assert state is not None
    assert set(state) == {tensor.name for tensor in spec.state}
    outputs, written = step(runtime, crops, started(runtime, crops).read([0, 1, 2]))
    for tensor in spec.function("step").outputs:
        assert outputs[tensor.name].shape == tensor.concrete(3)
        assert outputs[tensor.name].dtype == tensor.dtype
    assert set(outputs) == {tensor.name for tensor in spec.function("step").outputs}
    assert set(written) == set(spec.function("step").writes_state)


def test_state_is_paired_by_name_not_by_place(runtime: Runtime, crops: Arrays) -> None:
    state = started(runtime, crops).read([0, 1, 2])
    expected, _ = step(runtime, crops, state)
    turned = dict(reversed(list(state.items())))
    found, _ = step(runtime, crops, turned)
    swapped = dict(reversed(list(inputs(crops).items())))
    again, _ = runtime.call("step", swapped, turned)
    for name in expected:  # to rounding: a runtime may pad the one batch and not the other
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-6)
        np.testing.assert_allclose(again[name], expected[name], rtol=0, atol=1e-6)


def test_a_call_changes_nothing_but_what_is_written_back(runtime: Runtime, crops: Arrays) -> None:
    store = started(runtime, crops)
    before, given = rows_of(store), {name: array.copy() for name, array in crops.items()}
    _, first = step(runtime, crops, store.read([0, 1, 2]))
    _, second = step(runtime, crops, store.read([0, 1, 2]))
    assert rows_of(store) == before
    assert all(np.array_equal(crops[name], given[name]) for name in given)
    for name in first:
        assert np.array_equal(np.asarray(first[name]), np.asarray(second[name]))
    store.write([0, 1, 2], first)
    after = rows_of(store)
    carried = set(runtime.spec.function("step").writes_state)
    for row in range(3):
        changed = {name for name in before[row] if before[row][name] != after[row][name]}
        assert changed == carried


def test_a_batch_is_its_rows_one_at_a_time(runtime: Runtime, crops: Arrays) -> None:
    """Through three frames of carried state. (Bit for bit on the machines it was tried on.)"""
    together, alone = started(runtime, crops), started(runtime, crops)
    for _ in range(3):
        outputs, written = step(runtime, crops, together.read([0, 1, 2]))
        together.write([0, 1, 2], written)
        for row in range(3):
            single, kept = step(runtime, crops, alone.read([row]), slice(row, row + 1))
            alone.write([row], kept)
            for name, value in single.items():
                np.testing.assert_allclose(outputs[name][row], value[0], rtol=1e-5, atol=1e-5)
    for row in range(3):
        ours, theirs = together.save_row(row), alone.save_row(row)
        for name, value in ours.items():
            np.testing.assert_allclose(value, theirs[name], rtol=1e-5, atol=1e-5)


def test_rows_may_come_in_any_order(runtime: Runtime, crops: Arrays) -> None:
    store = started(runtime, crops)
    straight, _ = step(runtime, crops, store.read([0, 1, 2]))
    order = [2, 0, 1]
    turned = {name: array[order] for name, array in crops.items()}
    outputs, written = step(runtime, turned, store.read(order))
    for name, value in outputs.items():
        np.testing.assert_allclose(value, straight[name][order], rtol=1e-5, atol=1e-5)
    store.write(order, written)
    expected, _ = step(runtime, crops, store.read([0, 1, 2]))
    again, _ = step(runtime, turned, store.read(order))
    np.testing.assert_allclose(again["score"], expected["score"][order], rtol=1e-5, atol=1e-5)


def test_the_carried_state_matters(runtime: Runtime, crops: Arrays) -> None:
    store = started(runtime, crops)
    before, written = step(runtime, crops, store.read([0, 1, 2]))
    store.write([0, 1, 2], written)
    after, _ = step(runtime, crops, store.read([0, 1, 2]))
    name = "offset" if "offset" in after else "logits"
    difference = np.abs(after[name] - before[name]).reshape(3, -1).max(1)
    assert difference[0] > 1e-4
    assert difference[1] > 1e-4
    assert difference[2] == 0  # it carries nothing


def test_a_cleared_row_is_as_new(runtime: Runtime, crops: Arrays) -> None:
    store = started(runtime, crops)
    store.clear(1)
    assert not any(array.any() for array in store.save_row(1).values())
    assert all(array.any() for array in store.save_row(0).values())
    assert all(array.any() for array in store.save_row(2).values())


def test_the_spare_row_belongs_to_nobody(runtime: Runtime, crops: Arrays) -> None:
    store = started(runtime, crops)
    before = rows_of(store)
    store.write([store.capacity], store.read([0]))
    assert rows_of(store) == before
    assert rows_of(store, 4)[3] == before[0]


def test_one_row_is_never_spread_over_many(runtime: Runtime, crops: Arrays) -> None:
    store = started(runtime, crops)
    before = rows_of(store)
    for rows, state in (([0, 1], store.read([2])), ([0], store.read([1, 2]))):
        with pytest.raises(AssertionError):
            store.write(rows, state)
    assert rows_of(store) == before


def test_a_row_goes_to_the_host_and_back(runtime: Runtime, crops: Arrays) -> None:
    store = started(runtime, crops)
    saved = store.save_row(0)
    kept = {name: array.copy() for name, array in saved.items()}
    store.clear(0)
    assert all(np.array_equal(saved[name], kept[name]) for name in kept), "a copy, not a view"
    store.load_row(1, saved)
    for array in saved.values():
        array[...] = 7
    assert all(np.array_equal(value, kept[name]) for name, value in store.save_row(1).items())


def break_row(row: dict[str, npt.NDArray[Any]], how: str, name: str) -> None:
    if how == "missing":
        del row[name]
    elif how == "unknown":
        row["layers.9.0.start"] = row[name]
    elif how == "shape":
        row[name] = row[name][:-1]
    else:
        row[name] = row[name].astype(np.float64)


@pytest.mark.parametrize("how", ["missing", "unknown", "shape", "dtype"])
def test_a_row_that_does_not_fit_changes_nothing(runtime: Runtime, crops: Arrays, how: str) -> None:
    store = started(runtime, crops)
    before = rows_of(store)
    row = store.save_row(1)
    break_row(row, how, pinned(runtime))
    with pytest.raises(StateError, match="layers"):
        store.load_row(0, row)
    assert rows_of(store) == before


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"search": None}, r"was given inputs \['carry'"),
        ({"extra": np.zeros(3, np.float32)}, "was given inputs"),
        ({"search": np.zeros((3, 3, 32, 32), np.float32)}, r"input 'search'.*\(3, 3, 32, 32\)"),
        ({"carry": np.zeros(2, np.float32)}, r"input 'carry'.*\(2,\)"),
        ({"carry": np.zeros(3)}, "input 'carry'.*float64"),
        ({"search": np.zeros((3, 3, 64, 64), np.uint8)}, "input 'search'.*uint8"),
        ({"search": np.float32(3)}, "input 'search'"),
        ({"carry": [0.0, 0.0, 0.0]}, "input 'carry' of step is a list"),
        (
            {"search": np.zeros((0, 3, 64, 64), np.float32), "carry": np.zeros(0, np.float32)},
            "a batch of no rows",
        ),
    ],
)
def test_inputs_that_do_not_fit(
    runtime: Runtime, crops: Arrays, change: dict[str, Any], problem: str
) -> None:
    given = {**inputs(crops), **change}
    given = {name: value for name, value in given.items() if value is not None}
    with pytest.raises(DataError, match=problem):
        runtime.call("step", given, started(runtime, crops).read([0, 1, 2]))


def test_state_that_does_not_fit(runtime: Runtime, crops: Arrays) -> None:
    state = dict(started(runtime, crops).read([0, 1, 2]))
    name = pinned(runtime)
    host = np.asarray(state[name])
    for wrong, problem in (
        (None, "reads state"),
        ({}, "reads state"),
        ({k: v for k, v in state.items() if k != name}, name),
        ({**state, name: host[:2]}, rf"{name}.*\(2, "),
        ({**state, name: host.astype(np.float64)}, f"{name}.*float64"),
    ):
        with pytest.raises(StateError, match=problem):
            runtime.call("step", inputs(crops), wrong)


def test_a_function_that_there_is_not(runtime: Runtime) -> None:
    with pytest.raises(BundleError, match="no function 'encode'"):
        runtime.call("encode", {}, None)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_none_stop_at_the_call(runtime: Runtime, crops: Arrays, bad: float) -> None:
    store = started(runtime, crops)
    before = rows_of(store)
    crops["search"][1, 0, 3, 3] = bad
    with pytest.raises(StepError, match="not finite"):
        step(runtime, crops, store.read([0, 1, 2]))
    assert rows_of(store) == before
    crops["template"][2, 0, 0, 0] = bad
    with pytest.raises(StepError, match="not finite"):
        runtime.call("init", {"template": crops["template"]}, None)


def test_a_state_that_is_no_number_stops_at_the_call(runtime: Runtime, crops: Arrays) -> None:
    store = started(runtime, crops)
    row = store.save_row(1)
    row[runtime.spec.function("step").writes_state[0]][...] = np.nan
    store.load_row(1, row)
    with pytest.raises(StepError, match="not finite"):
        step(runtime, crops, store.read([0, 1, 2]))


def test_calls_may_come_from_several_threads(runtime: Runtime, crops: Arrays) -> None:
    """Each with a row of its own, which is written and read in between: as one after another."""
    store = started(runtime, crops, capacity=8)

    def stepped(row: int) -> list[Arrays]:
        given, found = {name: np.roll(array, row, 0) for name, array in crops.items()}, []
        for turn in range(8):
            _, state = runtime.call("init", {"template": given["template"][:1]}, None)
            part = slice(turn % 3, turn % 3 + 1)
            outputs, written = step(runtime, given, state or {}, part)
            store.write([row], {**(state or {}), **written})
            again, written = step(runtime, given, store.read([row]), part)
            store.write([row], written)
            found.append({**again, **{f"first {name}": value for name, value in outputs.items()}})
            found.append(store.save_row(row))
        return found

    wanted = [stepped(row) for row in range(3)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(3) as pool:
            found = list(pool.map(stepped, range(3)))
    finally:
        sys.setswitchinterval(interval)
    for one, other in zip(found, wanted, strict=True):
        for now, then in zip(one, other, strict=True):
            for name, value in then.items():
                np.testing.assert_allclose(now[name], value, rtol=1e-5, atol=1e-5)


def test_a_closed_runtime_says_so(runtime: Runtime, crops: Arrays) -> None:
    runtime.close()
    runtime.close()
    with pytest.raises(RuntimeUnavailableError, match="was closed"):
        runtime.call("init", {"template": crops["template"]}, None)


def test_it_says_what_it_is(runtime: Runtime) -> None:
    over = RuntimeOver(runtime)
    for one in (runtime, over):
        assert one.name in ("onnx", "eager", "tensorrt")
        assert one.device == ("cuda" if one.name == "tensorrt" else "cpu")
        assert one.precision == "fp32"
        assert one.notes == ()
    assert (over.pads_batches, over.crops) == (runtime.pads_batches, runtime.crops)
