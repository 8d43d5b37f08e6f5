"""Search crops made where the model runs: the same tracks as with crops made here."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from framestate.bundles import Bundle
from framestate.engine import Engine, Track, TrackingOptions
from framestate.engine.lanes import Lanes
from framestate.runtimes.eager import EagerRuntime
from framestate.vision import Box, Frame
from framestate.vision.synthetic import demo_clip

from ...runtimes.host_graphs import HostRecorder
from ..together import pushed_together

OPTIONS = TrackingOptions(sure=0.3, seen=0.1, override=0.3, refresh_every=4)


Clip = list[tuple[Frame, Box]]


def tracks(engine: Engine, clips: list[Clip]) -> list[Track]:
    """The targets of all clips, one step a frame."""
    targets = [engine.open(clip[0][0], box=clip[0][1]) for clip in clips]
    found = []
    for index in range(1, len(clips[0])):
        for answer in pushed_together(engine, targets, [clip[index][0] for clip in clips]):
            assert isinstance(answer, Track), answer
            found.append(answer)
    return found


def test_the_same_tracks_with_crops_graphs_and_rows_of_the_device(tiny_bundle: Bundle) -> None:
    """Three sessions in one call, beside a plain engine that takes them one by one."""
    clips = []
    for seed in range(3):
        frames = enumerate(demo_clip(seed, 12, (160, 120)))
        clips.append([(Frame(image, i, Fraction(1, 25), i), box) for i, (image, box, _) in frames])
    recorder = HostRecorder()
    runtime = EagerRuntime(tiny_bundle, resident=True, graphs=recorder)
    asked: list[int] = []
    make = runtime.crops
    assert make is not None

    def counted(pieces, *, raw):  # type: ignore[no-untyped-def]
        asked.append(len(pieces))
        return make(pieces, raw=raw)

    runtime.crops = counted
    lanes = Lanes(batched=True, padded=not runtime.pads_batches)
    with (
        Engine(runtime, capacity=4, options=OPTIONS, lanes=lanes) as device,
        Engine(EagerRuntime(tiny_bundle), capacity=4, options=OPTIONS) as plain,
    ):
        found, wanted = tracks(device, clips), tracks(plain, clips)
    assert asked[:3] == [1, 1, 1], "the first templates, as each session opens"
    assert asked.count(3) == 11, (
        "every step cuts the search crops of all three at once; the rest are fresh templates"
    )
    assert recorder.recorded == 6, "templates and search crops of one, two and four rows"
    for one, other in zip(found, wanted, strict=True):
        assert one.status == other.status
        np.testing.assert_allclose(
            (one.box.x, one.box.y, one.box.w, one.box.h),
            (other.box.x, other.box.y, other.box.w, other.box.h),
            rtol=0,
            atol=0.2,
        )
