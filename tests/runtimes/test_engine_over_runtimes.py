"""An engine over every runtime: trackers and interpolators as people use them, beside plain PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from framestate.bench.timing import TimedRuntime
from framestate.bundles import Bundle, load_bundle
from framestate.engine import Engine, InterpolationOptions, Track, TrackingOptions
from framestate.engine.lanes import Lanes
from framestate.export.proof import prove
from framestate.runtimes import Runtime, RuntimeOver, open_runtime
from framestate.runtimes.eager import EagerRuntime
from framestate.runtimes.onnx import OnnxRuntime
from framestate.runtimes.tensorrt import TensorRTRuntime
from framestate.vision import Box, Frame
from framestate.vision.synthetic import demo_clip

from .host_graphs import HostRecorder

OPTIONS = TrackingOptions(sure=0.3, seen=0.1, override=0.3, refresh_every=4)
FRAMES = 10
Clip = list[tuple[Frame, Box]]


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    """Six clips of 160 x 120."""
    return [
        [
            (Frame(image, i, Fraction(1, 25), i), box)
            for i, (image, box, _) in enumerate(demo_clip(seed, FRAMES, (160, 120)))
        ]
        for seed in range(6)
    ]


def follow(engine: Engine, clips: list[Clip]) -> Iterator[list[Track]]:
    """The targets of all clips, side by side; halfway each goes on from its snapshot."""
    sessions = [engine.open(frame, box=box) for (frame, box), *_ in clips]
    for index in range(1, FRAMES):
        if index == FRAMES // 2:
            blobs = [session.snapshot() for session in sessions]
            for session in sessions:
                session.close()
            sessions = [engine.restore(blob) for blob in reversed(blobs)][::-1]
        pairs = zip(sessions, clips, strict=True)
        answers = [session.submit_nowait(clip[index][0]) for session, clip in pairs]
        yield [answer.result(60) for answer in answers]


@pytest.mark.parametrize("sessions", [1, 6])
def test_the_same_tracks_whatever_runs_them(
    runtime: Runtime, clips: list[Clip], sessions: int, request: pytest.FixtureRequest
) -> None:
    """In one batch a frame, with refreshed templates and sessions moved on by their snapshots."""
    bundle: Bundle = request.getfixturevalue(request.node.callspec.params["runtime"].split(":")[0])
    over = RuntimeOver(runtime)
    over.crops = None  # a level of rounding in the crops can move an untrained tracker a long way
    lanes = Lanes(batched=True, padded=not runtime.pads_batches)
    with (
        Engine(over, capacity=8, options=OPTIONS, lanes=lanes) as engine,
        Engine(EagerRuntime(bundle), capacity=8, options=OPTIONS) as plain,
    ):
        for found, wanted in zip(
            follow(engine, clips[:sessions]), follow(plain, clips[:sessions]), strict=True
        ):
            for one, other in zip(found, wanted, strict=True):
                assert one.status == other.status
                box, expected = one.box, other.box
                near = (box.x - expected.x, box.y - expected.y, box.w - expected.w, box.h - expected.h)
                assert max(map(abs, near)) < 0.2


def test_the_proof_runs_over_it(runtime: Runtime, request: pytest.FixtureRequest) -> None:
    bundle: Bundle = request.getfixturevalue(request.node.callspec.params["runtime"].split(":")[0])
    found = prove(EagerRuntime(bundle), runtime, frames=6)
    assert found.passed, found.summary


def test_the_proof_makes_crops_where_the_model_runs(
    tiny_bundle: Bundle, plans: Bundle, host_vendor: Any
) -> None:
    """Those of the candidate, which the reference is shown, too."""
    for candidate in (
        EagerRuntime(tiny_bundle, resident=True, graphs=HostRecorder()), TensorRTRuntime(plans)
    ):  # fmt: skip
        make, made = candidate.crops, list[int]()
        assert make is not None

        def counted(pieces: Any, *, raw: bool, make: Any = make, made: list[int] = made) -> Any:
            made.append(len(pieces))
            return make(pieces, raw=raw)

        candidate.crops = counted
        assert prove(EagerRuntime(tiny_bundle), candidate, frames=4).passed
        assert len(made) >= 5  # a template, and a search a frame


def test_bench_makes_crops_where_the_model_runs(host_tensorrt: TensorRTRuntime) -> None:
    timed = TimedRuntime(host_tensorrt)
    assert timed.crops is host_tensorrt.crops is not None


@pytest.mark.slow
@pytest.mark.parametrize("tile_pixels", [2**22, 640 * 512])
def test_motion_on_smaller_frames(tile_pixels: int) -> None:
    """Above 720p motion is found on a smaller frame and enlarged, whole or for tiles: as on the host."""
    bundle = load_bundle("interp-nano")
    rng = np.random.default_rng(0)
    picture = np.kron(rng.integers(0, 256, (30, 40, 3), np.uint8), np.ones((20, 20, 1), np.uint8))
    frames = [
        Frame(np.ascontiguousarray(np.roll(picture, 6 * i, 1)), i, Fraction(1, 25), i) for i in range(2)
    ]
    options = InterpolationOptions(scale=0.5, tile_pixels=tile_pixels, overlap=32, cuts=False)
    made = []
    for runtime in (open_runtime(bundle, "onnx", threads=2), OnnxRuntime(bundle, threads=2, bound=True)):
        with Engine(runtime) as engine, engine.open(options=options) as session:
            made.append([frame.image for one in frames for frame in session.push(one)])
    for one, other in zip(*made, strict=True):
        assert np.abs(one.astype(int) - other.astype(int)).max() <= 1
