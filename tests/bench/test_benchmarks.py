"""The public benchmarks: the toolkits' own numbers on the same boxes, and their own reports of our files."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from framestate.bench.evaluate_tracking import make_runs, score_runs
from framestate.bench.ope import PROTOCOLS, mean_score, score_sequence
from framestate.bench.sequences import find_layout, load_sequences
from framestate.bench.submission import without_gaps, write_submission
from framestate.errors import DataError, OptionError
from framestate.vision.box import Box
from framestate.vision.datasets import LAYOUTS
from framestate.vision.frame import Frame

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
experiments = pytest.importorskip("got10k.experiments")

WriteSet = Callable[[str], Path]
Boxes = npt.NDArray[np.float64]
SIZE = 640, 360


class Wanders:
    """Drifts off the first box a bit more each frame, and gives up at frame ``until``."""

    def __init__(self, until: int = 99) -> None:
        self.until, self.box = until, Box(0, 0, 1, 1)
        self.starts = 0

    def start(self, frame: Frame, box: Box) -> None:
        self.box = box
        self.starts += 1

    def update(self, frame: Frame) -> Box:
        if frame.index >= self.until:
            raise ZeroDivisionError("it gave up")
        i = frame.index
        return Box(self.box.x + 1.5 * i, self.box.y + 0.3 * i, self.box.w + i / 2, self.box.h - i / 3)


def walk(seed: int, frames: int = 60) -> tuple[Boxes, Boxes]:
    """Truth and answers (frames, 4): a box that wanders, and a tracker that loses it now and then."""
    rng = np.random.default_rng(seed)
    truth = np.cumsum(rng.normal(0, 4, (frames, 4)), axis=0) + np.array([300, 160, 60, 40])
    truth[:, 2:] = truth[:, 2:].clip(8, 200)
    answers = truth + rng.normal(0, 1, truth.shape) * rng.choice([1, 8, 60], (frames, 1))
    answers[:, 2:] = answers[:, 2:].clip(4, 300)
    return truth, answers


def experiment(name: str) -> object:
    """The toolkit's formulas without its data set."""
    made = object.__new__(getattr(experiments, name))
    made.nbins_iou, made.nbins_ce = 21, 51
    return made


@pytest.mark.parametrize("absent", [False, True])
def test_otb_and_uav123_as_the_toolkit_counts(absent: bool) -> None:
    toolkit = experiment("ExperimentUAV123" if absent else "ExperimentOTB")
    for seed in range(4):
        truth, answers = walk(seed)
        if absent:
            truth[7:12] = math.nan
        theirs = answers.copy()
        theirs[0] = truth[0]
        success, precision = toolkit._calc_curves(*toolkit._calc_metrics(theirs, truth))  # type: ignore[attr-defined]
        ours = score_sequence(answers, truth, width=640, height=360, protocol=PROTOCOLS["uav123"])
        np.testing.assert_allclose(ours.success, success, atol=1e-12)
        assert ours.precision20 == pytest.approx(precision[20], abs=1e-12)
        assert ours.auc == pytest.approx(success.mean(), abs=1e-12)


def test_got10k_as_the_toolkit_counts() -> None:
    from got10k.utils.metrics import rect_iou

    toolkit = object.__new__(experiments.ExperimentGOT10k)
    scores, pooled = [], []
    for seed, frames in ((1, 40), (2, 90)):
        truth, answers = walk(seed, frames)
        cover = np.random.default_rng(seed).integers(0, 9, frames)
        cover[0] = 8
        ious = rect_iou(answers[1:].copy(), truth[1:].copy(), bound=SIZE)
        pooled.append(ious[cover[1:] > 0])
        hidden = np.where(cover[:, None] > 0, truth, math.nan)
        scores.append(score_sequence(answers, hidden, width=SIZE[0], height=SIZE[1]))
    ao, sr, _, _ = toolkit._evaluate(np.concatenate(pooled), np.ones(1))
    ours = mean_score(scores)
    assert ours.ao == pytest.approx(ao, abs=1e-12)
    assert ours.success_rate(0.5) == pytest.approx(sr, abs=1e-12)


