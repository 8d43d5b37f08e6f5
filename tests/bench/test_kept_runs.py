"""Runs that are kept, made side by side, and shown where they fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from framestate.bench.evaluate_tracking import make_runs, score_runs
from framestate.bench.failures import ANSWERED, FRAMES, TRUE, failure_sheet, frames_to_show
from framestate.bench.lineup import Lineup
from framestate.bench.peers import PeerFiles
from framestate.bench.run_store import RunStore
from framestate.bench.runs import SequenceRun, run_sequence
from framestate.bench.sequences import TrackingSequence, load_sequences
from framestate.bench.side_by_side import make_runs_side_by_side
from framestate.bundles import load_bundle
from framestate.errors import DataError, OptionError, RunError
from framestate.vision.box import Box
from framestate.vision.frame import Frame
from framestate.vision.pixels import Image

from .conftest import MakeSequence

SETTINGS = {"layout": "framestate", "trackers": {"slides": {"version": 1}}}


class Slides:
    """Slides away from the target, and counts what it is asked; ``dies`` in the named sequence's frame 3."""

    def __init__(self, dies: bool = False) -> None:
        self.starts, self.updates, self.dies = 0, 0, dies
        self.box = Box(0, 0, 1, 1)

    def start(self, frame: Frame, box: Box) -> None:
        self.starts += 1
        self.box = box

    def update(self, frame: Frame) -> Box:
        self.updates += 1
        if self.dies and self.starts == 2 and frame.index == 3:
            raise KeyboardInterrupt
        return Box(self.box.x + 4 * frame.index, self.box.y, self.box.w, self.box.h)


@pytest.fixture
def sequences(make_sequence: MakeSequence) -> list[TrackingSequence]:
    folders = [make_sequence(name, 8) for name in ("a", "b", "c")]
    return load_sequences(folders[0].parent)


def like(picture: Image, colour: tuple[int, int, int]) -> int:
    """How many pixels are about of a colour."""
    return int((np.abs(picture.astype(int) - colour).max(-1) < 30).sum())


def equal(one: SequenceRun, other: SequenceRun) -> bool:
    return (
        np.array_equal(one.boxes, other.boxes, equal_nan=True)
        and np.array_equal(one.seconds, other.seconds, equal_nan=True)
        and (one.size, one.unreadable, one.error) == (other.size, other.unreadable, other.error)
    )


def test_a_run_survives_as_text() -> None:
    nan = float("nan")
    run = SequenceRun(
        np.array([[1.25, 2, 3, 4], [nan] * 4]), np.array([0.5, nan]), (640, 360), [1], "frame 1: it broke"
    )
    assert equal(SequenceRun.from_json(run.to_json()), run)
    for text in ("", "[]", "{}", '{"boxes": [[1]]}', run.to_json().replace("[0.5, null]", "[0.5]")):
        with pytest.raises(DataError):
            SequenceRun.from_json(text)


def test_a_stopped_evaluation_goes_on(sequences: list[TrackingSequence], tmp_path: Path) -> None:
    straight = make_runs({"slides": Slides()}, sequences)
    stopped = Slides(dies=True)
    with pytest.raises(KeyboardInterrupt):
        make_runs({"slides": stopped}, sequences, store=RunStore(tmp_path / "out", SETTINGS))
    again = Slides()
    seen: list[int] = []
    runs = make_runs(
        {"slides": again},
        sequences,
        store=RunStore(tmp_path / "out", SETTINGS),
        progress=lambda place: seen.append(place.done),
    )
    assert again.starts == 2  # the first sequence was finished
    assert seen[0] == 8
    assert seen[-1] == 24
    for name, made in straight.items():
        np.testing.assert_array_equal(runs[name]["slides"].boxes, made["slides"].boxes)
    third = Slides()
    kept = make_runs({"slides": third}, sequences, store=RunStore(tmp_path / "out", SETTINGS))
    assert third.starts == 0
    assert all(equal(kept[name]["slides"], runs[name]["slides"]) for name in runs)


def test_what_failed_is_tried_again(sequences: list[TrackingSequence], tmp_path: Path) -> None:
    class Fails(Slides):
        def update(self, frame: Frame) -> Box:
            raise ZeroDivisionError("it broke")

    store = RunStore(tmp_path / "out", SETTINGS)
    assert make_runs({"slides": Fails()}, sequences[:1], store=store)["a"]["slides"].error is not None
    assert store.load("slides", sequences[0]) is None


def test_other_settings_and_other_data_are_refused(
    sequences: list[TrackingSequence], tmp_path: Path, make_sequence: MakeSequence
) -> None:
    out = tmp_path / "out"
    store = RunStore(out, SETTINGS)
    make_runs({"slides": Slides()}, sequences, store=store)
    with pytest.raises(OptionError, match=r"trackers was .*'version': 1.* and is .*'version': 2"):
        RunStore(out, {**SETTINGS, "trackers": {"slides": {"version": 2}}})
    with pytest.raises(OptionError, match="layout was 'framestate' and is 'lasot'"):
        RunStore(out, {**SETTINGS, "layout": "lasot"})
    (tmp_path / "data" / "a" / "groundtruth.txt").write_text("1,2,3,4\n" * 8, encoding="utf-8")
    other = load_sequences(tmp_path / "data", ["a"])
    with pytest.raises(OptionError, match="other data of a"):
        make_runs({"slides": Slides()}, other, store=RunStore(out, SETTINGS))
    file = out / "slides" / "b.json"
    file.write_text(file.read_text(encoding="utf-8")[:-20], encoding="utf-8")
    with pytest.raises(DataError, match=r"b\.json: this is no run"):
        store.load("slides", sequences[1])
    (out / "settings.json").write_text("{", encoding="utf-8")
    with pytest.raises(OptionError, match="cannot be read"):
        RunStore(out, SETTINGS)
    with pytest.raises(OptionError, match="something else"):
        RunStore(tmp_path / "data", SETTINGS)


