from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from framestate.bundles import Bundle, TensorSpec
from framestate.engine import Engine, InterpolationOptions
from framestate.errors import (
    BundleError,
    CapacityError,
    FrameError,
    OptionError,
    SessionError,
    StepError,
)
from framestate.vision import Frame, Image

from .conftest import TICK, Counting, frames

Pictures = Callable[..., Image]


def run(engine: Engine, images: list[Image], pts: list[int] | None = None, **options: object) -> list[Frame]:
    with engine.open(**options) as session:  # type: ignore[arg-type]
        shown = [one for frame in frames(images, pts) for one in session.push(frame)]
        shown += session.flush() or []
        assert session.memory.counts.frames_in == len(images)
        assert session.memory.counts.frames_out == len(shown)
    assert [frame.index for frame in shown] == list(range(len(shown)))
    return shown


def blend(one: Image, other: Image, t: float) -> Image:
    return np.rint(one + t * (other.astype(np.float32) - one)).astype(np.uint8)


def test_twice_as_many_frames_with_every_pushed_one_untouched(engine: Engine, picture: Pictures) -> None:
    images = [picture(2 * step) for step in range(4)]
    shown = run(engine, images, [0, 40, 100, 110], factor=2)
    assert [frame.pts * frame.time_base / TICK for frame in shown] == [0, 20, 40, 70, 100, 105, 110]
    assert all(frame.image is image for frame, image in zip(shown[::2], images, strict=True))
    for made, (one, other) in zip(shown[1::2], pairwise(images), strict=True):
        middle, away = blend(one, other, 0.5).astype(int), np.abs(one.astype(int) - other).mean()
        assert np.abs(made.image - middle).mean() < 0.5 * away
        assert np.abs(made.image.astype(int) - one).mean() > 0.1 * away


def test_each_frame_is_encoded_once_and_several_times_share_a_motion(
    engine: Engine, counting: Counting, picture: Pictures
) -> None:
    run(engine, [picture(3 * step) for step in range(4)], factor=4)
    assert counting.calls.count("encode") == 4
    assert counting.calls.count("motion") == 3
    assert counting.calls.count("interpolate") == 9
    states = [state for call, state in zip(counting.calls, counting.states, strict=True) if call == "motion"]
    assert states[0] is not None
    assert states[1] is not None
    assert states[0]["second.image"] is states[1]["first.image"]  # never copied


def test_frames_come_as_early_as_they_can(engine: Engine, picture: Pictures) -> None:
    with engine.open(factor=3) as session:
        counts = [len(session.push(frame)) for frame in frames([picture(step) for step in range(3)])]
        assert counts == [1, 3, 3]
        assert len(session.flush() or ()) == 0


def test_nothing_is_blended_across_a_cut(engine: Engine, counting: Counting, picture: Pictures) -> None:
    one, other = picture(scene=0), picture(scene=1)
    shown = run(engine, [one, other], factor=4)
    assert [frame.image is one for frame in shown] == [True, True, True, False, False]
    assert [frame.image is other for frame in shown] == [False, False, False, True, True]
    assert counting.calls == []
    with engine.open(options=InterpolationOptions(cuts=False)) as session:
        session.push(frames([one])[0])
        assert session.push(frames([one, other])[1])[0].image is not other


def test_a_duplicate_is_answered_by_the_frame_itself(
    engine: Engine, counting: Counting, picture: Pictures
) -> None:
    still, moved = picture(), picture(4)
    with engine.open(factor=2) as session:
        shown = [one for frame in frames([still, still.copy(), moved]) for one in session.push(frame)]
        assert session.memory.counts.duplicates == 1
        assert session.memory.counts.made == 1
    assert shown[1].image is still
    assert np.array_equal(shown[2].image, still)
    assert counting.calls == ["encode", "encode", "motion", "interpolate"]


def test_between_duplicates_that_a_codec_spoilt_is_less_noise(
    engine: Engine, counting: Counting, picture: Pictures
) -> None:
    real = picture().clip(4, 251)
    noise = np.random.default_rng(0).choice([-1, 0, 0, 0, 1], (2, *real.shape))
    coded = [(real + one).astype(np.uint8) for one in noise]
    with engine.open(factor=4) as session:
        shown = [one.image for frame in frames(coded) for one in session.push(frame)]
        assert session.memory.counts.duplicates == 1
    assert counting.calls == []
    assert shown[0] is coded[0]
    errors = [float(np.abs(one.astype(float) - real).mean()) for one in shown]
    assert max(errors[1:4]) < min(errors[0], errors[4])
    distances = [float(np.abs(one.astype(float) - coded[0]).mean()) for one in shown]
    assert distances == sorted(distances)


