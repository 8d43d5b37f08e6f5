from __future__ import annotations

import cv2
import numpy as np
import pytest
from framestate.bench.perception import PATCH, gmsd, haarpsi, motion_of, patch_errors
from framestate.errors import DataError
from framestate.vision.pixels import Image, as_uint8


def waves(height: int, width: int, place: float) -> Image:
    rows, columns = np.mgrid[:height, :width]
    parts = [np.sin((columns - 2 * place) / scale + rows / 9) for scale in (7, 11, 17)]
    return np.asarray(np.rint(120 + 90 * np.stack(parts, -1)), np.uint8)


@pytest.mark.parametrize(
    ("height", "width", "edges", "patterns"),
    [  # by piq 0.8.0 in float64
        (96, 128, 0.058310322883816115, 0.8455856621677783),
        (97, 128, 0.05786492728888567, 0.8486100121280951),
        (95, 131, 0.058192586495060095, 0.851081715312885),
    ],
)
def test_measures_are_those_of_piq(height: int, width: int, edges: float, patterns: float) -> None:
    one, other = waves(height, width, 0), waves(height, width, 1)
    assert gmsd(one, other) == pytest.approx(edges, abs=1e-6)
    assert haarpsi(one, other) == pytest.approx(patterns, abs=1e-6)
    assert gmsd(one, one) == 0
    assert haarpsi(one, one) == pytest.approx(1)
    black = np.zeros_like(one)
    assert haarpsi(black, black) == 1
    assert haarpsi(black, one) < 0.1


def test_a_ghost_is_worse_than_noise_of_the_same_psnr() -> None:
    rng = np.random.default_rng(0)
    real = as_uint8(cv2.GaussianBlur(rng.integers(0, 256, (96, 128, 3), dtype=np.uint8), (0, 0), 3))
    ghost = real.astype(np.float32)
    ghost[32:64, 40:72] = 0.5 * ghost[32:64, 40:72] + 0.5 * ghost[32:64, 48:80]
    error = float(np.sqrt(np.square(ghost - real).mean()))
    noisy = np.clip(real + rng.normal(0, error, real.shape), 0, 255)
    ghosts, noises = (as_uint8(np.rint(image).astype(np.uint8)) for image in (ghost, noisy))
    assert patch_errors(ghosts, real).most > 2 * patch_errors(noises, real).most


def test_the_worst_patch_is_where_it_is() -> None:
    real = np.full((70, 100, 3), 100, np.uint8)
    made = real.copy()
    made[2 * PATCH : 3 * PATCH, 4 * PATCH : 5 * PATCH] = 130
    found = patch_errors(made, real)
    assert (found.top, found.left, found.most) == (2 * PATCH, 4 * PATCH, 30.0)
    assert 0 < found.percentile <= 30


def test_motion_is_a_share_of_the_frame() -> None:
    rng = np.random.default_rng(1)
    canvas = cv2.GaussianBlur(rng.integers(0, 256, (120, 260, 3), dtype=np.uint8), (0, 0), 4)
    canvas = as_uint8(cv2.normalize(canvas, np.empty_like(canvas), 0, 255, cv2.NORM_MINMAX))
    assert motion_of(canvas[:, :200], canvas[:, :200]) == pytest.approx(0, abs=1e-3)
    assert motion_of(canvas[:, 10:210], canvas[:, :200]) == pytest.approx(10 / 200, rel=0.15)


def test_images_that_cannot_be_compared_are_refused() -> None:
    small = np.zeros((20, 40, 3), np.uint8)
    with pytest.raises(DataError, match="too small for HaarPSI"):
        haarpsi(small, small)
    for measure in (gmsd, haarpsi, patch_errors):
        with pytest.raises(DataError, match="cannot be compared"):
            measure(small, small[:10])
