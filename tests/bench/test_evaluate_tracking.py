"""Running trackers over sequences, and what is reported of them."""

from __future__ import annotations

import io
import json
import math
import sys
from pathlib import Path

import pytest
from framestate.bench.evaluate_tracking import Progress, TrackingResults, evaluate_tracking
from framestate.bench.ope import THRESHOLDS
from framestate.bench.peers import open_peer
from framestate.bench.report import sequence_table, success_plot, tracking_table
from framestate.bench.runs import PeerTracker
from framestate.bench.sequences import load_sequences
from framestate.errors import DataError, OptionError, RuntimeUnavailableError, StepError
from framestate.vision.box import Box
from framestate.vision.frame import Frame
from rich.console import Console

from .conftest import MakeSequence, truth_box


class Oracle:
    """Knows the truth, up to a mistake of ``off`` pixels, and writes down the calls it gets."""

    def __init__(self, off: float = 0.0, calls: list[str] | None = None) -> None:
        self.off = off
        self.calls = [] if calls is None else calls

    def start(self, frame: Frame, box: Box) -> None:
        assert (frame.index, box) == (0, truth_box(0))
        self.calls.append(f"start {self.off:g}")

    def update(self, frame: Frame) -> Box:
        self.calls.append(f"update {self.off:g}")
        box = truth_box(frame.index)
        return Box(box.x + self.off, box.y, box.w, box.h)


class Faulty(Oracle):
    """Raises at one frame."""

    def __init__(self, at: int, error: Exception) -> None:
        super().__init__()
        self.at, self.error = at, error

    def start(self, frame: Frame, box: Box) -> None:
        if self.at == 0:
            raise self.error

    def update(self, frame: Frame) -> Box:
        if frame.index >= self.at:
            raise self.error
        return super().update(frame)


def test_the_result_has_the_agreed_shape(make_sequence: MakeSequence) -> None:
    root = make_sequence("one", 4).parent
    make_sequence("two", 6, video=True)
    results = evaluate_tracking({"oracle": Oracle(), "off": Oracle(8.0)}, load_sequences(root))
    assert json.loads(json.dumps(results)) == results
    assert set(results) == {"trackers"}
    assert list(results["trackers"]) == ["oracle", "off"]
    oracle = results["trackers"]["oracle"]
    assert {"auc", "precision20", "ao", "sr50", "sr75", "fps", "sequences"} <= set(oracle)
    assert {"auc", "ao", "fps", "frames"} <= set(oracle["sequences"]["one"])
    assert [one["frames"] for one in oracle["sequences"].values()] == [4, 6]
    assert oracle["auc"] == pytest.approx(20 / 21)
    assert (oracle["precision20"], oracle["ao"], oracle["sr50"], oracle["sr75"]) == (1, 1, 1, 1)
    assert oracle["failures"] == 0
    assert len(oracle["success"]) == len(THRESHOLDS)
    off = results["trackers"]["off"]
    assert off["ao"] == pytest.approx(1 / 3)  # half of 16 px is shared
    assert off["sr50"] == 0


def test_trackers_take_turns_on_each_sequence(make_sequence: MakeSequence) -> None:
    root = make_sequence("one", 2).parent
    make_sequence("two", 2)
    calls: list[str] = []
    evaluate_tracking({"a": Oracle(0, calls), "b": Oracle(1, calls)}, load_sequences(root))
    assert calls == ["start 0", "update 0", "start 1", "update 1"] * 2