def test_a_long_gap_is_held(engine: Engine, counting: Counting, picture: Pictures) -> None:
    one, other = picture(), picture(4)
    with engine.open(fps=2) as session:
        shown = [one for frame in frames([one, other], [0, 5000]) for one in session.push(frame)]
        assert session.memory.counts.pauses == 1
    assert [frame.image is one for frame in shown] == [True] * 6 + [False] * 5
    assert counting.calls == []


def test_a_failed_call_leaves_the_session_as_it_was(
    engine: Engine, counting: Counting, picture: Pictures
) -> None:
    images = [picture(3 * step) for step in range(4)]
    expected = run(engine, images, factor=3)
    for function in ("encode", "motion", "interpolate"):
        shown: list[Frame] = []
        with engine.open(factor=3) as session:
            for frame in frames(images):
                counting.fail = {function}
                before = (session.memory.counts.frames_out, session.memory.counts.made)
                if frame.index:
                    with pytest.raises(StepError):
                        session.push(frame)
                assert (session.memory.counts.frames_out, session.memory.counts.made) == before
                counting.fail = set()
                shown += session.push(frame)
            assert session.memory.counts.frames_out == len(expected)
        assert [frame.pts for frame in shown] == [frame.pts for frame in expected]
        assert all(np.array_equal(a.image, b.image) for a, b in zip(shown, expected, strict=True))


def test_frames_that_do_not_fit_are_refused_and_the_session_goes_on(
    engine: Engine, picture: Pictures
) -> None:
    first, second = frames([picture(), picture(2)])
    with engine.open() as session:
        session.push(first)
        wrong = [
            Frame(picture(size=(48, 66)), 40, TICK, 1),
            Frame(picture(2), 0, TICK, 1),
            Frame(picture(2), 40, Fraction(1, 500), 1),
        ]
        for frame, word in zip(wrong, ("48x66|66x48", "pts 0", "ticks"), strict=True):
            with pytest.raises(FrameError, match=word):
                session.push(frame)
        assert len(session.push(second)) == 2


def test_sessions_do_not_mix(engine: Engine, picture: Pictures) -> None:
    clips = [[picture(3 * step, scene=number) for step in range(4)] for number in range(3)]
    alone = [run(engine, clip, factor=3) for clip in clips]
    sessions = [engine.open(factor=3) for _ in clips]
    shown: list[list[Frame]] = [[] for _ in clips]
    for step in range(4):
        for number, clip in enumerate(clips):
            shown[number] += sessions[number].push(frames(clip)[step])
    for session in sessions:
        session.close()
    for one, other in zip(shown, alone, strict=True):
        assert all(np.array_equal(a.image, b.image) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (48, 64), (50, 31)])
