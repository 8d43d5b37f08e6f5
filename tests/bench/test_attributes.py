"""What makes a sequence hard: read beside it, or shown by its true boxes; and the AUC by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from framestate.bench.attributes import attributes_of, by_attribute, shown_by
from framestate.bench.evaluate_tracking import score_runs
from framestate.bench.report import attribute_table
from framestate.bench.runs import SequenceRun
from framestate.bench.sequences import TrackingSequence, load_sequence

PLAIN = np.array([[10.0, 10, 40, 40], [12, 10, 40, 40], [14, 10, 41, 40]])


@pytest.mark.parametrize(
    ("frame", "box", "attribute"),
    [
        (2, [14, 10, 60, 60], "scale variation"),
        (2, [14, 10, 60, 28], "aspect ratio change"),
        (2, [60, 10, 40, 40], "fast motion"),
        (2, [14, 10, 31, 31], "low resolution"),
        (1, [np.nan] * 4, "out of view"),
    ],
)
def test_boxes_show_what_makes_them_hard(frame: int, box: list[float], attribute: str) -> None:
    assert shown_by(PLAIN) == []
    truth = PLAIN.copy()
    truth[frame] = box
    assert shown_by(truth) == [attribute]


def test_a_step_over_frames_without_the_target_is_no_step() -> None:
    truth = np.vstack([PLAIN, [[np.nan] * 4], np.add(PLAIN, [200.0, 0, 0, 0])])
    assert shown_by(truth) == ["out of view"]


def test_the_folder_names_others(tmp_path: Path) -> None:
    (tmp_path / "groundtruth.txt").write_text("10,10,40,40\n12,10,40,40\n")
    (tmp_path / "video.mp4").write_bytes(b"")
    (tmp_path / "attributes.txt").write_text("motion blur\n\nlow resolution\n")
    assert attributes_of(load_sequence(tmp_path)) == ["low resolution", "motion blur"]


def test_each_attribute_has_the_mean_of_its_sequences() -> None:
    small = PLAIN * [1, 1, 0.5, 0.5]
    sequences = [
        TrackingSequence("a", Path(), PLAIN, attributes=("blur",)),
        TrackingSequence("b", Path(), small, attributes=("blur",)),
        TrackingSequence("c", Path(), PLAIN),
    ]
    seconds = np.full(3, 0.01)
    runs = {
        one.name: {"ours": SequenceRun(one.truth + shift, seconds, (200, 200))}
        for one, shift in zip(sequences, (0.0, 500.0, 0.0), strict=True)
    }
    table = by_attribute(score_runs(runs, sequences), sequences)
    assert list(table) == ["blur", "low resolution"]
    assert table["blur"] == {"sequences": 2, "ours": pytest.approx(10 / 21)}
    assert table["low resolution"] == {"sequences": 1, "ours": 0.0}
    assert attribute_table(table).row_count == 2
    assert attribute_table({}).row_count == 0
