"""Our TensorRT runtime over host memory, and what is said where TensorRT is not.

The contract tests run over the same stand-ins; here is what is TensorRT's own.
"""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from framestate.bundles import Bundle, write_bundle
from framestate.errors import BundleError, RuntimeUnavailableError, StepError
from framestate.plugins import tensorrt_registry
from framestate.runtimes import (
    Arrays,
    inspect_runtimes,
    memory,
    open_runtime,
    runtime_table,
    tensorrt_surface,
)
from framestate.runtimes import tensorrt as on_tensorrt
from framestate.runtimes.tensorrt import TensorRTRuntime

from .host_gpu import HostCuda, plan_bundle, stand_in

HERE = importlib.util.find_spec("tensorrt") is not None
absent = pytest.mark.skipif(HERE, reason="TensorRT is installed")


def test_a_batch_is_padded_to_the_next_graph(
    host_tensorrt: TensorRTRuntime, host_vendor: SimpleNamespace, crops: Arrays
) -> None:
    """Three rows run as four, and the fourth touches nothing."""
    for engine in host_vendor.engines:
        assert set(engine.ran) == {1, 2, 4}, "every size is run when it is opened"
        engine.ran.clear()
    outputs, state = host_tensorrt.call("init", {"template": crops["template"]}, None)
    assert outputs == {}
    init = host_vendor.engines[list(host_tensorrt.spec.functions).index("init")]
    assert set(init.ran) == {4}
    assert state is not None
    for name, tensor in state.items():
        alone = [
            np.asarray(
                (host_tensorrt.call("init", {"template": crops["template"][row : row + 1]}, None)[1] or {})[
                    name
                ]
            )
            for row in range(3)
        ]
        np.testing.assert_allclose(np.asarray(tensor), np.concatenate(alone), atol=1e-6)
    assert set(init.ran) == {1, 4}


def test_a_state_that_breaks_is_found_on_the_device(host_tensorrt: TensorRTRuntime, crops: Arrays) -> None:
    """NaN in one row of the next state alone fails the call, and names the state."""
    broken = crops["template"].copy()
    broken[1, 0, 0, 0] = np.nan
    with pytest.raises(StepError, match="not finite in 'the next state'"):
        host_tensorrt.call("init", {"template": broken}, None)
    host_tensorrt.call("init", {"template": crops["template"]}, None)


def test_more_rows_than_the_plan_takes_go_in_pieces(
    host_tensorrt: TensorRTRuntime, host_vendor: SimpleNamespace, crops: Arrays
) -> None:
    """Eleven rows, four a piece, are what they are one at a time: maps and states."""
    order = [0, 1, 2, 2, 1, 0, 0, 1, 2, 1, 0]
    many = {name: np.ascontiguousarray(array[order]) for name, array in crops.items()}
    _, state = host_tensorrt.call("init", {"template": many["template"]}, None)
    store = host_tensorrt.allocate(11)
    store.write(range(11), state or {})
    step = host_vendor.engines[list(host_tensorrt.spec.functions).index("step")]
    step.ran.clear()
    given = {name: many[name] for name in ("search", "carry")}
    found, written = host_tensorrt.call("step", given, store.read(range(11)))
    again, _ = host_tensorrt.call("step", given, state)
    assert all(np.array_equal(found[name], array) for name, array in again.items())
    assert set(step.ran) == {4}
    for row in (0, 1, 2):
        one = {name: array[row : row + 1] for name, array in crops.items()}
        _, alone = host_tensorrt.call("init", {"template": one["template"]}, None)
        maps, after = host_tensorrt.call("step", {name: one[name] for name in ("search", "carry")}, alone)
        places = [place for place, which in enumerate(order) if which == row]
        for name, array in maps.items():
            np.testing.assert_allclose(found[name][places], array.repeat(len(places), 0), atol=1e-5)
        for name, value in (after or {}).items():
            whole = np.asarray((written or {})[name])[places]
            np.testing.assert_allclose(whole, np.asarray(value).repeat(len(places), 0), atol=1e-5)


