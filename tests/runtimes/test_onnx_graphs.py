"""Fixed bindings for CUDA graphs of ONNX Runtime: on a CPU the same code, without the graphs."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from framestate.bundles import Bundle, write_bundle
from framestate.errors import BundleError, RuntimeUnavailableError
from framestate.export.precision import to_fp16
from framestate.runtimes import Arrays
from framestate.runtimes.onnx import OnnxRuntime
from framestate.runtimes.onnx_graphs import LARGEST
from framestate.runtimes.onnx_sessions import CUDA, open_function, providers_for


def follow(runtime: OnnxRuntime, crops: Arrays, frames: int = 6) -> list[Arrays]:
    """Three sessions in changing batches."""
    store = runtime.allocate(3)
    _, state = runtime.call("init", {"template": crops["template"]}, None)
    store.write([0, 1, 2], state or {})
    found = []
    for frame in range(frames):
        rows = [[0, 1, 2], [2, 0], [1]][frame % 3]
        inputs = {name: np.ascontiguousarray(crops[name][rows]) for name in ("search", "carry")}
        outputs, written = runtime.call("step", inputs, store.read(rows))
        store.write(rows, written or {})
        found.append(outputs)
    return found


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_as_without_graphs(tiny_bundle: Bundle, crops: Arrays, device: str) -> None:
    """On "cuda", not run yet."""
    graphed = OnnxRuntime(tiny_bundle, device=device, bound=True, graphs=True)
    assert graphed.pads_batches
    assert graphed.notes == ()
    for one, other in zip(follow(graphed, crops), follow(OnnxRuntime(tiny_bundle), crops), strict=True):
        for name, value in other.items():
            np.testing.assert_allclose(one[name], value, rtol=0, atol=1e-5 if device == "cpu" else 1e-3)
    sizes = [1, 2, 4, 8, 16, 32, 64]
    assert {name: sorted(one._bound) for name, one in graphed._graphs.items()} == {
        "init": sizes,
        "step": sizes,
    }


def test_a_batch_too_large_for_a_graph(tiny_bundle: Bundle, crops: Arrays) -> None:
    many = {"template": np.repeat(crops["template"][:1], LARGEST + 1, axis=0)}
    plain, graphed = OnnxRuntime(tiny_bundle), OnnxRuntime(tiny_bundle, bound=True, graphs=True)
    _, wanted = plain.call("init", many, None)
    _, found = graphed.call("init", many, None)
    assert found is not None
    assert wanted is not None
    for name, value in wanted.items():
        np.testing.assert_allclose(np.asarray(found[name]), value, rtol=0, atol=1e-5)


def test_what_cannot_be_captured_runs_without(
    tiny_bundle: Bundle, crops: Arrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    def picky(bundle: Bundle, function: str, *options: Any, graphs: bool = False) -> Any:
        if graphs and function == "step":
            raise BundleError("step.onnx has a loop", "do without graphs")
        return open_function(bundle, function, *options, graphs=graphs)

    monkeypatch.setattr("framestate.runtimes.onnx.open_function", picky)
    runtime = OnnxRuntime(tiny_bundle, bound=True, graphs=True)
    assert runtime.notes == ("step runs without a CUDA graph (step.onnx has a loop)",)
    found, wanted = follow(runtime, crops), follow(OnnxRuntime(tiny_bundle), crops)
    assert all(
        np.allclose(one["score"], other["score"], atol=1e-5) for one, other in zip(found, wanted, strict=True)
    )


class Watched:
    """A session that notes the thread and the graph of each run, and may refuse to capture one."""

    def __init__(self, session: Any, runs: list[tuple[str, str]], refused: str = "") -> None:
        self._session, self._runs, self._refused = session, runs, refused

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run_with_iobinding(self, binding: Any, options: Any = None) -> None:
        number = "" if options is None else options.get_run_config_entry("gpu_graph_id")
        self._runs.append((threading.current_thread().name, number))
        if self._refused and number != "-1":
            raise RuntimeError(self._refused)
        self._session.run_with_iobinding(binding, options)


def watch(monkeypatch: pytest.MonkeyPatch, refused: str = "") -> list[tuple[str, str]]:
    """The runs of all sessions that are opened for graphs."""
    runs: list[tuple[str, str]] = []

    def opened(bundle: Bundle, function: str, *options: Any, graphs: bool = False) -> Any:
        session = open_function(bundle, function, *options, graphs=graphs)
        return Watched(session, runs, refused if function == "step" else "") if graphs else session

    monkeypatch.setattr("framestate.runtimes.onnx.open_function", opened)
    return runs


def test_one_thread_captures_all_sizes_at_once_and_runs_them(
    tiny_bundle: Bundle, crops: Arrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever calls: ONNX Runtime keeps a graph for the thread that captured it."""
    runs = watch(monkeypatch)
    runtime = OnnxRuntime(tiny_bundle, bound=True, graphs=True)
    assert [number for _, number in runs] == 2 * ["64", "32", "16", "8", "4", "2", "1"]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: follow(runtime, crops), range(3)))
    assert len({thread for thread, _ in runs}) == 1
    assert len(runs) == 14 + 3 * 7
    runtime.close()
    assert not [one for one in threading.enumerate() if one.name == runs[0][0]]


