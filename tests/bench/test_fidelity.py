from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from framestate.bench.fidelity import (
    PERFECT_DB,
    interpolation_error,
    psnr,
    rounded,
    ssim,
    ssim_matlab,
)
from framestate.errors import DataError


def noise(seed: int, height: int = 40, width: int = 50) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("step", [1, 5, 55])
def test_psnr_of_a_constant_difference(step: int) -> None:
    image = noise(0)
    assert psnr(image, image + np.uint8(step)) == pytest.approx(20 * math.log10(255 / step))


def test_equal_images() -> None:
    assert psnr(noise(0), noise(0)) == PERFECT_DB
    assert ssim(noise(0), noise(0)) == pytest.approx(1)


def test_ssim_as_its_paper_has_it() -> None:
    """Between two flat images only the luminance term is left."""
    dark, light = np.full((30, 30, 3), 60, np.uint8), np.full((30, 30, 3), 120, np.uint8)
    constant = (0.01 * 255) ** 2
    assert ssim(dark, light) == pytest.approx(
        (2 * 60 * 120 + constant) / (60**2 + 120**2 + constant), rel=1e-5
    )


def test_ssim_slides_one_window_over_the_image() -> None:
    """The one place where a window of 11 pixels fits into an image of 11 pixels, computed in float64."""
    one, other = noise(1, 11, 11).astype(float), noise(2, 11, 11).astype(float)
    ramp = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(ramp, ramp)[..., None] / np.outer(ramp, ramp).sum()

    def mean(image: np.ndarray) -> np.ndarray:
        return np.asarray((window * image).sum((0, 1)))

    a, b = mean(one), mean(other)
    first, second = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    spread = mean(one**2) - a**2 + mean(other**2) - b**2
    value = (2 * a * b + first) * (2 * (mean(one * other) - a * b) + second)
    truth = (value / ((a**2 + b**2 + first) * (spread + second))).mean()
    assert ssim(one.astype(np.uint8), other.astype(np.uint8)) == pytest.approx(truth, abs=1e-4)


def test_more_noise_is_worse() -> None:
    image = noise(0)
    worse = [np.clip(image + np.random.default_rng(1).normal(0, s, image.shape), 0, 255).astype(np.uint8) for s in (2, 8, 30)]  # fmt: skip # noqa: E501
    for score in (psnr, ssim):
        scores = [score(image, one) for one in worse]
        assert scores == sorted(scores, reverse=True)
        assert score(worse[0], image) == pytest.approx(scores[0])


def test_sizes_must_agree() -> None:
    for score in (psnr, ssim):
        with pytest.raises(DataError, match=r"\(40, 50, 3\) and \(50, 40, 3\)"):
            score(noise(0), noise(0, 50, 40))
    assert ssim(noise(0, 3, 4), noise(0, 3, 4)) == pytest.approx(1)


def window_over_colours(one: np.ndarray, other: np.ndarray) -> float:
    """SSIM with a Gaussian window in three dimensions, as an ordinary convolution of PyTorch in float64."""
    torch = pytest.importorskip("torch")
    ramp = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    ramp /= ramp.sum()
    window = torch.from_numpy(np.einsum("i,j,k->ijk", ramp, ramp, ramp))[None, None]
    a, b = (
        torch.from_numpy(image.transpose(2, 0, 1).astype(float) / 255)[None, None] for image in (one, other)
    )

    def mean(volume: Any) -> Any:
        padded = torch.nn.functional.pad(volume, (5,) * 6, mode="replicate")
        return torch.nn.functional.conv3d(padded, window)

    mean_a, mean_b = mean(a), mean(b)
    spread = mean(a * a) - mean_a**2 + mean(b * b) - mean_b**2
    joint = mean(a * b) - mean_a * mean_b
    value = (2 * mean_a * mean_b + 0.01**2) * (2 * joint + 0.03**2)
    return float((value / ((mean_a**2 + mean_b**2 + 0.01**2) * (spread + 0.03**2))).mean())


@pytest.mark.parametrize("strength", [3, 40])
def test_ssim_as_the_benchmarks_of_interpolation_have_it(strength: int) -> None:
    image = noise(0)
    other = np.clip(image + np.random.default_rng(1).normal(0, strength, image.shape), 0, 255)
    whole = other.astype(np.uint8)
    assert ssim_matlab(image, whole) == pytest.approx(window_over_colours(image, whole), abs=2e-5)
    levels = other.astype(np.float32)
    assert ssim_matlab(levels, image) == pytest.approx(window_over_colours(levels, image), abs=2e-5)
    swapped = ssim_matlab(image[..., ::-1], whole[..., ::-1])
    assert swapped == pytest.approx(ssim_matlab(image, whole))  # blue first or red first is all one
    with pytest.raises(DataError, match="smaller than the window"):
        ssim_matlab(noise(0, 10, 40), noise(1, 10, 40))


def test_rounding_costs_what_it_must() -> None:
    """Whole levels differ from what was meant by a uniform error: 1/12 of a level squared."""
    truth = noise(0, 200, 200) + np.uint8(25)  # nothing is cut off
    meant = (truth + np.random.default_rng(2).normal(0, 3, truth.shape)).astype(np.float32).clip(0, 255)
    assert rounded(meant).dtype == np.uint8
    exact = np.mean((meant - truth) ** 2)
    assert psnr(meant, truth) == pytest.approx(10 * math.log10(255**2 / exact), abs=1e-3)
    assert psnr(rounded(meant), truth) == pytest.approx(10 * math.log10(255**2 / (exact + 1 / 12)), abs=0.01)
    np.testing.assert_array_equal(rounded(np.array([-3, 0.4, 0.6, 300], np.float32)), [0, 0, 1, 255])
    assert interpolation_error(truth, truth + np.uint8(2)) == 2
