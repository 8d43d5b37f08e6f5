"""How many sessions fit, and why."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from framestate.engine import Engine, capacity
from framestate.engine.capacity import choose_capacity, size
from framestate.errors import CapacityError, OptionError, RuntimeUnavailableError
from framestate.runtimes.memory import container_memory, free_memory, machine_memory

Make = Callable[..., Any]
GIB = 2**30


def test_capacity_is_a_share_of_memory_over_what_a_session_needs(
    spec: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = {"cpu": 1 * GIB, "cuda": 1 * GIB}
    monkeypatch.setattr(capacity, "free_memory", free.__getitem__)
    found = choose_capacity(spec(), "cpu", share=0.5, queue=4, frame_bytes=2**20)
    each = found.state_bytes + found.host_bytes
    assert (found.state_bytes, found.host_bytes) == (256, 5 * 2**20 + 64 * 2**10)
    assert found.sessions == GIB // 2 // each == 101
    assert found.reason == "101 sessions: 50% of the 1.0 GiB free on cpu, at 5.1 MiB each"
    free["cuda"] = 256 * 30
    on_gpu = choose_capacity(spec(), "cuda", share=1.0, queue=1, frame_bytes=1)
    assert on_gpu.sessions == 30
    assert "on cuda" in on_gpu.reason
    free["cuda"] = 64 * GIB
    assert choose_capacity(spec(), "cuda", queue=1, frame_bytes=1).sessions == capacity.LARGEST
    assert choose_capacity(spec(), "cpu", given=7).reason == "7 sessions, as asked for"
    with pytest.raises(
        CapacityError, match=r"1000000000 sessions of .* need .* GiB on cpu, where .* are free"
    ):
        choose_capacity(spec(), "cpu", given=10**9)
    free["cpu"] = 1000
    with pytest.raises(CapacityError, match="1000 B are free"):
        choose_capacity(spec(), "cpu")
    wrong: list[dict[str, Any]] = [{"given": 0}, {"share": 0}, {"share": 2}]
    for options in wrong:
        with pytest.raises(OptionError):
            choose_capacity(spec(), "cpu", **options)


def test_an_engine_without_a_number_takes_what_fits(runtime: Any) -> None:
    engine = Engine(runtime, capacity=None)
    assert engine.store is not None
    assert engine.slots.capacity == engine.store.capacity == engine.capacity.sessions
    assert 1 <= engine.capacity.sessions <= capacity.LARGEST


def test_free_memory_is_the_least_of_machine_and_container(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9 kB\nMemAvailable:    2048 kB\n")
    assert free_memory("cpu", meminfo=meminfo, cgroup=tmp_path) == 2 * 2**20
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("5\n")
    assert container_memory(tmp_path) is None
    (tmp_path / "memory.max").write_text("1005\n")
    assert free_memory("cpu", meminfo=meminfo, cgroup=tmp_path) == 1000
    (tmp_path / "memory.current").write_text("2000\n")
    assert container_memory(tmp_path) == 0
    assert (machine_memory(tmp_path / "none") or 1) > 0
    assert free_memory("cpu") > 0


def test_a_device_that_is_not_there_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    with pytest.raises(RuntimeUnavailableError, match="give a capacity"):
        free_memory("cuda")


@pytest.mark.parametrize(("count", "text"), [(5, "5 B"), (2048, "2.0 KiB"), (3 * GIB, "3.0 GiB")])
def test_sizes_are_readable(count: int, text: str) -> None:
    assert size(count) == text
