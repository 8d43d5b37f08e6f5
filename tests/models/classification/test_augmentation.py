"""What is done to training pictures: by its seed, within its bounds, and no more than was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from framestate.errors import OptionError
from framestate.models.classification.augment import AugmentConfig, augment, cropped, erase
from framestate.models.classification.mixing import cut_box, mix, targets_of
from framestate.models.classification.policies import (
    AUTOAUGMENT,
    OPERATIONS,
    RANDAUGMENT,
    autoaugment,
    operate,
    randaugment,
)
from framestate.vision.views import middle_square, standardise
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

PLAIN: dict[str, Any] = {"crop": 0, "flip": False, "policy": "none", "erasing": 0.0}
GREY, ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


def picture(seed: int = 0, side: int = 32) -> np.ndarray[Any, np.dtype[np.uint8]]:
    rng = np.random.default_rng(seed)
    return np.kron(rng.integers(0, 256, (4, 4, 3)), np.ones((side // 4, side // 4, 1))).astype(np.uint8)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_nothing_asked_for_is_nothing_done() -> None:
    image = picture()
    planes = augment(image, rng(), AugmentConfig(**PLAIN), GREY, ONE)
    assert np.allclose(planes * 255, image.transpose(2, 0, 1))


def test_standardised_pictures_have_no_mean_and_a_deviation_of_one() -> None:
    image = picture(3)
    mean, std = image.mean((0, 1)) / 255, image.std((0, 1)) / 255
    planes = standardise(image, tuple(mean), tuple(std))
    assert np.allclose(planes.mean((1, 2)), 0, atol=1e-5)
    assert np.allclose(planes.std((1, 2)), 1, atol=1e-5)
    assert planes.dtype == np.float32


@pytest.mark.parametrize("policy", ["autoaugment", "randaugment", "none"])
def test_a_seed_says_it_all(policy: str) -> None:
    config = AugmentConfig(policy=policy)
    made = [augment(picture(), rng(seed), config, GREY, ONE) for seed in (5, 5, 6)]
    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])
    assert made[0].shape == (3, 32, 32)


@given(seed=st.integers(0, 10**6))
def test_a_crop_is_a_part_of_the_picture_with_a_black_border(seed: int) -> None:
    image = picture(1) // 2 + 100  # nowhere black
    part = cropped(image, rng(seed), 4)
    wide = np.pad(image, ((4, 4), (4, 4), (0, 0)))
    places = [
        (y, x) for y in range(9) for x in range(9) if np.array_equal(part, wide[y : y + 32, x : x + 32])
    ]
    assert places


def test_half_are_mirrored() -> None:
    image = picture()
    config = AugmentConfig(**{**PLAIN, "flip": True})
    made = [augment(image, rng(seed), config, GREY, ONE) for seed in range(400)]
    straight = standardise(image, GREY, ONE)
    kept = sum(np.array_equal(one, straight) for one in made)
    assert 160 < kept < 240
    assert all(np.array_equal(one, straight) or np.array_equal(one[..., ::-1], straight) for one in made)


@given(seed=st.integers(0, 10**6))
def test_one_rectangle_is_erased_within_its_bounds(seed: int) -> None:
    planes = np.ones((3, 32, 32), np.float32)
    erase(planes, rng(seed))
    gone = planes == 0
    assert (gone == gone[:1]).all()
    ys, xs = np.nonzero(gone[0])
    tall, wide = np.ptp(ys) + 1, np.ptp(xs) + 1
    assert tall * wide == gone[0].sum()
    assert 0.01 <= gone[0].mean() <= 0.36
    assert 0.2 < tall / wide < 4.5


def test_erasing_happens_as_often_as_asked() -> None:
    config = AugmentConfig(**{**PLAIN, "erasing": 0.25})
    image = picture() // 2 + 100
    erased = [(augment(image, rng(seed), config, GREY, ONE) == 0).any() for seed in range(400)]
    assert 70 < sum(erased) < 130


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_keeps_a_picture_a_picture(name: str) -> None:
    image = Image.fromarray(picture())
    for strength in (0.0, 0.3, 1.0):
        made = operate(image, name, strength, rng(1))
        assert (made.size, made.mode) == ((32, 32), "RGB")
    signed = OPERATIONS[name][1]
    if signed:  # no amount changes nothing
        assert np.array_equal(np.asarray(operate(image, name, 0.0, rng())), np.asarray(image))
    if name != "identity":
        busy = Image.fromarray(picture(2) // 3 + 60)
        assert not np.array_equal(np.asarray(operate(busy, name, 1.0, rng())), np.asarray(busy))


@pytest.mark.parametrize(("name", "axis"), [("translate_x", 1), ("translate_y", 0)])
def test_a_translation_goes_its_way_in_either_direction(name: str, axis: int) -> None:
    image = picture()
    ways = set()
    for seed in range(20):
        made = np.asarray(operate(Image.fromarray(image), name, 4 / 32 / 0.45, rng(seed)))
        for shift in (4, -4):
            inner = [slice(4, -4), slice(4, -4)]
            if np.array_equal(made[tuple(inner)], np.roll(image, shift, axis)[tuple(inner)]):
                ways.add(shift)
    assert ways == {4, -4}


def test_the_policy_is_whole() -> None:
    assert len(AUTOAUGMENT) == 25
    for pair in AUTOAUGMENT:
        for name, chance, strength in pair:
            assert name in OPERATIONS
            assert 0 <= chance <= 1
            assert 0 <= strength <= 9
    assert len(RANDAUGMENT) == 14
    image = Image.fromarray(picture())
    for policy in (autoaugment, randaugment):
        made = {np.asarray(policy(image, rng(seed))).tobytes() for seed in range(100)}
        assert len(made) > 30


@given(seed=st.integers(0, 10**6), mixup=st.sampled_from([0.0, 0.8]), cutmix=st.sampled_from([0.0, 1.0]))
def test_targets_are_mixed_as_the_pictures_are(seed: int, mixup: float, cutmix: float) -> None:
    """Pictures that show their own label: what a mixed one shows is what its target says."""
    labels = torch.arange(6)
    images = torch.zeros(6, 6, 8, 8)
    images[labels, labels] = 1.0
    targets = targets_of(labels, 6, 0.0)
    mixed, soft = mix(rng(seed), images, targets, mixup, cutmix)
    torch.testing.assert_close(mixed.mean((2, 3)), soft)
    torch.testing.assert_close(soft.sum(1), torch.ones(6))
    if not mixup and not cutmix:
        assert torch.equal(mixed, images)
    assert torch.equal(images.sum((1, 2, 3)), torch.full((6,), 64.0))  # what was given is left alone


@given(seed=st.integers(0, 10**6), kept=st.floats(0, 1))
def test_a_cut_lies_in_the_picture(seed: int, kept: float) -> None:
    top, left, bottom, right = cut_box(rng(seed), 20, 30, kept)
    assert 0 <= top <= bottom <= 20
    assert 0 <= left <= right <= 30
    assert (bottom - top) * (right - left) <= (1 - kept) * 600 + 1e-6


def test_smoothed_targets_keep_their_mass() -> None:
    soft = targets_of(torch.tensor([1, 3]), 5, 0.1)
    torch.testing.assert_close(soft.sum(1), torch.ones(2))
    assert soft[0].tolist() == pytest.approx([0.02, 0.92, 0.02, 0.02, 0.02])


@pytest.mark.parametrize("shape", [(32, 32), (50, 90), (90, 50), (20, 31), (1, 7)])
def test_the_middle_square(shape: tuple[int, int]) -> None:
    height, width = shape
    image = np.zeros((height, width, 3), np.uint8)
    side = min(shape)
    top, left = (height - side) // 2, (width - side) // 2
    image[top : top + side, left : left + side] = (10, 200, 90)
    seen = middle_square(image, 32)
    assert seen.shape == (32, 32, 3)
    assert (seen == (10, 200, 90)).all()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"policy": "best"}, "policy is 'best'"),
        ({"erasing": 1.5}, "erasing is 1.5"),
        ({"smoothing": -0.1}, "smoothing is -0.1"),
        ({"mixup": -1.0}, "mixup is -1.0"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        AugmentConfig(**options)
