"""BoxFilter's four small filters against one of filterpy with full matrices of eight numbers."""

from __future__ import annotations

import numpy as np
import pytest
from filterpy.kalman import KalmanFilter
from framestate.engine.tracking.filter_options import FilterOptions
from framestate.engine.tracking.kalman import BoxFilter
from framestate.vision import Box

from .followed import matrices

OPTIONS = FilterOptions()


def full_filter(ours: BoxFilter) -> KalmanFilter:
    oracle = KalmanFilter(dim_x=8, dim_z=4)
    oracle.H = np.eye(4, 8)
    oracle.x, oracle.P = matrices(ours)
    return oracle


def move(oracle: KalmanFilter, dt: float) -> None:
    """Constant velocity, with white noise on value and velocity as shares of the target's size."""
    w, h = oracle.x[2:4]
    units = np.array([w * h, w * h, w * w, h * h])
    transition, noise = np.eye(8), np.zeros((8, 8))
    transition[:4, 4:] = dt * np.eye(4)
    drift = OPTIONS.velocity_std**2
    noise[:4, :4] = np.diag(units * (OPTIONS.position_std**2 * dt + drift * dt**3 / 3))
    noise[:4, 4:] = noise[4:, :4] = np.diag(units * drift * dt**2 / 2)
    noise[4:, 4:] = np.diag(units * drift * dt)
    oracle.predict(F=transition, Q=noise)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_filter_of_filterpy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ours = BoxFilter(Box(300, 200, 80, 50), OPTIONS)
    oracle = full_filter(ours)
    for number in range(200):
        dt = float(rng.uniform(0.2, 3.0))
        box = Box.from_centre(340 + 2.0 * number, 225 - 1.0 * number, *(rng.normal((80, 50), 1.5)))
        std = rng.uniform(3.0, 6.0, 4)  # between floor and ceiling
        ours.predict(dt)
        move(oracle, dt)
        np.testing.assert_allclose(matrices(ours)[1], oracle.P, rtol=1e-9, atol=1e-12)
        cx, cy = box.centre
        measured = np.array([cx, cy, box.w, box.h])
        trust = np.diag(std**2)
        oracle.update(measured, R=trust)
        distance = oracle.y @ oracle.SI @ oracle.y
        assert ours.gate(box, std) == pytest.approx(distance, rel=1e-9)
        ours.update(box, std)
        np.testing.assert_allclose(matrices(ours)[0], oracle.x, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(matrices(ours)[1], oracle.P, rtol=1e-9, atol=1e-12)