def lasot_curves(answers: Boxes, truth: Boxes, absent: npt.NDArray[np.bool_]) -> tuple[Boxes, Boxes, Boxes]:
    """LaSOT's evaluation toolkit in NumPy: absent frames are taken out, and counted in the length."""
    answers = answers.copy()
    answers[0] = truth[0]
    a, b, length = answers[~absent], truth[~absent], len(truth)
    centres = [box[:, :2] + (box[:, 2:] - 1) / 2 for box in (a, b)]
    far = np.sqrt(((centres[0] - centres[1]) ** 2).sum(1))
    relative = np.sqrt((((centres[0] - centres[1]) / b[:, 2:]) ** 2).sum(1))
    sides = np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = sides.clip(0).prod(1)
    cover = np.minimum(shared / (a[:, 2:].prod(1) + b[:, 2:].prod(1) - shared), 1)  # rounding aside
    return (
        np.array([(cover > step / 20).sum() / length for step in range(21)]),
        np.array([(far <= pixels).sum() / length for pixels in range(51)]),
        np.array([(relative <= step / 100).sum() / length for step in range(51)]),
    )


def test_lasot_as_its_toolkit_counts() -> None:
    for seed in range(4):
        truth, answers = walk(seed)
        absent = np.zeros(len(truth), bool)
        absent[20:33] = True
        success, precision, normalised = lasot_curves(answers, truth, absent)
        hidden = np.where(absent[:, None], math.nan, truth)
        ours = score_sequence(answers, hidden, width=640, height=360, protocol=PROTOCOLS["lasot"])
        np.testing.assert_allclose(ours.success, success, atol=1e-12)
        np.testing.assert_allclose(ours.normalised, normalised, atol=1e-12)
        assert ours.precision20 == pytest.approx(precision[20], abs=1e-12)
        assert ours.norm_precision20 == pytest.approx(normalised[20], abs=1e-12)
        assert ours.norm_precision == pytest.approx(normalised.mean(), abs=1e-12)
        assert ours.success[0] <= 1 - 13 / 60  # a frame without a target is a miss there


def test_the_toolkit_reports_the_same_of_our_got10k_files(tiny_set: WriteSet, tmp_path: Path) -> None:
    root = tiny_set("got10k")
    sequences = load_sequences(root, layout=find_layout(root, "auto"))
    runs = make_runs({"ours": Wanders(), "quits": Wanders(until=5)}, sequences)
    write_submission(tmp_path / "results" / "GOT-10k", "got10k", runs)
    with redirect_stdout(io.StringIO()):
        toolkit = experiments.ExperimentGOT10k(
            str(root), "val", str(tmp_path / "results"), str(tmp_path / "reports")
        )
        report = toolkit.report(["ours", "quits"])
    ours = score_runs(runs, sequences)["trackers"]["ours"]
    assert ours["ao"] == pytest.approx(report["ours"]["overall"]["ao"], abs=1e-4)  # boxes have three decimals
    assert ours["sr50"] == pytest.approx(report["ours"]["overall"]["sr"])
    assert 0.1 < ours["ao"] < 0.9
    assert report["quits"]["overall"]["speed_fps"] > 0


def test_the_toolkit_reports_the_same_of_our_dtb70_files(tiny_set: WriteSet, tmp_path: Path) -> None:
    root = tiny_set("dtb70")
    sequences = load_sequences(root, layout="dtb70")
    runs = make_runs({"ours": Wanders()}, sequences)
    write_submission(tmp_path / "results" / "DTB70", "dtb70", runs)
    with redirect_stdout(io.StringIO()):
        toolkit = experiments.ExperimentDTB70(str(root), str(tmp_path / "results"), str(tmp_path / "reports"))
        report = toolkit.report(["ours"])["ours"]["overall"]
    ours = score_runs(runs, sequences, PROTOCOLS["dtb70"])["trackers"]["ours"]
    assert ours["auc"] == pytest.approx(report["success_score"], abs=1e-9)
    assert ours["precision20"] == pytest.approx(report["precision_score"])
    assert ours["success"] == pytest.approx(report["success_curve"])


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_every_layout_is_evaluated(tiny_set: WriteSet, layout: str) -> None:
    root = tiny_set(layout)
    found = find_layout(root, "auto")
    assert LAYOUTS[found] is LAYOUTS[layout]
    sequences = load_sequences(root, layout=found)
    results = score_runs(make_runs({"ours": Wanders()}, sequences), sequences, PROTOCOLS[layout])
    numbers = results["trackers"]["ours"]
    assert list(numbers["sequences"]) == [sequence.name for sequence in sequences]
    if layout == "trackingnet":  # its server keeps the truth
        assert math.isnan(numbers["auc"])
        assert numbers["success"] == []
        assert numbers["fps"] > 0
    else:
        assert 0 < numbers["auc"] < 1
        assert 0 < numbers["norm_precision"] <= 1


