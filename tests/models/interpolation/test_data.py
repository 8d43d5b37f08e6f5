"""Samples of interpolators: that flow and frames turn alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from framestate.errors import DataError, OptionError
from framestate.models.interpolation.cache import (
    CachedClip,
    build_bends,
    build_cache,
    build_starts,
    clip_files,
    open_cache,
)
from framestate.models.interpolation.layers import enlarge
from framestate.models.interpolation.samples import TripletConfig, TripletSource
from framestate.models.warp import warp_grid
from framestate.vision import VideoWriter
from framestate.vision.motion import WAYS


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth random picture."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``data/clips``: one clip that moves by (4, 2) px a frame, one that stands still."""
    folder = tmp_path_factory.mktemp("data") / "clips"
    folder.mkdir()
    ground = texture(240, 320)
    for name, step in (("moves", (4, 2)), ("stands", (0, 0))):
        with VideoWriter(folder / f"{name}.mp4", 160, 128, 25) as writer:
            for index in range(9):
                x, y = 40 + step[0] * index, 30 + step[1] * index
                writer.write(np.ascontiguousarray(ground[y : y + 128, x : x + 160]))
    return folder.parent


@pytest.fixture(scope="module")
def clips(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> list[CachedClip]:
    cache = tmp_path_factory.mktemp("cache")
    files = clip_files(videos, ["clips"])
    index = build_cache(files, cache)
    assert build_cache(files, cache) == index
    build_starts(cache, list(index))
    return open_cache(cache, ["moves", "stands"])


def test_flows_of_other_settings_are_found_again(clips: list[CachedClip], tmp_path: Path) -> None:
    np.save(tmp_path / "moves.npy", clips[0].frames)
    np.save(tmp_path / "moves.flow.npy", clips[0].flows)
    np.save(tmp_path / "moves.usable.npy", clips[0].usable)
    np.save(tmp_path / "moves.start.dis-8-4-16.npy", np.zeros_like(clips[0].flows))
    starts = []
    for way in WAYS:
        build_starts(tmp_path, ["moves"], way=way)
        (found,) = open_cache(tmp_path, ["moves"], way)
        assert found.starts is not None
        assert found.starts.any()
        starts.append(found.starts)
    quick, fine = starts
    assert not np.array_equal(quick, fine)
    (again,) = open_cache(tmp_path, ["moves"])
    assert again.starts is not None
    np.testing.assert_array_equal(again.starts, quick)


def test_a_cache_knows_what_moves(clips: list[CachedClip]) -> None:
    moves, stands = clips
    assert moves.frames.shape == (9, 128, 160, 3)
    assert moves.usable[:, 0].sum() == 7
    assert moves.usable[:, 2].sum() == 3
    assert not stands.usable.any()
    back, ahead = np.median(moves.flows[4, 1].astype(np.float32), axis=(2, 3))
    # the window moves right and down, so what it shows moves left and up
    np.testing.assert_allclose(back, (8, 4), atol=0.7)
    np.testing.assert_allclose(ahead, (-8, -4), atol=0.7)


@pytest.mark.parametrize("which", ["flow", "start"])
def test_flow_turns_as_the_frames_do(clips: list[CachedClip], which: str) -> None:
    """Whatever a sample went through, its flow still leads from the target to the same thing in both ends.

    The target is in the middle of both ends, so that holds for the flow to start from as well.
    """
    gaps = (1.0, 0.0, 0.0) if which == "start" else (0.55, 0.3, 0.15)
    config = TripletConfig(gaps=gaps, rescaled=0.5, off_middle=0.0, start=True, start_dropped=0.0)
    source = TripletSource(config, clips, seed=5)
    better = []
    for index in range(24):
        sample = source.sample(index, 64)
        assert sample["known"] == 1
        flow = enlarge(torch.from_numpy(sample[which])[None], 8) * 8
        frames = {
            name: torch.from_numpy(sample[name])[None].float() for name in ("first", "target", "second")
        }
        inner = (..., slice(20, -20), slice(20, -20))
        for name, part in (("first", flow[:, :2]), ("second", flow[:, 2:])):
            still = (frames[name] - frames["target"])[inner].abs().mean()
            led = (warp_grid(frames[name], part) - frames["target"])[inner].abs().mean()
            better.append(bool(led < 0.6 * still))
    assert sum(better) > 0.9 * len(better)


def test_flows_to_start_from_are_dropped_now_and_then(clips: list[CachedClip]) -> None:
    source = TripletSource(TripletConfig(start=True, start_dropped=0.3), clips, seed=5)
    there = [bool(source.sample(index, 64)["start"].any()) for index in range(40)]
    assert 16 < sum(there) < 38


@pytest.fixture(scope="module")
def turning(tmp_path_factory: pytest.TempPathFactory) -> CachedClip:
    """A clip whose window moves on a parabola: 0.5 px a frame faster to the right with every frame."""
    root = tmp_path_factory.mktemp("turning")
    (root / "clips").mkdir()
    ground = texture(240, 320)
    with VideoWriter(root / "clips" / "turns.mp4", 160, 128, 25) as writer:
        for place in range(13):
            window = np.array([[1, 0, -(20 + 0.25 * place**2)], [0, 1, -(20 + 3 * place)]], np.float32)
            view = cv2.warpAffine(ground, window, (160, 128), flags=cv2.INTER_CUBIC)
            writer.write(np.asarray(view, np.uint8))
    index = build_cache(clip_files(root, ["clips"]), root / "cache")
    build_starts(root / "cache", list(index))
    build_bends(root / "cache", list(index))
    return open_cache(root / "cache", ["turns"])[0]


def test_a_cache_knows_how_motion_bends(turning: CachedClip) -> None:
    assert turning.bends is not None
    before, after = np.median(turning.bends[6, 0].astype(np.float32), axis=(2, 3))  # two frames: 2 px faster
    np.testing.assert_allclose(before, (2 / 8, 0), atol=0.08)
    np.testing.assert_allclose(after, (2 / 8, 0), atol=0.08)
    first = int(np.flatnonzero(turning.usable[:, 0])[0])
    assert not turning.bends[first, 0, 0].any(), "nothing is known before the first"


def test_bends_turn_as_the_frames_do(turning: CachedClip) -> None:
    """A flow that starts off straight leads nearer to what is in both ends when it is bent."""
    config = TripletConfig(
        gaps=(1.0, 0.0, 0.0), rescaled=0.5, off_middle=0.0, start=True, start_dropped=0.0,
        bend=True, before_dropped=0.0, after_dropped=0.0,
    )  # fmt: skip
    source = TripletSource(config, [turning], seed=5)
    better = []
    for index in range(40):
        sample = source.sample(index, 64)
        bends = sample["bend"].reshape(2, 2, 8, 8)
        for bend in bends[[side.any() for side in bends]]:
            flow = sample["start"].reshape(2, 2, 8, 8)
            error = []
            for aside in (0, bend):
                made = sum(
                    warp_grid(
                        torch.from_numpy(sample[end])[None].float(),
                        enlarge(torch.from_numpy(np.float32(part - aside))[None], 8) * 8,
                    )
                    for end, part in zip(("first", "second"), flow, strict=True)
                )
                real = torch.from_numpy(sample["target"])[None].float()
                error.append((made / 2 - real)[..., 20:-20, 20:-20].square().mean())
            better.append(bool(error[1] < error[0]))
    assert len(better) > 40
    assert sum(better) > 0.85 * len(better)


def test_bends_are_dropped_now_and_then(turning: CachedClip) -> None:
    config = TripletConfig(start=True, start_dropped=0.0, bend=True, before_dropped=1.0, after_dropped=0.5)
    told = [TripletSource(config, [turning], seed=5).sample(index, 64)["bend"] for index in range(40)]
    assert not any(bend[:2].any() for bend in told)
    assert 4 < sum(bool(bend[2:].any()) for bend in told) < 36


@pytest.mark.parametrize("kind", ["dissolved", "held", "still", "sparks"])
def test_samples_whose_motion_cannot_be_told(turning: CachedClip, kind: str) -> None:
    plain: dict[str, Any] = {"start": True, "start_dropped": 0.0, "bend": True, "before_dropped": 0.0}
    plain |= {"after_dropped": 0.0, "gaps": (1.0, 0.0, 0.0), "rescaled": 0.0}
    made: dict[str, Any] = {**plain, kind: 1.0}
    before, source = (TripletSource(TripletConfig(**given), [turning], seed=5) for given in (plain, made))
    for index in range(12):
        was, sample = before.sample(index, 64), source.sample(index, 64)
        assert {name: (x.shape, x.dtype) for name, x in sample.items()} == {
            name: (x.shape, x.dtype) for name, x in was.items()
        }
        first, target, second = (sample[name].astype(float) for name in ("first", "target", "second"))
        changed = [float(np.abs(sample[end] - was[end].astype(float)).mean()) for end in ("first", "second")]
        away = [float(np.abs(end - target).mean()) for end in (first, second)]
        if kind == "dissolved":
            assert min(changed) > 3
        elif kind == "held":
            assert min(away) < 3 < max(away), "it shows one of its ends"
            still = [np.allclose(sample["bend"][side], was["start"][side] / 4) for side in SIDES]
            assert any(still), "a pair beside it stands still"
        elif kind == "still":
            assert max(away) < 3
            assert np.abs(sample["start"]).mean() < 0.1 * np.abs(was["start"]).mean() + 0.05
        else:
            brighter = sample["first"] > was["first"]
            assert 0.001 < brighter.mean() < 0.5
            assert (sample["first"] >= was["first"]).all(), "sparks are light"


SIDES = slice(0, 2), slice(2, 4)


@pytest.mark.parametrize("shares", [{"held": -0.1}, {"held": 0.6, "still": 0.5}])
def test_shares_of_samples_are_shares(shares: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="in all"):
        TripletConfig(**shares)


def test_noise_is_added_to_the_ends_alone(clips: list[CachedClip]) -> None:
    clean, noisy = (TripletSource(TripletConfig(noisy=share), clips, 5) for share in (0.0, 1.0))
    strengths = []
    for index in range(12):
        one, other = clean.sample(index, 96), noisy.sample(index, 96)
        np.testing.assert_array_equal(one["target"], other["target"])
        np.testing.assert_array_equal(one["flow"], other["flow"])
        added = [np.abs(one[end].astype(int) - other[end]).mean() for end in ("first", "second")]
        assert min(added) > 0.4
        strengths.append(np.mean(added))
    assert max(strengths) < 6
    assert np.ptp(strengths) > 0.5


def test_a_sample_follows_from_its_index(clips: list[CachedClip]) -> None:
    config = TripletConfig(crops=(64, 96), crop_steps=(0, 10))
    ones, others = (TripletSource(config, clips, seed=2) for _ in range(2))
    for index in (0, 7):
        one, other = ones.sample(index, 64), others.sample(index, 64)
        assert all(np.array_equal(one[name], other[name]) for name in one)
        assert one["first"].shape == (3, 64, 64)
        assert one["flow"].shape == (4, 8, 8)
        assert 0 < float(one["t"][0]) < 1
    assert [config.crop_at(step) for step in (0, 9, 10, 99)] == [64, 64, 96, 96]


def test_other_times_than_the_middle(clips: list[CachedClip]) -> None:
    source = TripletSource(TripletConfig(gaps=(0.0, 0.5, 0.5), off_middle=0.5), clips[:1], seed=1)
    times = {round(float(source.sample(index, 64)["t"][0]), 3) for index in range(60)}
    assert times <= {0.167, 0.25, 0.333, 0.5, 0.667, 0.75, 0.833}
    assert len(times) > 3


def test_nothing_to_learn_from(clips: list[CachedClip], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no clip of the cache has a triplet"):
        TripletSource(TripletConfig(), clips[1:], seed=0)
    with pytest.raises(DataError, match="holds no video"):
        clip_files(tmp_path, ["none"])
    for options in ({"crops": (60,)}, {"crops": (64, 96)}, {"gaps": (1.0,)}):
        with pytest.raises(OptionError):
            TripletConfig(**options)


def test_the_frame_before_a_pair(clips: list[CachedClip]) -> None:
    """It is as far before the first as the second is behind it, in whichever direction time runs."""
    source = TripletSource(TripletConfig(before=True, gaps=(1.0, 0.0, 0.0), rescaled=0.0), clips[:1], seed=3)
    seen = 0
    for index in range(30):
        sample = source.sample(index, 96)
        frames = {n: sample[n].astype(float) for n in ("before", "first", "second")}
        if not sample["seen"]:
            continue
        seen += 1
        near, far = (np.abs(frames["before"] - frames[name]).mean() for name in ("first", "second"))
        assert 0 < near < far
    assert 5 < seen < 30
