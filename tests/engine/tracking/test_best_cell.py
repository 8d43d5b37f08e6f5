"""The best cell is the one that every cell's worth says, however few of them were worked out."""

from __future__ import annotations

import numpy as np
import pytest
from framestate.engine.tracking import TrackingOptions
from framestate.engine.tracking.best_cell import BestCell, change_penalty, hann_window
from hypothesis import given
from hypothesis import strategies as st

GRID = 12


def worths(
    score: np.ndarray, sides: np.ndarray, before: tuple[float, float], o: TrackingOptions
) -> np.ndarray:
    """Of all cells, as the module's first lines say it."""
    return score * change_penalty(sides, before, o.change) * (1 - o.window) + hann_window(GRID) * np.float32(
        o.window
    )


def best(
    score: np.ndarray, sides: np.ndarray, before: tuple[float, float], o: TrackingOptions
) -> tuple[int, int]:
    return divmod(int(worths(score, sides, before, o).argmax()), GRID)


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    st.sampled_from([-0.05, 0.0, 0.06, 0.25, 30.0]),
    st.sampled_from([1.0, 8.0, 60.0]),
    st.sampled_from([-1.0, 0.0, 0.7, 40.0]),
    st.sampled_from([0.02, 0.2, 0.7]),
)
def test_it_is_the_same_cell(
    seed: int, window: float, change: float, sharp: float, level: float, spread: float
) -> None:
    """Of sharp and flat maps, of scores below 0 and far above 1, of sizes alike and of all kinds."""
    rng = np.random.default_rng(seed)
    score = (level * rng.random((GRID, GRID)) ** sharp).astype(np.float32)
    sides = (0.25 * np.exp(spread * rng.normal(size=(2, GRID, GRID)))).astype(np.float32)
    o = TrackingOptions(window=window, change=change)
    before = (0.3, 0.2)
    assert BestCell(GRID, o)(score, sides, before) == best(score, sides, before, o)


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_the_first_of_equals(value: float) -> None:
    """Without window and penalty all cells are worth the same."""
    o = TrackingOptions(window=0.0, change=0.0)
    score, sides = np.full((GRID, GRID), value, np.float32), np.full((2, GRID, GRID), 0.25, np.float32)
    assert BestCell(GRID, o)(score, sides, (0.25, 0.25)) == (0, 0)
    score[3, 4] = score[7, 1] = 0.9
    assert BestCell(GRID, o)(score, sides, (0.25, 0.25)) == (3, 4)


def test_a_clear_case_needs_few_cells() -> None:
    """A sharp peak is found without the penalty of any other cell."""
    o = TrackingOptions(window=0.2, change=0.25)
    score, sides = np.full((GRID, GRID), 0.1, np.float32), np.full((2, GRID, GRID), 0.25, np.float32)
    score[5, 6] = 0.9
    choose = BestCell(GRID, o)
    sides[:, 0] = np.nan  # no other cell is looked at, or the answer would be one of these
    assert choose(score, sides, (0.25, 0.25)) == (5, 6)