def test_the_driver_is_asked_for_the_gpu_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through pycuda, within the GPU's context, though PyTorch is there and finds none; then PyTorch."""
    cuda = HostCuda()
    asked = SimpleNamespace(init=cuda.init, Device=cuda.Device, mem_get_info=lambda: (cuda.depth * 5, 9))

    def none() -> Any:
        raise RuntimeError("no CUDA GPUs are available")

    torch = SimpleNamespace(cuda=SimpleNamespace(mem_get_info=none, is_available=lambda: False))
    modules: dict[str, Any] = {"pycuda.driver": asked, "torch": torch}

    def load(name: str) -> Any:
        if name not in modules:
            raise ImportError(f"No module named {name!r}")
        return modules[name]

    for module in (memory, tensorrt_registry):
        monkeypatch.setattr(module, "importlib", SimpleNamespace(import_module=load))
    assert memory.free_memory("cuda") == 5
    assert tensorrt_registry.device_capability() == 87
    assert cuda.depth == 0
    del modules["pycuda.driver"]
    torch.cuda.mem_get_info = lambda: (7, 9)
    assert memory.free_memory("cuda") == 7
    modules.clear()
    with pytest.raises(RuntimeUnavailableError, match="nobody here can tell the free memory of cuda"):
        memory.free_memory("cuda")
    with pytest.raises(RuntimeError, match="the driver names no GPU"):
        tensorrt_registry.device_capability()


def test_a_failing_engine_is_a_failed_step(
    host_tensorrt: TensorRTRuntime, host_vendor: SimpleNamespace, crops: Arrays
) -> None:
    for context in (context for engine in host_vendor.engines for context in engine.contexts):
        context.execute_async_v3 = lambda stream: False
    with pytest.raises(StepError, match="TensorRT failed in init"):
        host_tensorrt.call("init", {"template": crops["template"]}, None)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"tensorrt": "10.3.0"}, "built by TensorRT 10.3.0, and 11.4.0 is installed"),
        ({"gpu": "Orin"}, "tuned on Orin, and the GPU here is Host"),
    ],
)
def test_plans_of_another_place_are_refused_with_the_remedy(
    tiny_bundle: Bundle, tmp_path: Path, host_vendor: SimpleNamespace, changes: dict[str, Any], why: str
) -> None:
    bundle = plan_bundle(tiny_bundle, tmp_path / "other", **changes)
    with pytest.raises(RuntimeUnavailableError, match=why) as caught:
        TensorRTRuntime(bundle)
    assert f"framestate export {bundle.path} --to tensorrt" in caught.value.remedy


def test_plans_that_are_not_the_manifests(
    plans: Bundle, tmp_path: Path, host_vendor: SimpleNamespace
) -> None:
    """Plans of two functions that were swapped, and one that TensorRT cannot read."""
    first, second = plans.spec.functions
    files: dict[str, Path | bytes] = {name: plans.file(name) for name in plans.files}
    told: Any = {"provenance": {}, "metrics": {}, "parity": plans.parity}
    swapped = {**files, f"{first}.plan": files[f"{second}.plan"], f"{second}.plan": files[f"{first}.plan"]}
    with pytest.raises(BundleError, match=r"differ from the manifest in"):
        TensorRTRuntime(write_bundle(tmp_path / "swapped", plans.spec, swapped, **told))
    empty = write_bundle(tmp_path / "empty", plans.spec, {**files, f"{first}.plan": b""}, **told)
    with pytest.raises(RuntimeUnavailableError, match=f"TensorRT cannot read {first}.plan"):
        TensorRTRuntime(empty)


@absent
def test_what_is_said_without_tensorrt(tiny_bundle: Bundle, plans: Bundle) -> None:
    report = inspect_runtimes()["tensorrt"]
    assert not report.usable
    assert "missing tensorrt" in report.why_not
    assert "framestate[tensorrt]" in report.remedy
    with pytest.raises(RuntimeUnavailableError, match=r"'tensorrt' needs tensorrt.*framestate\[tensorrt\]"):
        open_runtime(plans, "tensorrt")
    with pytest.raises(RuntimeUnavailableError, match="does not import"):
        on_tensorrt.open_vendor()
    assert open_runtime(plans, "auto", device="cpu").name == "eager"


def test_a_bundle_without_plans_names_the_command(tiny_bundle: Bundle) -> None:
    entry = next(entry for entry in runtime_table() if entry.name == "tensorrt")
    assert "init.plan" in entry.why_unsupported(tiny_bundle)
    assert "--to tensorrt" in entry.remedy_for(tiny_bundle)


def test_there_is_no_tensorrt_on_a_cpu(plans: Bundle) -> None:
    with pytest.raises(RuntimeUnavailableError, match="no device 'cpu'"):
        TensorRTRuntime(plans, device="cpu")


def test_contexts_share_one_block_of_memory(
    host_tensorrt: TensorRTRuntime, host_vendor: SimpleNamespace
) -> None:
    contexts = [context for engine in host_vendor.engines for context in engine.contexts]
    assert len(contexts) == 12, "three sizes of two functions, each with two sets of buffers"
    assert len({context.scratch for context in contexts}) == 1


