"""Reading evaluation folders, and refusing those whose frames and lines do not match."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from framestate.bench.sequences import load_sequence, load_sequences, read_truth
from framestate.errors import DataError, OptionError

from .conftest import MakeSequence, truth_box


@pytest.mark.parametrize("layout", [{"video": True}, {"images": ""}, {"images": "img"}])
def test_a_sequence_is_read_from_a_video_or_images(
    make_sequence: MakeSequence, layout: dict[str, object]
) -> None:
    sequence = load_sequence(make_sequence(frames=6, **layout))
    frames = list(sequence.frames())
    assert sequence.name == "square"
    assert len(sequence) == len(frames) == 6
    assert [frame.index for frame in frames] == list(range(6))
    assert (frames[0].width, frames[0].height) == (96, 64)
    assert sequence.first_box == truth_box(0)
    box = truth_box(5)
    inside = frames[5].image[int(box.y) : int(box.y + box.h), int(box.x) : int(box.x + box.w)]
    assert inside.mean() > 2 * frames[5].image.mean()


def test_sequences_come_in_the_order_of_their_names(make_sequence: MakeSequence) -> None:
    root = make_sequence("b").parent
    make_sequence("a")
    (root / ".cache").mkdir()
    (root / "README.md").write_text("about the data", encoding="utf-8")
    assert [sequence.name for sequence in load_sequences(root)] == ["a", "b"]
    assert [sequence.name for sequence in load_sequences(root, ["b"])] == ["b"]


def test_a_folder_may_be_one_sequence(make_sequence: MakeSequence) -> None:
    assert [sequence.name for sequence in load_sequences(make_sequence("only"))] == ["only"]


def test_an_unknown_name_is_refused(make_sequence: MakeSequence) -> None:
    with pytest.raises(OptionError, match="no sequence zebra"):
        load_sequences(make_sequence().parent, ["zebra"])


def test_missing_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a folder"):
        load_sequences(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no sequence"):
        load_sequences(tmp_path)


def test_a_folder_that_is_not_a_sequence_is_not_passed_over(make_sequence: MakeSequence) -> None:
    root = make_sequence().parent
    (root / "unfinished").mkdir()
    with pytest.raises(DataError, match=r"unfinished.groundtruth\.txt"):
        load_sequences(root)
    (root / "unfinished" / "groundtruth.txt").write_text("1,2,3,4\n1,2,3,4\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"neither video\.mp4 nor images"):
        load_sequences(root)


def test_truth_takes_commas_white_space_and_absent_targets(tmp_path: Path) -> None:
    file = tmp_path / "groundtruth.txt"
    file.write_text("1,2,3,4\n1.5, 2 ,3,4\n1\t2\t3\t4\nnan,nan,nan,nan\n\n", encoding="utf-8")
    truth = read_truth(file)
    np.testing.assert_array_equal(truth, [[1, 2, 3, 4], [1.5, 2, 3, 4], [1, 2, 3, 4], [np.nan] * 4])
    assert not truth.flags.writeable


@pytest.mark.parametrize(
    "line",
    ["1,2,3", "1,2,3,4,5", "1,2,three,4", "", "1,2,0,4", "1,2,3,-4", "1,nan,3,4", "inf,2,3,4", "1,,2,3"],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "groundtruth.txt"
    file.write_text(f"1,2,3,4\n{line}\n1,2,3,4\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 2"):
        read_truth(file)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00"])
def test_an_empty_or_binary_truth_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "groundtruth.txt"
    file.write_bytes(content)
    with pytest.raises(DataError):
        read_truth(file)


@pytest.mark.parametrize(
    "lines", [["nan,nan,nan,nan", "1,2,3,4"], ["1,2,3,4", "nan,nan,nan,nan"], ["1,2,3,4"]]
)
def test_the_target_must_be_there_at_first_and_later(make_sequence: MakeSequence, lines: list[str]) -> None:
    with pytest.raises(DataError, match="in the first"):
        load_sequence(make_sequence(frames=len(lines), lines=lines))


@pytest.mark.parametrize(("lines", "problem"), [(5, "has more than 5 frames"), (9, "has 8 frames")])
def test_frames_and_lines_must_match(make_sequence: MakeSequence, lines: int, problem: str) -> None:
    sequence = load_sequence(make_sequence(frames=8, lines=["1,2,3,4"] * lines))
    with pytest.raises(DataError, match=f"{problem}.*{lines} lines"):
        list(sequence.frames())


@pytest.mark.parametrize("damaged", [2, 7])
def test_a_damaged_frame_is_not_passed_over(make_sequence: MakeSequence, damaged: int) -> None:
    folder = make_sequence(frames=8)
    (folder / f"{damaged:04d}.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match="damaged after frame"):
        list(load_sequence(folder).frames())