def test_names_are_no_paths(sequences: list[TrackingSequence], tmp_path: Path) -> None:
    store = RunStore(tmp_path / "out", SETTINGS)
    store.save("../up", sequences[0], run_sequence(Slides(), sequences[0]))
    assert not (tmp_path / "up").exists()
    assert store.load("../up", sequences[0]) is not None


@pytest.mark.slow  # other processes have to import all of it
def test_side_by_side_is_one_after_the_other(sequences: list[TrackingSequence], tmp_path: Path) -> None:
    lineup = Lineup("tracker-nano", "onnx", "cpu", 1, ("static",))
    with lineup.open() as opened:
        ours, settings = opened.ours, opened.settings
        alone = make_runs(opened.trackers, sequences)
    seen: list[str] = []
    out = tmp_path / "out"
    runs = make_runs_side_by_side(
        lineup, sequences, 2, progress=lambda p: seen.append(p.sequence), folder=out, settings=settings
    )
    assert sorted(seen) == ["a", "b", "c"]
    assert set(runs) == {"a", "b", "c"}
    for name, made in alone.items():
        assert list(runs[name]) == [ours, "static"]
        for tracker, run in made.items():
            np.testing.assert_array_equal(runs[name][tracker].boxes, run.boxes)
    assert RunStore(out, settings).load("static", sequences[2]) is not None
    broken = Lineup("tracker-nano", "onnx", "cpu", 1, ("nano",), PeerFiles())
    with pytest.raises(OptionError, match="needs 2 ONNX files"):
        make_runs_side_by_side(broken, sequences, 1)


def test_a_process_that_ends_by_itself_is_an_error(
    sequences: list[TrackingSequence], monkeypatch: pytest.MonkeyPatch
) -> None:
    import queue

    from framestate.bench import side_by_side

    class Ended:
        exitcode = -9

        def is_alive(self) -> bool:
            return False

    class Nothing:
        def get(self, timeout: float) -> object:
            raise queue.Empty

    with pytest.raises(RunError, match="ended with -9"):
        side_by_side._gather([Ended()], sequences, Nothing(), None)  # type: ignore[list-item, arg-type]
    with pytest.raises(OptionError, match="jobs is 0"):
        make_runs_side_by_side(Lineup("tracker-nano"), sequences, 0)


def test_settings_tell_models_and_files_apart(tmp_path: Path) -> None:
    with Lineup("tracker-nano", "onnx", "cpu", 1, ("static",)).open() as opened:
        assert opened.where == ("onnx", "cpu")
        settings = opened.settings["trackers"]
        assert settings[opened.ours]["bundle"] == load_bundle("tracker-nano").hash
        assert json.loads(json.dumps(settings)) == settings
        assert set(settings) == {opened.ours, "static"}


def test_the_sheet_shows_where_the_target_is_lost(
    sequences: list[TrackingSequence], make_sequence: MakeSequence
) -> None:
    class Perfect(Slides):
        def update(self, frame: Frame) -> Box:
            return Box(self.box.x + 2 * frame.index, self.box.y + frame.index, self.box.w, self.box.h)

    runs = make_runs({"slides": Slides(), "perfect": Perfect()}, sequences)
    results = score_runs(runs, sequences)
    sheet = failure_sheet("slides", results, runs, sequences)
    fine = failure_sheet("perfect", results, runs, sequences)
    assert sheet.shape == fine.shape
    assert sheet.shape[1] > FRAMES * 300
    red, green = ([like(one, colour) for one in (sheet, fine)] for colour in (ANSWERED, TRUE))
    assert min(red) > 500
    assert green[0] > 2 * green[1]  # the answers lie on the truth where they are right
    shown = frames_to_show(runs["a"]["slides"], sequences[0])
    assert shown == sorted(shown)
    assert len(shown) == FRAMES
    assert shown[0] == 0
    assert {5, 6} <= set(shown)  # lost in frame 6: 4 px a frame too far, 1 px too high


def test_a_short_sequence_fills_its_row(make_sequence: MakeSequence) -> None:
    sequences = load_sequences(make_sequence("short", 3).parent)
    runs = make_runs({"slides": Slides()}, sequences)
    assert frames_to_show(runs["short"]["slides"], sequences[0]) == [0, 1, 2, 2, 2, 2]


def test_there_is_no_sheet_without_truth(tiny_set: Callable[[str], Path]) -> None:
    sequences = load_sequences(tiny_set("trackingnet"), layout="trackingnet")
    runs = make_runs({"slides": Slides()}, sequences)
    with pytest.raises(DataError, match="No sequence has a score"):
        failure_sheet("slides", score_runs(runs, sequences), runs, sequences)