def test_what_fails_to_be_captured_runs_without(
    tiny_bundle: Bundle, crops: Arrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = watch(monkeypatch, refused="CUDA failure 900: operation not permitted when stream is capturing")
    runtime = OnnxRuntime(tiny_bundle, bound=True, graphs=True)
    assert len(runtime.notes) == 1
    assert "step runs without a CUDA graph (CUDA failure 900" in runtime.notes[0]
    runs.clear()
    found, wanted = follow(runtime, crops), follow(OnnxRuntime(tiny_bundle), crops)
    assert [number for _, number in runs] == ["4", *6 * ["-1"]]
    for one, other in zip(found, wanted, strict=True):
        assert np.allclose(one["score"], other["score"], atol=1e-5)


def test_the_provider_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
    (name, plain), _ = providers_for("cuda")
    (_, graphed), _ = providers_for("cuda", graphs=True)
    assert (name, plain | {"enable_cuda_graph": 1}) == (CUDA, graphed)
    assert "enable_cuda_graph" not in plain


def test_without_cuda_it_says_so(tiny_bundle: Bundle) -> None:
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(RuntimeUnavailableError, match="has no device 'cuda'"):
        OnnxRuntime(tiny_bundle, device="cuda", graphs=True)


def test_float16_graphs_are_bound_alike(tiny_bundle: Bundle, crops: Arrays, tmp_path: Path) -> None:
    """Inputs, outputs and states of such a bundle stay float32, so rows and bindings are the same."""
    files: dict[str, Path | bytes] = {}
    for function in tiny_bundle.spec.functions:
        path = tmp_path / f"{function}.onnx"
        onnx.save(onnx.load(tiny_bundle.file(path.name)), path)
        to_fp16(path)
        files[path.name] = path
    half = write_bundle(tmp_path / "half", tiny_bundle.spec, files, provenance={}, metrics={}, parity={})
    plain, bound, graphed = (
        follow(runtime, crops, frames=3)
        for runtime in (
            OnnxRuntime(half),
            OnnxRuntime(half, bound=True),
            OnnxRuntime(half, bound=True, graphs=True),
        )
    )
    for one, two, three in zip(plain, bound, graphed, strict=True):
        for name, value in one.items():
            assert {two[name].dtype, three[name].dtype} == {np.dtype(np.float32)}
            np.testing.assert_allclose(two[name], value, rtol=0, atol=1e-5)
            np.testing.assert_allclose(three[name], value, rtol=0, atol=1e-2)  # other batches round otherwise