def test_the_parts_that_are_evaluated(tiny_set: WriteSet) -> None:
    root = tiny_set("got10k")
    assert {len(one.truth) for one in load_sequences(root, layout="got10k")} == {8}
    test = load_sequences(root, layout="got10k", part="test")
    assert all(one.withheld for one in test)
    assert test[0].truth.shape == (8, 4)
    with pytest.raises(OptionError, match="no part"):
        load_sequences(root, layout="got10k", part="half")
    with pytest.raises(OptionError, match="no sequence zebra"):
        load_sequences(root, ["zebra"], layout="got10k")
    with pytest.raises(OptionError, match="no layout 'vot'"):
        find_layout(root, "vot")
    assert find_layout(root / "val" / "GOT-10k_Val_000001", "auto") == "framestate"


def test_images_that_do_not_decode_are_counted_and_not_scored(tiny_set: WriteSet) -> None:
    root = tiny_set("visdrone")
    sequences = load_sequences(root, layout="visdrone")
    source = sequences[0].source
    assert isinstance(source, tuple)
    whole = score_runs(make_runs({"ours": Wanders()}, sequences[:1]), sequences[:1])
    source[7].write_bytes(b"no image")
    runs = make_runs({"ours": Wanders()}, sequences[:1])
    assert runs[sequences[0].name]["ours"].unreadable == [7]
    broken = score_runs(runs, sequences[:1])
    first, second = (one["trackers"]["ours"]["sequences"][sequences[0].name] for one in (whole, broken))
    assert second["unreadable"] == 1
    assert "unreadable" not in first
    assert second["ao"] > first["ao"]  # the last frame is the worst, and it does not count
    source[0].write_bytes(b"no image")
    with pytest.raises(DataError, match="first frame"):
        make_runs({"ours": Wanders()}, sequences[:1])


def test_files_for_a_server(tiny_set: WriteSet, tmp_path: Path) -> None:
    sequences = load_sequences(tiny_set("got10k"), layout="got10k", part="test")
    runs = make_runs({"ours": Wanders(until=6)}, sequences)
    (handed,) = write_submission(tmp_path / "out", "got10k", runs)
    assert handed == tmp_path / "out" / "ours.zip"
    with zipfile.ZipFile(handed) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        assert names == {
            f"{name}/{name}_{what}.txt"
            for name in ("GOT-10k_Test_000001", "GOT-10k_Test_000002")
            for what in ("001", "time")
        }
        boxes = np.loadtxt(archive.open("GOT-10k_Test_000001/GOT-10k_Test_000001_001.txt"), delimiter=",")
    assert boxes.shape == (8, 4)
    assert boxes[0].tolist() == [10, 8, 16, 16]
    assert (boxes[5:] == boxes[5]).all()  # after it gave up
    times = np.loadtxt(tmp_path / "out" / "ours" / "GOT-10k_Test_000001" / "GOT-10k_Test_000001_time.txt")
    assert times.shape == (8,)
    assert (times[:6] > 0).all()


def test_files_of_trackingnet(tiny_set: WriteSet, tmp_path: Path) -> None:
    sequences = load_sequences(tiny_set("trackingnet"), layout="trackingnet")
    runs = make_runs({"ours": Wanders()}, sequences)
    (handed,) = write_submission(tmp_path, "trackingnet", runs)
    with zipfile.ZipFile(handed) as archive:
        assert archive.namelist() == ["test-video_1.txt"] or "test-video_1.txt" in archive.namelist()
        assert not any("time" in name for name in archive.namelist())
    assert (tmp_path / "ours" / "times" / "test-video_1_time.txt").is_file()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("ours")) == [
        "ours",
        "ours.zip",
    ]


def test_gaps_are_filled_with_the_last_box() -> None:
    nan = math.nan
    boxes = np.array([[1.0, 1, 1, 1], [nan] * 4, [2, 2, 2, nan], [3, 3, 3, 3], [nan] * 4])
    assert without_gaps(boxes)[:, 0].tolist() == [1, 1, 1, 3, 3]
