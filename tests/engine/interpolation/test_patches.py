"""Frames mixed a band of patches at a time are those that are mixed whole."""

from __future__ import annotations

from typing import Any

import numpy as np
from framestate.engine.interpolation.patches import Mixer
from hypothesis import given
from hypothesis import strategies as st


def pixels(patches: Any, times: int) -> Any:
    """(1, channels times², h, w) as (1, channels, times h, times w)."""
    _, count, height, width = patches.shape
    apart = patches.reshape(1, count // times**2, times, times, height, width)
    return apart.transpose(0, 1, 4, 2, 5, 3).reshape(1, -1, times * height, times * width)


@given(st.sampled_from([2, 4]), st.integers(1, 40), st.integers(1, 9), st.integers(0, 39), st.integers(1, 40))
def test_bands_show_what_the_whole_does(times: int, height: int, width: int, start: int, count: int) -> None:
    rng = np.random.default_rng(height * width)
    start = min(start, height - 1)
    rows = slice(start, min(start + count, height))
    residual, share = (rng.random((1, n * times**2, height, width), dtype=np.float32) for n in (3, 1))
    one, other = (rng.random((1, 3, times * height, times * width), dtype=np.float32) for _ in range(2))
    expected = other + pixels(share, times) * (one - other) + pixels(residual, times)
    mixer, found = Mixer(), np.full_like(expected, np.nan)
    for _ in range(2):  # the second time in the same memory
        for part, first in mixer.mixed(residual, share, (one, other), rows):
            found[:, :, first : first + part.shape[2]] = part
    shown = slice(rows.start * times, rows.stop * times)
    assert np.allclose(found[:, :, shown], expected[:, :, shown], atol=1e-6)
    assert np.isnan(found[:, :, : shown.start]).all()
    assert np.isnan(found[:, :, shown.stop :]).all()
