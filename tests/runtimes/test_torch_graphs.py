"""Bookkeeping of CUDA graphs and resident rows, on a CPU; with a GPU, the graphs themselves."""

from __future__ import annotations

import gc
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from framestate.bundles import Bundle
from framestate.errors import OptionError, RuntimeUnavailableError, StepError
from framestate.runtimes import Arrays, Runtime, StateStore
from framestate.runtimes.cuda_graphs import CaptureError
from framestate.runtimes.eager import EagerRuntime
from framestate.runtimes.torch_precision import Precision
from framestate.runtimes.torch_store import KEPT_INDICES, Pool, RowsState

from .host_graphs import HostRecorder


def started(runtime: Runtime, crops: Arrays, capacity: int = 3) -> StateStore:
    store = runtime.allocate(capacity)
    _, state = runtime.call("init", {"template": crops["template"]}, None)
    store.write([0, 1, 2], state or {})
    return store


def step(runtime: Runtime, store: StateStore, crops: Arrays, rows: Sequence[int], shift: int = 0) -> Arrays:
    search = np.roll(crops["search"], shift, axis=3)[list(rows)]
    inputs = {"search": search, "carry": np.ascontiguousarray(crops["carry"][list(rows)])}
    outputs, written = runtime.call("step", inputs, store.read(rows))
    store.write(rows, written or {})
    return outputs


def graphed(bundle: Bundle, recorder: HostRecorder) -> EagerRuntime:
    return EagerRuntime(bundle, resident=True, graphs=recorder)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_thirty_frames_as_without_graphs(tiny_bundle: Bundle, crops: Arrays, device: str) -> None:
    """Three sessions in changing batches, beside the plain CPU runtime. On "cuda", not run yet."""
    on_cpu = device == "cpu"
    ours = graphed(tiny_bundle, HostRecorder()) if on_cpu else EagerRuntime(tiny_bundle, device="cuda")
    plain, close = EagerRuntime(tiny_bundle), 1e-5 if on_cpu else 1e-3
    stores = [(runtime, started(runtime, crops)) for runtime in (ours, plain)]
    for frame in range(30):
        rows = [[0, 1, 2], [2, 0], [1]][frame % 3]
        found, wanted = (step(runtime, store, crops, rows, 3 * frame) for runtime, store in stores)
        for name, value in wanted.items():
            np.testing.assert_allclose(found[name], value, rtol=0, atol=close)
    for row in range(3):
        one, other = (store.save_row(row) for _, store in stores)
        assert all(np.allclose(one[name], other[name], rtol=0, atol=close) for name in other)
    assert ours.notes == ()


def test_graphs_are_recorded_with_the_store_and_not_while_frames_wait(
    tiny_bundle: Bundle, crops: Arrays
) -> None:
    recorder = HostRecorder()
    runtime = graphed(tiny_bundle, recorder)
    assert runtime.pads_batches
    store = runtime.allocate(3)
    assert recorder.recorded == 6, "two functions for one, two and four rows"
    _, state = runtime.call("init", {"template": crops["template"]}, None)
    store.write([0, 1, 2], state or {})
    for rows in ([0, 1, 2], [1, 2, 0], [0], [2, 1]):
        step(runtime, store, crops, rows)
    assert (recorder.recorded, recorder.replayed) == (6, 5)
    runtime.allocate(70)
    assert recorder.recorded == 6 + 4 + 7, "init for 8 to 64 rows, and the step over other rows"


def test_graphs_go_with_the_rows_that_they_read(tiny_bundle: Bundle, crops: Arrays) -> None:
    runtime = graphed(tiny_bundle, HostRecorder())
    graphs = runtime._graphs
    assert graphs is not None
    first, second = started(runtime, crops), started(runtime, crops, capacity=5)
    step(runtime, first, crops, [0])
    step(runtime, second, crops, [0])
    assert len(graphs._of_pools) == 2, "each store has its own"
    del first
    gc.collect()
    assert len(graphs._of_pools) == 1


def test_padding_rows_have_no_say(tiny_bundle: Bundle, crops: Arrays) -> None:
    """Whatever the last call left in the buffers, and whatever the padding row holds."""
    runtime = graphed(tiny_bundle, HostRecorder())
    clean = step(runtime, started(runtime, crops), crops, [0, 1, 2])
    store = started(runtime, crops)
    bad = store.save_row(0)
    for array in bad.values():
        array[...] = np.nan
    store.load_row(3, bad)
    found = step(runtime, store, crops, [0, 1, 2])
    assert all(np.array_equal(found[name], clean[name]) for name in clean)
    with pytest.raises(StepError, match="not finite in"):
        step(runtime, store, {**crops, "search": np.full_like(crops["search"], np.inf)}, [1])
    assert np.isfinite(step(runtime, store, crops, [1])["score"]).all()


def test_results_outlive_the_next_call(tiny_bundle: Bundle, crops: Arrays) -> None:
    runtime = graphed(tiny_bundle, HostRecorder())
    store = started(runtime, crops)
    inputs = {name: crops[name] for name in ("search", "carry")}
    outputs, written = runtime.call("step", inputs, store.read([0, 1, 2]))
    results = {**outputs, **(written or {})}
    kept = {name: np.asarray(value).copy() for name, value in results.items()}
    step(runtime, store, crops, [2, 1, 0], shift=7)
    assert all(np.array_equal(kept[name], np.asarray(value)) for name, value in results.items())


