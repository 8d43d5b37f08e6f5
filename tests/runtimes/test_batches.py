"""Rows of one call each as one batch and back, over every runtime: the same numbers, and no needless copy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from framestate.bundles import Bundle
from framestate.runtimes import (
    Arrays,
    Crop,
    DeviceInput,
    HostRuntime,
    Parts,
    Row,
    Runtime,
    State,
    join,
    on_host,
    split,
    stack,
    write,
)
from framestate.runtimes.eager import EagerRuntime
from framestate.vision import Piece

from .host_graphs import HostRecorder
from .test_contract import inputs, started


def whole_inputs(runtime: Runtime, crops: Arrays) -> Arrays:
    rng = np.random.default_rng(1)
    told = [one for one in runtime.spec.function("step").inputs if one.name == "history"]
    words = {one.name: rng.integers(0, 80, one.concrete(3)).astype(one.dtype) for one in told}
    return inputs(crops | words)


def address(tensor: Any) -> int:
    """Where a tensor of any runtime lies."""
    if isinstance(tensor, np.ndarray):
        return int(tensor.ctypes.data)
    return int(tensor.address if hasattr(tensor, "address") else tensor.data_ptr())


def row_bytes(tensor: Any) -> int:
    """From one row to the next."""
    if isinstance(tensor, np.ndarray):
        return int(tensor.strides[0])
    if hasattr(tensor, "stride"):
        return int(tensor.stride(0) * tensor.element_size())
    return int(np.prod(tensor.shape[1:]) * np.dtype(tensor.dtype).itemsize)


def test_rows_stacked_run_and_split_are_the_batch(runtime: Runtime, crops: Arrays) -> None:
    """Three sessions' inputs as a batch of four, its results as three rows; twice, by the state between."""
    given = whole_inputs(runtime, crops)
    one_by_one = [{name: array[row : row + 1] for name, array in given.items()} for row in range(3)]
    together, plain = started(runtime, crops), started(runtime, crops)
    for _ in range(2):
        batch = stack(runtime, one_by_one, 4)
        assert {len(array) for array in batch.values()} == {4}
        outputs, written = runtime.call("step", batch, together.read([0, 1, 2, together.capacity]))
        wanted, kept = runtime.call("step", given, plain.read([0, 1, 2]))
        for row, found in enumerate(split(outputs, 3)):
            assert set(found) == set(wanted)
            for name, value in found.items():
                np.testing.assert_allclose(value[0], wanted[name][row], rtol=1e-5, atol=1e-5)
        write(together, [0, 1, 2], split(written, 3))
        plain.write([0, 1, 2], kept or {})
        for row in range(3):
            ours, theirs = together.save_row(row), plain.save_row(row)
            for name, value in ours.items():
                np.testing.assert_allclose(value, theirs[name], rtol=1e-5, atol=1e-5)


def test_one_row_stays_as_it_is(runtime: Runtime, crops: Arrays) -> None:
    given = {name: array[:1] for name, array in whole_inputs(runtime, crops).items()}
    assert all(stack(runtime, [given])[name] is array for name, array in given.items())


def test_a_row_reads_as_a_view(runtime: Runtime, crops: Arrays) -> None:
    _, written = runtime.call("init", {"template": crops["template"]}, None)
    assert written is not None
    for place, row in enumerate(split(written, 3)):
        assert set(row) == set(written)
        for name, tensor in row.items():
            whole = written[name]
            assert len(tensor) == 1
            assert address(tensor) == address(whole) + place * row_bytes(whole)
            assert np.array_equal(runtime.to_host(tensor)[0], runtime.to_host(whole)[place])


def test_rows_of_one_batch_are_that_batch_again(runtime: Runtime, crops: Arrays) -> None:
    _, written = runtime.call("init", {"template": crops["template"]}, None)
    assert written is not None
    names = list(written)
    again = join(runtime, split(written, 3), names)
    assert all(again[name] is written[name] for name in names)
    last = join(runtime, split(written, 3)[1:], names[:1])
    assert list(last) == names[:1]
    assert address(last[names[0]]) == address(split(written, 3)[1][names[0]])