def test_only_updates_are_timed(make_sequence: MakeSequence, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        now = 0.0

        def perf_counter(self) -> float:
            self.now += 0.125  # reading it takes an eighth of a second
            return self.now

    class Slow(Oracle):
        def start(self, frame: Frame, box: Box) -> None:
            clock.now += 100

        def update(self, frame: Frame) -> Box:
            clock.now += 0.375
            return super().update(frame)

    clock = Clock()
    monkeypatch.setattr("framestate.bench.runs.time", clock)
    root = make_sequence("one", 6).parent
    make_sequence("two", 3)
    slow = evaluate_tracking({"slow": Slow()}, load_sequences(root))["trackers"]["slow"]
    assert slow["fps"] == 2.0
    assert [one["fps"] for one in slow["sequences"].values()] == [2.0, 2.0]


def test_progress_is_reported_frame_by_frame(make_sequence: MakeSequence) -> None:
    root = make_sequence("one", 3).parent
    seen: list[Progress] = []
    evaluate_tracking({"a": Oracle(), "b": Oracle()}, load_sequences(root), progress=seen.append)
    assert [(one.tracker, one.frame, one.frames, one.done, one.total) for one in seen] == [
        ("a", 1, 3, 1, 6),
        ("a", 2, 3, 2, 6),
        ("a", 3, 3, 3, 6),
        ("b", 1, 3, 4, 6),
        ("b", 2, 3, 5, 6),
        ("b", 3, 3, 6, 6),
    ]
    assert {one.sequence for one in seen} == {"one"}


@pytest.mark.parametrize("error", [StepError("It broke", "Mend it."), ZeroDivisionError("division")])
@pytest.mark.parametrize("at", [0, 3])
def test_a_tracker_that_fails_is_reported_and_counted_as_missing(
    make_sequence: MakeSequence, at: int, error: Exception
) -> None:
    root = make_sequence("one", 6).parent
    results = evaluate_tracking({"faulty": Faulty(at, error), "fine": Oracle()}, load_sequences(root))
    faulty = results["trackers"]["faulty"]
    assert faulty["failures"] == 1
    assert f"frame {at}: " in faulty["sequences"]["one"]["error"]
    assert str(error) in faulty["sequences"]["one"]["error"]
    assert faulty["success"][0] == pytest.approx(max(at - 1, 0) / 5)
    assert results["trackers"]["fine"]["failures"] == 0
    assert "error" not in results["trackers"]["fine"]["sequences"]["one"]


def test_answers_that_are_not_boxes_are_misses(make_sequence: MakeSequence) -> None:
    root = make_sequence("one", 5).parent
    results = evaluate_tracking({"nan": Oracle(math.nan)}, load_sequences(root))
    assert results["trackers"]["nan"]["ao"] == 0
    assert json.dumps(results, allow_nan=False)


def test_what_is_wrong_with_the_data_is_raised(make_sequence: MakeSequence) -> None:
    root = make_sequence("one", 5, lines=["10,8,16,16"] * 6).parent
    with pytest.raises(DataError, match="has 5 frames"):
        evaluate_tracking({"static": PeerTracker(open_peer("static"))}, load_sequences(root))


def test_there_must_be_trackers_and_sequences(make_sequence: MakeSequence) -> None:
    sequences = load_sequences(make_sequence())
    with pytest.raises(OptionError, match="no tracker"):
        evaluate_tracking({}, sequences)
    with pytest.raises(DataError, match="no sequence"):
        evaluate_tracking({"oracle": Oracle()}, [])
    with pytest.raises(OptionError, match="same name"):
        evaluate_tracking({"oracle": Oracle()}, [*sequences, *sequences])


def test_a_lost_peer_keeps_its_last_box(make_sequence: MakeSequence) -> None:
    class Loser:
        def __init__(self) -> None:
            self.answers: list[Box | None] = [None, Box(1, 2, 3, 4), None]

        def start(self, image_rgb: object, box: Box) -> None: ...

        def update(self, image_rgb: object) -> Box | None:
            return self.answers.pop(0)

        def score(self) -> float:
            return math.nan

    frames = list(load_sequences(make_sequence())[0].frames())
    tracker = PeerTracker(Loser())
    tracker.start(frames[0], Box(9, 9, 9, 9))
    found = [tracker.update(frame) for frame in frames[1:4]]
    assert found == [Box(9, 9, 9, 9), Box(1, 2, 3, 4), Box(1, 2, 3, 4)]


@pytest.fixture
def results(make_sequence: MakeSequence) -> TrackingResults:
    root = make_sequence("one", 4).parent
    trackers = {
        "worse": Oracle(8.0),
        "broken": Faulty(1, StepError("It broke", "Mend it.")),
        "best": Oracle(),
    }
    return evaluate_tracking(trackers, load_sequences(root))


def test_the_tables_rank_trackers_and_name_failures(results: TrackingResults) -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(tracking_table(results))
    console.print(sequence_table(results))
    text = console.export_text()
    assert text.index("best") < text.index("worse")
    assert "failed on" in text
    assert "0.952" in text
    assert "decoding excluded" in text
    assert "AUC by sequence" in text


def test_the_success_plot_is_written(results: TrackingResults, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = success_plot(results, tmp_path / "success.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_plot_says_what_to_install(
    results: TrackingResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(RuntimeUnavailableError, match=r"framestate\[bench\]"):
        success_plot(results, tmp_path / "success.png")
