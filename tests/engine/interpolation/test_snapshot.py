"""A video taken up from a snapshot in its middle: every frame as if it had never stopped, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framestate.bundles import Bundle
from framestate.engine import Engine, InterpolationOptions
from framestate.errors import StateError
from framestate.vision import Frame, Image

from ...tiny_graphs import write_interpolator
from .conftest import Counting, frames

Pictures = Callable[..., Image]
WAYS: dict[str, dict[str, Any]] = {
    "twice": {"factor": Fraction(2)},
    "five halves": {"factor": Fraction(5, 2)},
    "sixty a second": {"fps": Fraction(60)},
    "slow": {"slow_motion": Fraction(3)},
    "tiles": {"factor": Fraction(2), "scale": 1.0, "tile_pixels": 128 * 128, "overlap": 32},
    "half size": {"factor": Fraction(2), "scale": 0.5},
    "half size in tiles": {"factor": Fraction(2), "scale": 0.5, "tile_pixels": 128 * 128, "overlap": 32},
}


def clip(picture: Pictures, size: tuple[int, int]) -> list[Frame]:
    """Frames at uneven times: two duplicates, a cut, and a long pause before the last two."""
    images = [picture(3 * step, size=size) for step in (0, 1, 2, 2, 2, 3)]
    images += [picture(3 * step, scene=1, size=size) for step in range(5)]
    return frames(images, [0, 40, 90, 100, 140, 180, 220, 251, 300, 3000, 3040])


def same(found: list[Frame], wanted: list[Frame]) -> bool:
    alike = [(one.pts, one.time_base, one.index) for one in found] == [
        (one.pts, one.time_base, one.index) for one in wanted
    ]
    return alike and all(
        np.array_equal(one.image, other.image) for one, other in zip(found, wanted, strict=True)
    )


@pytest.mark.parametrize("way", ["twice", "tiles", "half size in tiles"])
def test_the_motion_that_is_carried_goes_along(tmp_path: Path, picture: Pictures, way: str) -> None:
    """Of each tile, or of the small frame where motion is found there."""
    options = InterpolationOptions(**WAYS[way])
    shown = frames(
        [picture(3 * step**2, size=(180, 240)) for step in range(6)], [40 * step for step in range(6)]
    )
    bundle = write_interpolator(tmp_path / "carrying", carries=True)
    with Engine.load(bundle, runtime="onnx", device="cpu", threads=1) as engine:
        with engine.open(options=options) as session:
            for frame in shown[:3]:
                session.push(frame)
            blob = session.snapshot()
            wanted = [made for frame in shown[3:6] for made in session.push(frame)]
        with engine.restore(blob) as session:
            found = [made for frame in shown[3:6] for made in session.push(frame)]
        with engine.open(options=options) as fresh:
            fresh.push(shown[2])
            forgot = [made for frame in shown[3:6] for made in fresh.push(frame)]
    assert same(found, wanted)
    assert not all(np.array_equal(one.image, other.image) for one, other in zip(forgot, wanted, strict=False))


@pytest.mark.parametrize("lookahead", [False, True])
@pytest.mark.parametrize("way", list(WAYS))
def test_it_goes_on_bit_for_bit_wherever_it_was_taken(
    engine: Engine, counting: Counting, picture: Pictures, way: str, lookahead: bool
) -> None:
    tiled = "tile_pixels" in WAYS[way]
    size = {"tiles": (150, 200), "half size in tiles": (180, 240)}.get(way, (48, 64))
    options = InterpolationOptions(**WAYS[way], lookahead=lookahead)
    shown = clip(picture, size)
    with engine.open(options=options) as session:
        blobs, answers = [session.snapshot()], []
        for frame in shown:
            answers.append(list(session.push(frame)))
            blobs.append(session.snapshot())
        end, memory = list(session.flush() or ()), session.memory
        assert (memory.counts.duplicates, memory.counts.scene_cuts, memory.counts.pauses) == (2, 1, 1)
        assert (memory.num_tiles or 0) > 1 or not tiled
    places = range(len(blobs)) if not tiled else (2, 8)
    for place in places:
        with engine.restore(blobs[place]) as again:
            assert again.snapshot() == blobs[place]
            for frame, answer in zip(shown[place:], answers[place:], strict=True):
                assert same(list(again.push(frame)), answer)
            assert same(list(again.flush() or ()), end)
            assert (again.memory.counts, again.memory.ends) == (memory.counts, memory.ends)


@pytest.mark.parametrize("lookahead", [False, True])
@pytest.mark.parametrize("lanes", [1, 2])
def test_a_file_can_be_gone_on_with_side_by_side(
    engine: Engine, picture: Pictures, lookahead: bool, lanes: int
) -> None:
    shown = clip(picture, (48, 64))
    with engine.open(factor=3, lookahead=lookahead) as session:
        found = [one for frame in shown[:4] for one in session.push(frame)]
        blob = session.snapshot()
        wanted = [*found, *session.ahead(shown[4:])]
    with engine.restore(blob) as session:
        assert same([*found, *session.ahead(shown[4:], lanes)], wanted)


def test_what_ships_goes_on_with_its_flows(shipped: Engine, picture: Pictures) -> None:
    """The pair before tells how the motion bends: its flow is part of the snapshot."""
    images = [picture(step * (step + 1) // 2, size=(64, 96)) for step in range(6)]
    shown = frames(images)
    for lookahead in (False, True):
        options = InterpolationOptions(cuts=False, duplicates=False, lookahead=lookahead)
        with shipped.open(options=options) as session:
            for frame in shown[:3]:
                session.push(frame)
            blob = session.snapshot()
            assert session.memory.link is not None
            wanted = [one for frame in shown[3:] for one in session.push(frame)] + list(session.flush() or ())
        with shipped.restore(blob) as session:
            found = [one for frame in shown[3:] for one in session.push(frame)] + list(session.flush() or ())
        assert same(found, wanted)


def test_a_snapshot_belongs_to_frames_that_the_engine_can_take(
    engine: Engine, counting: Counting, tiny_interpolator: Bundle, picture: Pictures
) -> None:
    """One of a video at half the size, which a model without resizes cannot go on with."""
    from dataclasses import replace

    with engine.open(scale=0.5) as session:
        session.push(frames([picture()])[0])
        blob = session.snapshot()
    counting.spec = replace(counting.spec, preprocess={"multiple": 16})
    with Engine(counting, bundle_hash=engine.bundle_hash) as other:
        with pytest.raises(StateError, match="full size only"):
            other.restore(blob)
        assert other.slots.num_used == 0