def test_odd_sizes(engine: Engine, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    one = rng.integers(100, 120, (*size, 3), dtype=np.uint8)
    shown = run(engine, [one, one + np.uint8(9)], factor=2)
    assert [frame.image.shape for frame in shown] == [(*size, 3)] * 3
    assert np.abs(shown[1].image.astype(int) - one - 4.5).max() <= 1


def test_one_frame_and_none(engine: Engine, picture: Pictures) -> None:
    assert len(run(engine, [picture()], factor=2)) == 1
    assert run(engine, [], factor=2) == []


def test_tiles_give_what_the_whole_gives(engine: Engine, picture: Pictures) -> None:
    images = [picture(5 * step, size=(300, 420)) for step in range(3)]
    whole = run(engine, images, factor=2)
    options = InterpolationOptions(tile_pixels=160 * 160, overlap=32)
    with engine.open(options=options) as session:
        tiled = [one for frame in frames(images) for one in session.push(frame)]
        assert session.memory.num_tiles is not None
        assert session.memory.num_tiles >= 6
    for one, other in zip(whole, tiled, strict=True):
        assert np.abs(one.image.astype(int) - other.image).max() <= 1


@pytest.mark.parametrize("scale", [0.5, 0.25])
def test_motion_at_a_smaller_size_is_close(engine: Engine, picture: Pictures, scale: float) -> None:
    images = [picture(5 * step, size=(300, 420)) for step in range(3)]
    whole = run(engine, images, factor=2)
    options = InterpolationOptions(scale=scale, tile_pixels=256 * 256, overlap=32)
    with engine.open(options=options) as session:
        small = [one for frame in frames(images) for one in session.push(frame)]
        assert session.memory.scale == scale
    for one, other in zip(whole, small, strict=True):
        assert np.abs(one.image.astype(float) - other.image).mean() < 1.5


def test_auto_scale_goes_by_size(engine: Engine, picture: Pictures) -> None:
    for size, scale in (((360, 640), 1), ((720, 1280), 1), ((1080, 1920), 0.5), ((4320, 7680), 0.25)):
        with engine.open() as session:
            session.push(frames([np.zeros((*size, 3), np.uint8)])[0])
            assert session.memory.scale == scale
    with engine.open() as session:
        session.push(frames([np.zeros((2160, 3840, 3), np.uint8)])[0])
        assert session.memory.scale == 0.25
        assert session.memory.num_tiles == 4


def test_a_model_that_knows_one_size_only(engine: Engine, counting: Counting, picture: Pictures) -> None:
    counting.spec = replace(counting.spec, preprocess={"multiple": 16})
    with (
        Engine(counting) as other,
        other.open(scale=0.5) as session,
        pytest.raises(OptionError, match="full size only"),
    ):
        session.push(frames([picture()])[0])


def test_a_session_ends(engine: Engine, picture: Pictures) -> None:
    first, second = frames([picture(), picture(2)])
    session = engine.open()
    session.push(first)
    session.flush()
    for call in (session.flush, lambda: session.push(second)):
        with pytest.raises(SessionError, match="flushed"):
            call()
    session.close()
    session.close()
    with pytest.raises(SessionError, match="closed"):
        session.push(second)


def test_slots_are_counted(engine: Engine, picture: Pictures) -> None:
    sessions = [engine.open() for _ in range(4)]
    with pytest.raises(CapacityError):
        engine.open()
    sessions[0].close()
    engine.open().close()
    for session in sessions:
        session.close()


def test_an_engine_of_one_task_refuses_the_other(engine: Engine, picture: Pictures) -> None:
    with pytest.raises(OptionError, match=r"session of interpolation cannot be opened with frame, box"):
        engine.open(picture(), box=(1, 1, 5, 5))
    assert engine.slots.num_used == 0
    with Engine.load("tracker-nano", threads=1) as other:
        for given in ({}, {"factor": 2}, {"box": (1, 1, 5, 5)}):
            with pytest.raises(OptionError, match="session of tracking cannot be opened"):
                other.open(**given)
        assert other.slots.num_used == 0


def test_a_closed_engine(tiny_interpolator: Bundle, picture: Pictures) -> None:
    engine = Engine.load(tiny_interpolator, threads=1)
    session = engine.open()
    session.push(frames([picture()])[0])
    engine.close()
    with pytest.raises(SessionError, match="closed"):
        session.push(frames([picture(), picture(2)])[1])
    session.close()
    with pytest.raises(SessionError):
        engine.open()


def thinner(tensor: TensorSpec) -> TensorSpec:
    return replace(tensor, shape=("batch", 1, *tensor.shape[2:]))


def test_a_bundle_that_is_no_interpolator(counting: Counting) -> None:
    spec = counting.spec
    without = {name: function for name, function in spec.functions.items() if name != "motion"}
    for wrong in (
        replace(spec, functions=without),
        replace(spec, preprocess={"multiple": 0}),
        replace(spec, preprocess={"multiple": True}),
        replace(spec, preprocess={"multiple": 8.0}),
        replace(spec, state=tuple(thinner(one) if one.name == "second.image" else one for one in spec.state)),
        replace(spec, preprocess={"multiple": 16, "motion_resize": {"motion.change": "bigger"}}),
        replace(spec, functions={**spec.functions, "motion": spec.functions["encode"]}),
    ):
        counting.spec = wrong
        with pytest.raises(BundleError):
            Engine(counting)
