"""A scene by the clock: what is counted adds up."""

from __future__ import annotations

from framestate.bench.scene_speed import measure_scene, render
from framestate.bundles import Bundle
from framestate.engine import Engine
from framestate.engine.scene import SceneOptions


def test_ages_work_and_looks_are_counted(tiny_bundle: Bundle) -> None:
    moments = render(6, 14, (160, 120))
    options = SceneOptions(most_looks=2, look_every=0.04)
    with Engine.load(tiny_bundle, runtime="onnx", threads=1, capacity=12) as engine:
        found = measure_scene(engine, moments, 6, rate=50, every=5, options=options, warm_up=0.08)
        assert engine.slots.num_used == 0
    assert found.targets == 6
    assert 1 <= found.followed <= 8
    assert found.frames == 10
    assert 0 < found.work_ms <= found.p99_work_ms
    assert found.p50_ms <= found.p99_ms
    assert found.p99_work_ms <= found.p99_ms + 1
    assert found.least_looks >= 0
    assert 0 < found.cpu_ms <= found.p99_alone_ms * 1.001
    assert found.alone_ms <= found.p99_alone_ms
    assert found.looks <= 50
    assert found.to_json()["frames"] == 10
