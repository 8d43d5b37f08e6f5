"""Throughput by sessions: the numbers add up, and nothing stays open."""

from __future__ import annotations

import pytest
from framestate.bench.throughput import measure_throughput
from framestate.bench.timing import EndlessClip
from framestate.bundles import Bundle
from framestate.engine import Engine
from framestate.errors import CapacityError, OptionError


def test_points_add_up_and_sessions_are_closed(tiny_bundle: Bundle) -> None:
    clip = EndlessClip((64, 64), images=3)
    with Engine.load(tiny_bundle, runtime="onnx", workers=2, capacity=3) as engine:
        points = measure_throughput(engine, clip, [1, 3], frames=5, warm_up=1)
        assert [point.sessions for point in points] == [1, 3]
        for point in points:
            assert point.fps_total == pytest.approx(point.sessions * point.fps_per_session)
            assert 0 < point.p50_ms <= point.p99_ms
            assert 1 <= point.batch_mean <= 2
        assert points[0].batch_mean == 1
        keys = {"sessions", "fps_total", "fps_per_session", "p50_ms", "p99_ms", "batch_mean"}
        assert set(points[0].to_json()) == keys
        with pytest.raises(CapacityError):
            measure_throughput(engine, clip, [4], frames=1)
        for counts in ([], [0]):
            with pytest.raises(OptionError):
                measure_throughput(engine, clip, counts)
        assert not engine.service.sessions()
