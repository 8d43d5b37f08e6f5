"""An LRU that tells odd frames, by what it did not expect; its expectation begins as it was given."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip("torch")


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_it_finds_the_odd_frames(example: ModuleType, tmp_path: Path) -> None:
    bundle = example.make(tmp_path / "anomaly")
    assert set(bundle.spec.functions) == {"init", "step"}
    assert {one.name: one.shape[1:] for one in bundle.spec.state} == {
        "state": (2, example.STATES), "expected": (example.CELLS,),
    }  # fmt: skip
    images, odd = example.odd_clip()
    scores = example.scores(bundle, images)
    usual = np.median(scores)
    strange = {index for index, score in enumerate(scores) if index and score > 5 * usual}
    assert strange == {odd.start, odd.stop}  # where it leaves the clip, and where it comes back
