"""Latency, capacity and history: the numbers hold together, wrong calls are refused, plots are drawn."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framestate.bench import speed_report
from framestate.bench.capacity import CapacityTrial, best_of, measure_capacity
from framestate.bench.history import measure_flatness, measure_history
from framestate.bench.latency import measure_latency
from framestate.bench.stages import STAGES
from framestate.bench.throughput import ThroughputPoint
from framestate.bench.timing import EndlessClip, interleaved, percentiles_ms, rss_mb
from framestate.bundles import Bundle
from framestate.engine import Engine
from framestate.errors import CapacityError, OptionError, ParityError, RuntimeUnavailableError
from framestate.runtimes import Runtime, open_runtime
from rich.console import Console


@pytest.fixture(scope="module")
def clip() -> EndlessClip:
    return EndlessClip((96, 72), images=5)


@pytest.fixture
def runtime(tiny_bundle: Bundle) -> Iterator[Runtime]:
    opened = open_runtime(tiny_bundle, "onnx", threads=1)
    yield opened
    opened.close()


def test_a_clip_without_end_never_jumps(clip: EndlessClip) -> None:
    images = [clip.frame(index).image for index in range(20)]
    for before, after in pairwise(images):
        assert 0 < np.abs(before.astype(int) - after).mean() < 40
    assert [clip.frame(index).pts for index in (0, 7, 10**6)] == [0, 7, 10**6]
    assert clip.frame(8).image is clip.frame(0).image
    with pytest.raises(OptionError):
        EndlessClip((64, 64), images=1)


def test_calls_take_turns() -> None:
    order: list[str] = []
    times = interleaved({name: lambda name=name: order.append(name) for name in "abc"}, 4, warm_up=2)  # type: ignore[misc]
    assert {name: len(taken) for name, taken in times.items()} == {"a": 4, "b": 4, "c": 4}
    rounds = ["".join(order[start : start + 3]) for start in range(0, len(order), 3)]
    assert all(sorted(one) == ["a", "b", "c"] for one in rounds)
    assert {one[0] for one in rounds} == {"a", "b", "c"}
    assert percentiles_ms([0.001, 0.002, 0.003], 50, 100) == pytest.approx([2, 3])
    with pytest.raises(OptionError):
        interleaved({"a": lambda: None}, 0)
    assert rss_mb() > 10


def test_latency_adds_up_and_leaves_the_engine_as_it_was(
    runtime: Runtime, clip: EndlessClip, tmp_path: Path
) -> None:
    results = measure_latency({"onnx": runtime}, clip, frames=12, warm_up=2, differences={"onnx": 1e-6})
    (one,) = results
    assert one.p50_ms <= one.p90_ms <= one.p99_ms
    assert 0 < one.model_ms < one.p99_ms
    assert 0 < one.overhead_ms < one.p99_ms
    assert one.overhead_share == pytest.approx(one.overhead_ms / one.p50_ms)
    assert set(one.stages) == set(STAGES)
    assert all(one.stages[stage] > 0 for stage in ("crop", "normalise", "model", "decode", "filter"))
    assert one.max_abs_vs_eager == 1e-6
    assert runtime.call.__func__ is type(runtime).call  # type: ignore[attr-defined]
    from framestate.engine.tracking import cropping
    from framestate.engine.tracking.following import Following
    from framestate.vision import cut

    assert vars(cropping)["cut"] is cut
    assert "timed" not in Following.predict.__qualname__
    speed_report.latency_plot(results, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000
    for frames, warm_up in ((0, 1), (1, -1)):
        with pytest.raises(OptionError):
            measure_latency({"onnx": runtime}, clip, frames=frames, warm_up=warm_up)
    with pytest.raises(OptionError):
        measure_latency({}, clip)


class Slow:
    """A runtime whose calls take their time, so that what an engine keeps up with is known."""

    def __init__(self, runtime: Runtime, seconds: float) -> None:
        self._runtime, self._seconds = runtime, seconds
        self.spec, self.name, self.device = runtime.spec, runtime.name, runtime.device

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)

    def call(self, *arguments: Any) -> Any:
        time.sleep(self._seconds)
        return self._runtime.call(*arguments)


def test_capacity_finds_what_is_kept_up_with(runtime: Runtime, clip: EndlessClip) -> None:
    """Steps of 100 ms serve 2 sessions at 4 frames a second; of more, the backlog soon shows."""
    with Engine(Slow(runtime, 0.1), capacity=8) as engine:
        told: list[CapacityTrial] = []
        trials = measure_capacity(
            engine, clip, rate=4, slo_ms=400, seconds=0.75, warm_up=0.25, most=8, tick=told.append
        )
        assert told == trials
        assert not engine.service.sessions()
        best = best_of(trials)
        assert best is not None
        assert 1 <= best.sessions <= 4
        for trial in trials:
            assert trial.sent == trial.sessions * 3
            assert trial.passed == (trial.p99_ms is not None and trial.p99_ms <= 400)
            assert trial.dropped <= trial.sent
        failed = [trial.sessions for trial in trials if not trial.passed]
        assert failed
        assert min(failed) > best.sessions
        with pytest.raises(OptionError):
            measure_capacity(engine, clip, rate=0, slo_ms=10)
        with pytest.raises(CapacityError):
            measure_capacity(engine, clip, rate=100, slo_ms=60_000, seconds=0.01, warm_up=0, most=99)
    assert best_of([]) is None


def test_history_refuses_to_time_forms_that_differ() -> None:
    def form(value: float) -> Any:
        return lambda: {"score": np.full(3, value)}

    reference = {"score": np.full(3, 1.0)}
    same = {name: form(1.0) for name in ("stateless", "cached", "stateful")}
    points = measure_history([(1, same, reference), (6, same, reference)], repetitions=3)
    assert [point.history for point in points] == [1, 6]
    assert points[0].max_abs == 0
    assert points[0].speedup == pytest.approx(points[0].stateless_ms / points[0].stateful_ms)
    for value in (1.01, float("nan")):
        with pytest.raises(ParityError, match="cached"):
            measure_history([(1, {**same, "cached": form(value)}, reference)], repetitions=1)


def test_a_long_session_is_flat(tiny_bundle: Bundle, clip: EndlessClip) -> None:
    """400 frames: the time of a frame does not grow with the session's age, nor does memory."""
    with Engine.load(tiny_bundle, runtime="onnx", threads=1, capacity=2) as engine:
        flat = measure_flatness(engine, clip, frames=400)
        assert flat.frames == 400
        assert abs(flat.aged_change) < 0.3  # side by side, though other work may disturb
        assert flat.rss_growth_mb < 5
        assert engine.slots.num_used == 0
        with pytest.raises(OptionError):
            measure_flatness(engine, clip, frames=1)
    with (
        Engine.load(tiny_bundle, runtime="onnx", threads=1, capacity=1) as engine,
        pytest.raises(CapacityError),
    ):
        measure_flatness(engine, clip, frames=2)


def test_tables_and_plots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = [CapacityTrial(2, 50.0, 0, 100, True), CapacityTrial(4, None, 40, 200, False)]
    points = [ThroughputPoint(1, 90, 90, 11, 12, 1), ThroughputPoint(4, 150, 37.5, 26, 30, 2)]
    forms = {name: (lambda: {"score": np.ones(1)}) for name in ("stateless", "cached", "stateful")}
    history = measure_history([(1, forms, {"score": np.ones(1)})], repetitions=1)
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        for table in (
            speed_report.capacity_table(trials),
            speed_report.throughput_table(points),
            speed_report.history_table(history),
        ):
            console.print(table)
    text = console.export_text()
    for shown in ("never", "1.67", "templates"):
        assert shown in text
    speed_report.capacity_plot(trials, 100, tmp_path / "capacity.png")
    speed_report.throughput_plot(points, tmp_path / "throughput.svg")
    speed_report.history_plot(history, tmp_path / "history.png")
    assert all(path.stat().st_size > 1000 for path in tmp_path.iterdir())
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # as if it were not installed
    with pytest.raises(RuntimeUnavailableError, match="pip install"):
        speed_report.history_plot(history, tmp_path / "no.png")
    assert len(list(tmp_path.iterdir())) == 3