def test_a_graph_that_cannot_be_recorded_is_done_without(
    plans: Bundle, host_vendor: SimpleNamespace, crops: Arrays
) -> None:
    host_vendor.refuse = "operation not permitted when stream is capturing"
    runtime = TensorRTRuntime(plans)
    assert host_vendor.graphs == []
    assert len(runtime.notes) == 6
    assert "init runs without a CUDA graph for 4 rows (operation not permitted" in runtime.notes[2]
    _, state = runtime.call("init", {"template": crops["template"]}, None)
    assert len((state or {})["layers.0.0.ssm"]) == 3


def test_what_is_closed_is_given_back(host_tensorrt: TensorRTRuntime, host_vendor: SimpleNamespace) -> None:
    assert len(host_vendor.graphs) == 12
    for _ in range(2):
        host_tensorrt.close()
        assert [graph.closed for graph in host_vendor.graphs] == 12 * [1]


def test_a_batch_is_queued_while_another_is_waited_for(
    host_tensorrt: TensorRTRuntime, host_vendor: SimpleNamespace, crops: Arrays
) -> None:
    """On buffers of its own: the GPU has its next work before the host has read what it did last."""
    one, other = ({"template": crops["template"][row : row + 1]} for row in (0, 1))
    wanted = [host_tensorrt.call("init", given, None)[1] or {} for given in (one, other)]
    inner: list[Any] = []

    def meanwhile() -> None:
        host_vendor.cuda.on_wait = lambda: None
        thread = threading.Thread(target=lambda: inner.append(host_tensorrt.call("init", other, None)[1]))
        thread.start()
        thread.join(30)
        assert inner, "the second call ends while the first one waits"

    host_vendor.cuda.on_wait = meanwhile
    found = [host_tensorrt.call("init", one, None)[1] or {}, *inner]
    for state, right in zip(found, wanted, strict=True):
        for name, value in right.items():
            assert np.array_equal(np.asarray(state[name]), np.asarray(value)), name


def test_no_buffers_are_used_again_before_a_failed_call_is_done(
    host_tensorrt: TensorRTRuntime, host_vendor: SimpleNamespace, crops: Arrays
) -> None:
    """What it had queued still reads them."""
    for context in (context for engine in host_vendor.engines for context in engine.contexts):
        context.execute_async_v3 = lambda stream: False
    host_vendor.cuda.done.clear()
    with pytest.raises(StepError):
        host_tensorrt.call("init", {"template": crops["template"]}, None)
    assert host_vendor.cuda.done["wait"] == 1


@pytest.mark.parametrize("kernel", [True, False])
def test_a_step_of_many_sessions_is_few_copies(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: bool
) -> None:
    """64 sessions in any order of rows: counted, not timed. Row by row it is hundreds."""
    vendor = stand_in(monkeypatch, kernel)
    runtime = TensorRTRuntime(plan_bundle(tiny_bundle, tmp_path / "plans", largest=64))
    assert runtime.pads_batches
    slower = ("rows are moved one by one", "crops are made on the host", "states are blended on the host")
    assert [note.partition(":")[0] for note in runtime.notes] == ([] if kernel else list(slower))
    assert (runtime.crops is not None) == kernel
    store, rows = runtime.allocate(64), np.random.default_rng(0).permutation(64).tolist()
    spec = runtime.spec.function("step")
    inputs = {one.name: np.zeros(one.concrete(64), one.dtype) for one in spec.inputs}
    vendor.cuda.done.clear()
    _, written = runtime.call("step", inputs, store.read(rows))
    store.write(rows, written or {})
    done = vendor.cuda.done
    assert done["wait"] == done["graph"] == done["download"] == 1
    if kernel:
        steps = {"kernel": 2, "crop": 1, "graph": 1, "copy": 1, "download": 1, "wait": 1}
        assert done == {"upload": 3, **steps}  # one of the inputs, of an image that the host made, of rows
    else:
        assert done["copy"] == 1 + 64 * (len(spec.reads_state) + len(spec.writes_state))


def test_the_names_that_are_used_are_those_of_nvidias_bindings() -> None:
    """Methods of TensorRT that the runtime calls are bound by the compiled half of the bindings."""
    found = importlib.util.find_spec("tensorrt_bindings")
    if found is None or not found.submodule_search_locations:
        pytest.skip("tensorrt-cu13-bindings is not installed")
    binary = next(Path(next(iter(found.submodule_search_locations))).glob("tensorrt*.so")).read_bytes()
    for protocol in (tensorrt_surface.Context, tensorrt_surface.Engine, tensorrt_surface.PlanReader):
        names = [name for name in vars(protocol) if not name.startswith("_")]
        assert names
        for name in [*names, *protocol.__annotations__]:
            assert f"\0{name}\0".encode() in binary, name
