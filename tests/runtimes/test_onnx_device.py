"""State bound by address: on a CPU, where an address is an address too, and on CUDA where there is one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from framestate.bundles import Bundle
from framestate.runtimes import Arrays, Runtime, StateStore, open_runtime
from framestate.runtimes.onnx import OnnxRuntime
from framestate.runtimes.onnx_device import DeviceStateStore, DeviceTensor
from framestate.runtimes.onnx_small_graphs import ELEMENT_TYPES, copy_graph, sound_graph


@pytest.fixture
def bound(tiny_bundle: Bundle) -> Iterator[OnnxRuntime]:
    runtime = OnnxRuntime(tiny_bundle, bound=True)
    yield runtime
    runtime.close()


def random_row(runtime: Runtime, seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    return {t.name: rng.normal(size=t.concrete(1)[1:]).astype(t.dtype) for t in runtime.spec.state}


def equal(one: Arrays, other: Arrays) -> bool:
    return set(one) == set(other) and all(np.array_equal(one[name], other[name]) for name in one)


def filled(runtime: Runtime, capacity: int = 5) -> tuple[StateStore, list[Arrays]]:
    store = runtime.allocate(capacity)
    rows = [random_row(runtime, seed) for seed in range(capacity)]
    for index, row in enumerate(rows):
        store.load_row(index, row)
    return store, rows


def test_the_small_graphs_are_sound_onnx() -> None:
    kinds = {kind: (kind, rank) for rank, (kind, _) in enumerate(ELEMENT_TYPES)}
    onnx.checker.check_model(onnx.load_from_string(copy_graph(kinds)), full_check=True)
    floats = {kind: (kind, 3) for kind in ("float16", "float32", "float64")}
    onnx.checker.check_model(onnx.load_from_string(sound_graph(floats)), full_check=True)
    for kind, number in ELEMENT_TYPES:
        assert onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind)) == number


def test_a_cpu_keeps_its_state_in_numpy(tiny_bundle: Bundle) -> None:
    """Binding by address is for devices: there it saves copies, here it would make some."""
    runtime = OnnxRuntime(tiny_bundle)
    _, written = runtime.call("init", {"template": np.zeros((1, 3, 32, 32), np.float32)}, None)
    assert all(isinstance(value, np.ndarray) for value in (written or {}).values())


def test_rows_are_new_zeros_and_keep_apart(bound: OnnxRuntime) -> None:
    store = bound.allocate(5)
    assert isinstance(store, DeviceStateStore)
    for row in range(6):
        assert not any(array.any() for array in store.save_row(row).values())
    store, rows = filled(bound)
    assert all(equal(store.save_row(index), row) for index, row in enumerate(rows))
    store.clear(2)
    assert not any(array.any() for array in store.save_row(2).values())
    assert all(equal(store.save_row(index), rows[index]) for index in (0, 1, 3, 4))


@pytest.mark.parametrize("rows", [[0], [4], [1, 2, 3], [3, 0, 4], [2, 1]])
def test_batches_of_rows_in_any_order(bound: OnnxRuntime, rows: list[int]) -> None:
    store, saved = filled(bound)
    batch = store.read(rows)
    for name, tensor in batch.items():
        assert isinstance(tensor, DeviceTensor)
        assert tensor.shape == (len(rows), *saved[0][name].shape)
        assert np.array_equal(np.asarray(tensor), np.stack([saved[row][name] for row in rows]))
    other = bound.allocate(5)
    other.write(rows, batch)
    assert all(equal(other.save_row(row), saved[row]) for row in rows)
    assert not any(array.any() for array in other.save_row(5).values())


def test_one_row_is_read_where_it_lies(bound: OnnxRuntime) -> None:
    """No copy: what is loaded later shows."""
    store, rows = filled(bound)
    batch = store.read([3])
    store.load_row(3, rows[1])
    assert all(np.array_equal(np.asarray(batch[name])[0], rows[1][name]) for name in batch)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_thirty_frames_as_on_the_host(tiny_bundle: Bundle, crops: Arrays, device: str) -> None:
    """Three sessions, batched in changing orders, with the host's arrays beside them.

    With the device "cuda" this has not been run yet.
    """
    bound, host = OnnxRuntime(tiny_bundle, device=device, bound=True), open_runtime(tiny_bundle, "onnx")
    stores: list[tuple[Runtime, StateStore]] = [(bound, bound.allocate(3)), (host, host.allocate(3))]
    for runtime, store in stores:
        _, state = runtime.call("init", {"template": crops["template"]}, None)
        store.write([0, 1, 2], state or {})
    for frame in range(30):
        rows = [[0, 1, 2], [2, 0], [1]][frame % 3]
        inputs = {
            "search": np.roll(crops["search"], 3 * frame, axis=3)[rows],
            "carry": np.ascontiguousarray(crops["carry"][rows]),
        }
        answers = []
        for runtime, store in stores:
            outputs, written = runtime.call("step", inputs, store.read(rows))
            store.write(rows, written or {})
            answers.append(outputs)
        for name, expected in answers[1].items():
            assert np.allclose(answers[0][name], expected, rtol=0, atol=1e-5 if device == "cpu" else 1e-4)
    close = 1e-5 if device == "cpu" else 1e-4
    for row in range(3):
        ours, theirs = (store.save_row(row) for _, store in stores)
        assert all(np.allclose(ours[name], theirs[name], rtol=0, atol=close) for name in theirs)
