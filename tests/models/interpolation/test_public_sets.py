"""Layouts of the public data sets that interpolators are trained on."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from framestate.errors import DataError, OptionError
from framestate.models.interpolation.datasets import mixed, vimeo, x4k_scenes, x4k_test
from framestate.models.interpolation.moments import MomentSource, open_sets


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth random picture."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def save(path: Path, height: int = 64, width: int = 96, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), texture(height, width, seed))


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """Tiny copies of Vimeo-90K (both forms) and X4K1000FPS, by their authors' layouts."""
    for form, prefix, count in (("vimeo_triplet", "tri", 3), ("vimeo_septuplet", "sep", 7)):
        for part, name in (("train", "00001/0001"), ("test", "00002/0003")):
            for number in range(1, count + 1):
                save(tmp_path / form / "sequences" / name / f"im{number}.png", seed=number)
            (tmp_path / form / f"{prefix}_{part}list.txt").write_text(f"{name}\n\n")
    for number in range(5):
        save(tmp_path / "X4K1000FPS/train/002/occ008.320" / f"{number:04d}.png", 128, 128, number)
    for number in range(33):
        save(tmp_path / "X4K1000FPS/test/Type1/TEST01_003_f0433" / f"{number:04d}.png", 32, 32)
    return tmp_path


def test_vimeo(public: Path) -> None:
    (triplet,) = vimeo(public / "vimeo_triplet", "test")
    assert (triplet.first.name, triplet.target.name, triplet.second.name) == ("im1.png", "im2.png", "im3.png")
    assert triplet.t == 0.5
    assert triplet.first.parent.name == "0003"
    (middle,) = vimeo(public / "vimeo_septuplet", "train", "septuplet")
    assert (middle.first.name, middle.target.name, middle.second.name) == ("im1.png", "im4.png", "im7.png")
    assert [picture.shape for picture in middle.pictures()] == [(64, 96, 3)] * 3
    times = [moment.t for moment in vimeo(public / "vimeo_septuplet", "train", "septuplet", any_time=True)]
    assert times == [number / 6 for number in range(1, 6)]


def test_x4k(public: Path) -> None:
    (scene,) = x4k_scenes(public / "X4K1000FPS")
    assert (scene.name, len(scene.frames)) == ("002/occ008.320", 5)
    rng = np.random.default_rng(0)
    for _ in range(20):
        moment = scene.draw(rng, 32)
        places = [int(path.stem) for path in (moment.first, moment.target, moment.second)]
        assert places[0] < places[1] < places[2]
        assert moment.t == (places[1] - places[0]) / (places[2] - places[0])
    moments = x4k_test(public / "X4K1000FPS")
    assert [moment.t for moment in moments] == [k / 8 for k in range(1, 8)]
    assert [moment.target.stem for moment in moments] == [f"{4 * k:04d}" for k in range(1, 8)]


def test_sets_are_mixed_batch_by_batch(public: Path) -> None:
    assert list(islice(mixed([2, 1]), 7)) == [0, 0, 1, 0, 0, 1, 0]
    sets = open_sets(public, ["vimeo-septuplet:vimeo_septuplet", "x4k:X4K1000FPS"])
    source = MomentSource(sets, [2, 1], seed=0, batch=2)
    sides = [source.sample(index, 128)["first"].shape[1] for index in range(12)]
    assert sides == [64, 64, 64, 64, 128, 128] * 2  # what fits the frames of each set
    assert all(source.sample(index, 32)["known"] == 0 for index in range(4))


def test_moments_that_cannot_be_read_are_counted(tiny_set: Callable[[str], Path]) -> None:
    root = tiny_set("vimeo-triplet")
    (root / "tri_testlist.txt").rename(root / "tri_trainlist.txt")
    source = MomentSource(open_sets(root.parent, ["vimeo-triplet:vimeo-triplet"]), [1], seed=0)
    whole = [source.sample(index, 32)["first"].tobytes() for index in range(8)]
    assert source.skipped == 0
    (root / "sequences" / "00001" / "0001" / "im1.png").write_bytes(b"no image")
    source = MomentSource(source.sets, [1], seed=0)
    for index in range(8):
        assert source.sample(index, 32)["target"].any()
    assert source.skipped > 0
    assert len(set(whole)) > 1
    (root / "sequences" / "00001" / "0002" / "im3.png").unlink()
    with pytest.raises(DataError, match="moments can be read"):
        source.sample(0, 32)


def damage_list(public: Path) -> None:
    (public / "vimeo_triplet/tri_testlist.txt").write_text("../../etc\n")


def lose_list(public: Path) -> None:
    (public / "vimeo_triplet/tri_testlist.txt").unlink()


def lose_image(public: Path) -> None:
    (public / "vimeo_triplet/sequences/00002/0003/im2.png").unlink()


def another_size(public: Path) -> None:
    save(public / "vimeo_triplet/sequences/00002/0003/im2.png", 32, 32)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (damage_list, r"names '\.\./\.\./etc'"),
        (lose_list, "cannot be read"),
        (lose_image, r"im2\.png cannot be read"),
        (another_size, "images of different sizes"),
    ],
)
def test_a_damaged_set(public: Path, damage: Callable[[Path], None], said: str) -> None:
    damage(public)
    with pytest.raises(DataError, match=said):
        vimeo(public / "vimeo_triplet", "test")[0].pictures()


def test_folders_that_are_no_set(tmp_path: Path, public: Path) -> None:
    for call in (x4k_scenes, x4k_test):
        with pytest.raises(DataError, match="holds no"):
            call(tmp_path / "nothing")
    (public / "X4K1000FPS/test/Type1/TEST01_003_f0433/0032.png").unlink()
    with pytest.raises(DataError, match="32 frames, not 33"):
        x4k_test(public / "X4K1000FPS")
    for entry in ("vimeo:x", "x4k", "x4k:"):
        with pytest.raises(OptionError, match="is unknown"):
            open_sets(public, [entry])
    with pytest.raises(OptionError, match="ratio"):
        MomentSource(open_sets(public, ["x4k:X4K1000FPS"]), [1, 2], seed=0)
