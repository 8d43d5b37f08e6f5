"""What a step of many sessions costs a GPU, counted by the stand-ins: launches, copies, waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from framestate.bundles import Bundle
from framestate.engine import Engine, TrackingOptions
from framestate.runtimes.tensorrt import TensorRTRuntime
from framestate.runtimes.tensorrt_device import ALIGNMENT
from framestate.vision import Frame
from framestate.vision.synthetic import demo_clip

from .host_gpu import plan_bundle, stand_in

SESSIONS, FRAMES = 64, 3
COPIES = ("upload", "download", "copy", "clear")


@pytest.fixture
def counted(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[tuple[Counter[str], int]]:
    """What the device did for some frames of 64 sessions, and how many steps of the engine these were."""
    vendor = stand_in(monkeypatch)
    options = TrackingOptions(seen=0, sure=0, refresh_sure=0, refresh_every=request.param)
    bundle = plan_bundle(tiny_bundle, tmp_path / "plans", largest=SESSIONS)
    images = [(image, box) for image, box, _ in demo_clip(3, FRAMES + 1, (160, 120))]
    frames = [Frame(image, index, Fraction(1, 25), index) for index, (image, _) in enumerate(images)]
    with Engine(TensorRTRuntime(bundle), capacity=SESSIONS, options=options) as engine:
        sessions = [engine.open(frames[0], box=images[0][1]) for _ in range(SESSIONS)]
        for answer in [session.submit_nowait(frames[1]) for session in sessions[::3]]:
            answer.result(60)  # from now on not all of them make their templates anew at once
        vendor.cuda.done.clear()
        began = engine.service.num_steps
        for frame in frames[2:]:
            for answer in [session.submit_nowait(frame) for session in sessions]:
                answer.result(60)
        yield Counter(vendor.cuda.done), engine.service.num_steps - began


@pytest.mark.parametrize("counted", [0], indirect=True)
def test_a_step_of_64_sessions(counted: tuple[Counter[str], int]) -> None:
    done, steps = counted
    assert done["wait"] == done["graph"] == done["crop"] == steps
    assert sum(done[one] for one in COPIES) <= 4 * steps  # given, next state, outputs, which rows to write
    assert done["kernel"] == 2 * steps


@pytest.mark.parametrize("counted", [2], indirect=True)
def test_steps_that_make_templates_anew(counted: tuple[Counter[str], int]) -> None:
    """Of some sessions and then of the others: nobody waits for a blend, and no row is moved alone."""
    done, steps = counted
    assert done["mix"] >= 1
    assert done["wait"] < steps
    assert sum(done[one] for one in COPIES) <= 12 * steps


def test_nine_numbers_a_row_come_back(
    tiny_bundle: Bundle, tiny_cell_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the graph ends with the best cell, beside one number that says whether the state is finite."""
    vendor, fetched, tracks = stand_in(monkeypatch), [], []
    images = [(image, box) for image, box, _ in demo_clip(3, 4, (160, 120))]
    for source in (tiny_bundle, tiny_cell_bundle):
        runtime = TensorRTRuntime(
            plan_bundle(source, tmp_path / source.spec.function("step").outputs[0].name)
        )
        with Engine(runtime, capacity=4) as engine:
            sessions = [engine.open(images[0][0], box=images[0][1]) for _ in range(4)]
            vendor.cuda.fetched, steps = 0, engine.service.num_steps
            for image, _ in images[1:]:
                answers = [session.submit_nowait(image) for session in sessions]
                tracks.append([answer.result(60).box.xywh for answer in answers])
            fetched.append(vendor.cuda.fetched / (engine.service.num_steps - steps))
    assert np.allclose(tracks[: len(images) - 1], tracks[len(images) - 1 :], atol=0.02)
    assert fetched[0] > 4 * 4 * 9 * 16  # four maps of 4 x 4 cells, nine deep
    assert fetched[1] == 2 * ALIGNMENT  # both of them in blocks of their own
