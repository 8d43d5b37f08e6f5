"""Made scenes that are small, and engines for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from framestate.bench.made_scenes import Moment, drawn_background, drawn_cutouts, made_scene
from framestate.bench.scenes import Noise, made_detections
from framestate.bundles import Bundle
from framestate.engine import Engine, TrackingOptions
from framestate.engine.lanes import Lanes
from framestate.engine.scene import Detections
from framestate.runtimes import open_runtime

SIZE = 192, 144
EVERY = 5
Watched = list[tuple[Moment, Detections | None]]


def watched(seed: int, objects: int = 5, frames: int = 24, noise: Noise | None = None) -> Watched:
    """A made scene, with detections at every fifth frame."""
    moments = made_scene(
        drawn_cutouts(seed, 4), drawn_background(seed, SIZE), seed=seed, objects=objects, frames=frames
    )
    corners = float(SIZE[0]), float(SIZE[1])
    return [
        (
            one,
            made_detections(one.boxes, noise or Noise(), f"{seed}/{index}", corners)
            if index % EVERY == 0
            else None,
        )
        for index, one in enumerate(moments)
    ]


@pytest.fixture(scope="session")
def scenes() -> list[Watched]:
    """Two scenes of five objects."""
    return [watched(1), watched(2)]


@pytest.fixture
def open_scenes_engine(tiny_bundle: Bundle) -> Iterator[Callable[..., Engine]]:
    """Opens engines of a tiny tracker, and checks that nothing is left in them."""
    opened: list[Engine] = []

    def make(capacity: int = 32, workers: int = 1) -> Engine:
        runtime = open_runtime(tiny_bundle, "onnx", device="cpu", threads=1)
        options = TrackingOptions(sure=0.3, seen=0.1, override=0.3)
        opened.append(Engine(runtime, options=options, capacity=capacity, lanes=Lanes(workers)))
        return opened[-1]

    yield make
    for engine in opened:
        engine.slots.check()
        engine.close()


def no_detections() -> Detections:
    """A round that found nothing."""
    return Detections.from_xywh(np.zeros((0, 4)))