def test_what_cannot_be_recorded_runs_without(tiny_bundle: Bundle, crops: Arrays) -> None:
    broken = HostRecorder(CaptureError("operation not permitted when stream is capturing"))
    runtimes = (graphed(tiny_bundle, broken), EagerRuntime(tiny_bundle))
    found, wanted = (step(one, started(one, crops), crops, [0, 1]) for one in runtimes)
    assert all(np.allclose(found[name], wanted[name], rtol=0, atol=1e-5) for name in wanted)
    assert [note.split(" ")[0] for note in runtimes[0].notes] == ["init", "step"]
    assert "(operation not permitted when stream is capturing)" in runtimes[0].notes[0]
    assert runtimes[1].notes == ()
    broken.broken = None
    runtimes[0].allocate(3)
    assert broken.recorded == 0, "what cannot be recorded is not tried again"


def test_what_fails_for_another_reason_is_tried_with_the_next_store(
    tiny_bundle: Bundle, crops: Arrays
) -> None:
    full = HostRecorder(torch.cuda.OutOfMemoryError("CUDA out of memory.\nTried to allocate"))
    runtime = graphed(tiny_bundle, full)
    store = started(runtime, crops)
    assert runtime.notes[0] == "init runs without a CUDA graph (CUDA out of memory.)"
    step(runtime, store, crops, [0])
    full.broken = None
    step(runtime, started(runtime, crops), crops, [0])
    assert runtime.notes == ()
    assert (full.recorded, full.replayed) == (6, 2)


def test_state_that_is_not_in_rows_needs_no_graph(tiny_bundle: Bundle, crops: Arrays) -> None:
    recorder = HostRecorder()
    runtime = graphed(tiny_bundle, recorder)
    _, state = runtime.call("init", {"template": crops["template"]}, None)
    inputs = {name: crops[name] for name in ("search", "carry")}
    found, _ = runtime.call("step", inputs, state)
    assert (recorder.recorded, recorder.replayed) == (0, 0)
    wanted = step(runtime, started(runtime, crops), crops, [0, 1, 2])
    assert all(np.allclose(found[name], wanted[name], rtol=0, atol=1e-5) for name in wanted)
    assert recorder.replayed == 2, "init, and the step over a store"


def test_reading_rows_copies_nothing_yet(tiny_bundle: Bundle, crops: Arrays) -> None:
    runtime = EagerRuntime(tiny_bundle, resident=True)
    store = started(runtime, crops)
    batch = store.read([2, 0])
    assert isinstance(batch, RowsState)
    saved = [store.save_row(row) for row in (2, 0)]
    for name, described in batch.described().items():
        assert described.shape == batch[name].shape
        assert described.dtype == batch[name].dtype
        assert np.array_equal(np.asarray(batch[name]), np.stack([row[name] for row in saved]))


def test_indices_of_rows_are_kept_and_bounded(tiny_bundle: Bundle) -> None:
    pool = Pool(tiny_bundle.spec, 9, torch.device("cpu"))
    narrow, wide = pool.index([4, 1], 4)
    assert (narrow.tolist(), wide.tolist()) == ([4, 1, 9, 9], [4, 1, 9, 9])
    assert (narrow.dtype, wide.dtype) == (torch.int32, torch.int64)
    assert pool.index([4, 1], 4)[0] is narrow
    for row in range(90):
        pool.index([row % 9, row // 9])
    assert len(pool._indices) == KEPT_INDICES


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_halves_are_close_and_leave_states_whole(tiny_bundle: Bundle, crops: Arrays, precision: str) -> None:
    whole = EagerRuntime(tiny_bundle)
    for graphs in (False, HostRecorder()):
        half = EagerRuntime(tiny_bundle, precision=precision, resident=True, graphs=graphs)
        convs = [module for module in half._model.modules() if isinstance(module, torch.nn.Conv2d)]
        kinds = {parameter.dtype for module in convs for parameter in module.parameters()}
        assert kinds == {torch.bfloat16 if precision == "bf16" else torch.float16}
        stores = [(runtime, started(runtime, crops)) for runtime in (half, whole)]
        found, wanted = (step(runtime, store, crops, [0, 1, 2]) for runtime, store in stores)
        for name, value in wanted.items():
            assert found[name].dtype == np.float32
            assert np.abs(found[name] - value).max() <= 0.05 * np.abs(value).max(), name
        assert {array.dtype for array in stores[0][1].save_row(0).values()} == {np.dtype(np.float32)}


def test_precisions_that_there_are_not(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="'fp64' is unknown"):
        EagerRuntime(tiny_bundle, precision="fp64")
    with pytest.raises(OptionError, match=r"no precision 'int8'.*--runtime onnx"):
        EagerRuntime(tiny_bundle, precision="int8")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    with pytest.raises(RuntimeUnavailableError, match="does not compute in bfloat16"):
        Precision.of("bf16", "cuda")


@pytest.mark.gpu
def test_half_precision_on_a_gpu(tiny_bundle: Bundle, crops: Arrays) -> None:
    for precision in ("bf16", "fp16"):
        runtimes = (EagerRuntime(tiny_bundle, device="cuda", precision=precision), EagerRuntime(tiny_bundle))
        found, wanted = (step(one, started(one, crops), crops, [0, 1, 2]) for one in runtimes)
        for name, value in wanted.items():
            assert np.abs(found[name] - value).max() <= 0.05 * np.abs(value).max(), name
        assert runtimes[0].notes == ()