def test_rows_from_anywhere_are_joined(runtime: Runtime, crops: Arrays) -> None:
    """In another order, from two calls, from a store, with copies of the last one; in the runtime's form."""
    _, first = runtime.call("init", {"template": crops["template"]}, None)
    _, second = runtime.call("init", {"template": crops["template"][::-1].copy()}, None)
    store = started(runtime, crops)
    rows: list[State] = [split(first, 3)[2], split(second, 3)[0], split(second, 3)[1], store.read([0])]
    names = list(runtime.spec.function("step").reads_state[:3])
    joined = join(runtime, rows, names, 6)
    order, host = [2, 2, 1, 0, 0, 0], {name: runtime.to_host((first or {})[name]) for name in names}
    for name in names:
        assert type(joined[name]) is type((first or {})[name])
        np.testing.assert_allclose(runtime.to_host(joined[name]), host[name][order], rtol=0, atol=1e-6)


def test_each_row_writes_what_it_names(runtime: Runtime, crops: Arrays) -> None:
    """A step beside a refreshed template and a session that writes nothing: each in its own row."""
    store, spec = started(runtime, crops), runtime.spec.function("step")
    _, written = runtime.call("step", whole_inputs(runtime, crops), store.read([0, 1, 2]))
    _, fresh = runtime.call("init", {"template": crops["template"][::-1].copy()}, None)
    before = [store.save_row(row) for row in range(3)]
    carried = set(spec.writes_state)
    pinned = {name: tensor for name, tensor in split(fresh, 3)[0].items() if name not in carried}
    rows = split(written, 3)
    write(store, [2, 0, 1], [rows[0], {}, {**rows[2], **pinned}])
    after = [store.save_row(row) for row in range(3)]
    for name, tensor in before[0].items():
        assert np.array_equal(after[0][name], tensor)
        expected = runtime.to_host((written or {})[name])[0] if name in carried else before[2][name]
        assert np.array_equal(after[2][name], expected)
        source = (written or {})[name][2:3] if name in carried else pinned[name]
        assert np.array_equal(after[1][name], runtime.to_host(source)[0])


def test_rows_of_a_batch_are_written_at_once() -> None:
    """One write a batch, in whatever order, without padding rows; what has no row is left out."""
    seen: list[tuple[list[int], dict[str, list[int]]]] = []

    class Store:
        capacity = 9

        def write(self, rows: list[int], state: State) -> None:
            seen.append((rows, {name: tensor.tolist() for name, tensor in state.items()}))

    store: Any = Store()
    rows: list[State] = [*split({"a": np.arange(8)}, 6)]
    write(store, [2, 4, 7, 1, 5], [rows[1], rows[0], rows[3], {"b": np.array([9])}, rows[4]])
    assert seen == [([1], {"b": [9]}), ([4, 2, -1, 7, 5], {"a": [0, 1, 2, 3, 4]})]
    seen.clear()
    other: list[State] = [*split({"c": np.arange(3)}, 3)]
    write(store, [6, 3], [Parts(rows[5], other[2]), Parts(rows[4], other[1])])
    assert seen == [([3, 6], {"a": [4, 5]}), ([3, 6], {"c": [1, 2]})]


def test_of_one_name_the_later_part_is_what_a_row_holds(runtime: Runtime, crops: Arrays) -> None:
    """A row that was made anew before its step beside one that was only stepped, in whatever order."""
    spec = runtime.spec
    for order in ((0, 1), (1, 0)):
        store = started(runtime, crops)
        template = {name: array[:2] for name, array in crops.items() if name == "template"}
        _, made = runtime.call("init", template, None)
        given = {name: array[:2] for name, array in whole_inputs(runtime, crops).items()}
        _, written = runtime.call("step", given, store.read([0, 1]))
        fresh, stepped = split(made, 2), split(written, 2)
        states: list[State] = [stepped[0], Parts(fresh[1], stepped[1])]
        write(store, order, [states[row] for row in order])
        for row, state in enumerate(states):
            saved = store.save_row(row)
            for name in spec.function("step").writes_state:
                assert np.array_equal(saved[name], runtime.to_host(state[name])[0]), (order, row, name)


def test_parts_of_a_row_are_one_mapping() -> None:
    parts = Parts({"a": 1, "b": 2}, {"b": 3, "c": 4})
    assert dict(parts) == {"a": 1, "b": 3, "c": 4}
    assert len(parts) == 3
    more = Parts(parts, {"a": 5})
    assert dict(more) == {"a": 5, "b": 3, "c": 4}
    assert len(more.parts) == 3
    with pytest.raises(KeyError):
        parts["d"]


