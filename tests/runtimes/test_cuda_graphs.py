"""Recording CUDA graphs, over a stand-in of the driver's library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from framestate.errors import StepError
from framestate.runtimes.cuda_graphs import CaptureError, CudaGraphs


class Driver:
    """``libcuda`` as far as graphs go; ``fails`` names a call that does not succeed."""

    def __init__(self, fails: str = "") -> None:
        self.fails, self.called = fails, list[str]()

    def __getattr__(self, name: str) -> Callable[..., int]:
        def call(*arguments: Any) -> int:
            self.called.append(name)
            for one in arguments:
                if type(one).__name__ == "CArgObject":
                    one._obj.value = 5
            return 900 if name == self.fails else 0

        return call


def recorder(monkeypatch: pytest.MonkeyPatch, fails: str = "") -> tuple[CudaGraphs, Driver]:
    driver = Driver(fails)
    monkeypatch.setattr("ctypes.CDLL", lambda name: driver)
    return CudaGraphs(), driver


def test_a_recorded_graph_is_launched_and_destroyed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs, driver = recorder(monkeypatch)
    replay = graphs.record(3, lambda: None)
    replay()
    replay.close()
    replay.close()
    assert driver.called == [
        "cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags", "cuGraphDestroy",
        "cuGraphLaunch", "cuGraphExecDestroy",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "fails", ["cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags", "work"]
)
def test_a_failed_recording_ends_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    graphs, driver = recorder(monkeypatch, fails)

    def work() -> None:
        if fails == "work":
            raise StepError("TensorRT failed", "the state is unchanged")

    with pytest.raises(CaptureError, match="TensorRT failed" if fails == "work" else f"{fails} .*900"):
        graphs.record(3, work)
    begun = "cuStreamEndCapture" in driver.called
    assert begun == (fails != "cuStreamBeginCapture_v2")
    assert ("cuGraphDestroy" in driver.called) == begun


def test_cuda_graphs_without_a_driver() -> None:
    with pytest.raises(RuntimeError, match="driver cannot be opened"):
        CudaGraphs("libcuda.that.is.nowhere.so")