def test_rows_that_are_left_out_stay_as_they_are(runtime: Runtime, crops: Arrays) -> None:
    store, spec = started(runtime, crops), runtime.spec.function("step")
    _, written = runtime.call("step", whole_inputs(runtime, crops), store.read([0, 1, 2]))
    before = [store.save_row(row) for row in range(3)]
    store.write([-1, 2, -1], written or {})
    after = [store.save_row(row) for row in range(3)]
    for name, value in before[0].items():
        assert np.array_equal(after[0][name], value)
        assert np.array_equal(after[1][name], before[1][name])
        if name in spec.writes_state:
            assert np.array_equal(after[2][name], runtime.to_host((written or {})[name])[1])


def test_states_are_blended_where_they_are(runtime: Runtime, crops: Arrays) -> None:
    """Rows of two batches, in any order, as a batch of their own; both are left as they are."""
    _, first = runtime.call("init", {"template": crops["template"]}, None)
    _, fresh = runtime.call("init", {"template": crops["template"][::-1].copy()}, None)
    olds, news = split(first, 3), split(fresh, 3)
    before = {name: runtime.to_host(value).copy() for name, value in (first or {}).items()}
    mixed = runtime.mix([olds[2], olds[0]], [news[0], news[1]], 0.3)
    assert set(mixed) == set(before)
    for name, value in mixed.items():
        found, old = runtime.to_host(value), before[name]
        new = runtime.to_host((fresh or {})[name])
        assert found.dtype == old.dtype
        assert np.array_equal(found[0], np.float32(0.7) * old[2] + np.float32(0.3) * new[0])
        assert np.array_equal(found[1], np.float32(0.7) * old[0] + np.float32(0.3) * new[1])
        assert np.array_equal(runtime.to_host((first or {})[name]), old)


def test_a_row_is_a_mapping() -> None:
    row = Row({"a": np.arange(3), "b": np.arange(3)}, 1)
    assert (len(row), list(row), "a" in row, "c" in row) == (2, ["a", "b"], True, False)
    assert {**row, "b": 5}["a"].tolist() == [1]
    with pytest.raises(KeyError):
        row["c"]


def test_a_state_goes_to_the_host_and_back(runtime: Runtime, crops: Arrays) -> None:
    store = started(runtime, crops)
    state = store.read([1])
    names = runtime.spec.function("step").reads_state
    back = {name: runtime.from_host(name, runtime.to_host(state[name]).copy()) for name in names}
    given = {name: array[1:2] for name, array in whole_inputs(runtime, crops).items()}
    found, wanted = (runtime.call("step", given, one)[0] for one in (back, state))
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-6)


def test_crops_of_all_rows_are_made_at_once(tiny_bundle: Bundle) -> None:
    runtime = EagerRuntime(tiny_bundle, resident=True, graphs=HostRecorder())
    asked: list[tuple[int, bool]] = []
    make = runtime.crops
    assert make is not None

    def counted(pieces: Any, *, raw: bool) -> DeviceInput:
        asked.append((len(pieces), raw))
        return make(pieces, raw=raw)

    runtime.crops = counted
    views = np.random.default_rng(2).integers(0, 256, (3, 64, 64, 3), np.uint8)
    rows = [{"search": Crop(Piece.ready(view), raw=True)} for view in views]
    made: Any = stack(runtime, rows, 4)["search"]
    assert asked == [(4, True)]
    assert made.shape == (4, 3, 64, 64)
    found = runtime.to_host(made.value)
    assert np.array_equal(found, views[[0, 1, 2, 2]].transpose(0, 3, 1, 2))
    alone = [{"search": make([Piece.ready(view)], raw=True)} for view in views]
    joined: Any = stack(runtime, alone, 4)["search"]
    assert joined.shape == (4, 3, 64, 64)
    assert np.array_equal(on_host(runtime, joined), found)


def test_a_runtime_of_ones_own_has_what_it_need_not_write() -> None:
    runtime = HostRuntime()
    assert (runtime.precision, runtime.pads_batches) == ("fp32", False)
    assert (runtime.crops, runtime.notes) == (None, ())
    array = np.arange(3)
    assert runtime.from_host("a", array) is runtime.to_host(array) is array
