"""The layouts of the public data sets, each on a tiny made-up copy; what is said of wrong or broken ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from framestate.errors import DataError, ImageError, OptionError
from framestate.vision.datasets import (
    LAYOUTS,
    MOMENT_LAYOUTS,
    detect_layout,
    moments_of,
    read_boxes,
    read_labels,
    tracking_sequences,
)
from framestate.vision.datasets.splits import UAV123_PARTS, lasot_test, uav123_part
from framestate.vision.images import decode_image

WriteSet = Callable[[str], Path]
NAMES = {
    "got10k": [f"GOT-10k_{part}_{number:06d}" for part in ("Train", "Val", "Test") for number in (1, 2)],
    "lasot": ["airplane-1", "airplane-2", "zebra-10"],
    "trackingnet": ["test-video_1", "train_0-video_1", "train_11-video_1"],
    "otb": ["Basketball", "Car4", "Football1", "Human4", "Jogging.1", "Jogging.2"],
    "uav123": ["bike1", "car16_2"],
    "uav20l": ["bike1"],
    "dtb70": ["Animal1", "BMX2"],
    "visdrone": ["uav0000016_00000_s", "uav0000184_00625_s"],
}


def truth_box(index: int) -> list[float]:
    return [10.0 + 2 * index, 8.0 + index, 16.0, 16.0]


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_a_layout_is_read_as_its_authors_ship_it(tiny_set: WriteSet, layout: str) -> None:
    sequences = tracking_sequences(layout, tiny_set(layout))
    assert [sequence.name for sequence in sequences] == NAMES[layout]
    for sequence in sequences:
        frames, boxes = sequence.labelled()
        assert len(frames) == len(boxes) == 8
        assert boxes[0].tolist() == truth_box(0)
        labelled = np.flatnonzero(np.isfinite(boxes).all(1))
        if sequence.withheld:
            assert labelled.tolist() == [0]
            continue
        assert len(labelled) >= 6
        for index in labelled.tolist():
            assert boxes[index].tolist() == truth_box(index)
            x, y, w, h = boxes[index].astype(int)
            image = decode_image(frames[index].read_bytes())
            inside = image[y : y + h, x : x + w].mean()
            assert inside > 100 > image[y : y + h, : x - 2].mean()  # the box is of this very frame


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_a_layout_is_recognised(tiny_set: WriteSet, layout: str) -> None:
    assert detect_layout(tiny_set(layout)) == {"dtb70": "otb"}.get(layout, layout)


def test_what_is_no_data_set_is_not_recognised(tmp_path: Path) -> None:
    assert detect_layout(tmp_path) is None
    assert detect_layout(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("layout", "part", "names"),
    [
        ("got10k", "val", ["GOT-10k_Val_000001", "GOT-10k_Val_000002"]),
        ("lasot", "test", ["airplane-1", "zebra-10"]),
        ("lasot", "train", ["airplane-2"]),
        ("trackingnet", "train", ["train_0-video_1", "train_11-video_1"]),
        ("trackingnet", "test", ["test-video_1"]),
        ("otb", "test", NAMES["otb"]),
    ],
)
def test_parts(tiny_set: WriteSet, layout: str, part: str, names: list[str]) -> None:
    assert [one.name for one in tracking_sequences(layout, tiny_set(layout), part)] == names


def test_got10k_may_be_given_as_one_part(tiny_set: WriteSet) -> None:
    found = tracking_sequences("got10k", tiny_set("got10k") / "val")
    assert [one.name for one in found] == ["GOT-10k_Val_000001", "GOT-10k_Val_000002"]


def test_labels_hide_targets(tiny_set: WriteSet) -> None:
    boxes = tracking_sequences("got10k", tiny_set("got10k"), "val")[0].boxes()
    assert np.flatnonzero(np.isnan(boxes).all(1)).tolist() == [2, 3]  # cover is 0; absent
    boxes = tracking_sequences("lasot", tiny_set("lasot"), "test")[0].boxes()
    assert np.flatnonzero(np.isnan(boxes).all(1)).tolist() == [3, 5]  # occluded; out of view


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_a_wrong_folder_says_what_was_expected(tmp_path: Path, layout: str) -> None:
    with pytest.raises(DataError, match="not a folder"):
        tracking_sequences(layout, tmp_path / "nowhere")
    with pytest.raises(DataError, match="Expected"):
        tracking_sequences(layout, tmp_path)


def test_unknown_layouts_and_parts(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no layout 'vot'"):
        tracking_sequences("vot", tmp_path)
    with pytest.raises(OptionError, match="no part"):
        tracking_sequences("lasot", tmp_path, "half")
    with pytest.raises(OptionError, match="no layout"):
        moments_of("xiph", tmp_path)


@pytest.mark.parametrize("line", ["1,2,3", "1,2,three,4", "", "inf,2,3,4", "1,,2,3", "1 2 3 4 5"])
def test_a_broken_line_gives_file_and_line(tmp_path: Path, line: str) -> None:
    file = tmp_path / "groundtruth.txt"
    file.write_text(f"1,2,3,4\n{line}\n1,2,3,4\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"groundtruth\.txt, line 2"):
        read_boxes(file)


def test_boxes_without_area_are_no_targets(tmp_path: Path) -> None:
    file = tmp_path / "truth.txt"
    file.write_text("1\t2\t3\t4\n0,0,0,0\n1 2 -3 4\nNaN,NaN,NaN,NaN\n1.5, 2,3 ,4\n", encoding="utf-8")
    boxes = read_boxes(file)
    assert np.isnan(boxes).all(1).tolist() == [False, True, True, True, False]
    assert boxes[[0, 4]].tolist() == [[1, 2, 3, 4], [1.5, 2, 3, 4]]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00"])
def test_an_empty_or_binary_truth_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "truth.txt"
    file.write_bytes(content)
    with pytest.raises(DataError):
        read_boxes(file)


def test_labels_name_the_broken_line(tmp_path: Path) -> None:
    file = tmp_path / "cover.label"
    file.write_text("8\n7\nx\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"cover\.label, line 3"):
        read_labels(file)


def test_frames_and_lines_must_match(tiny_set: WriteSet) -> None:
    root = tiny_set("visdrone")
    one, two = tracking_sequences("visdrone", root)
    (one.folder / "img0000008.jpg").unlink()
    with pytest.raises(DataError, match="7 images for 8 lines"):
        one.labelled()
    (two.folder / "img0000009.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="9 images for 8 lines"):
        two.labelled()


def test_labels_and_lines_must_match(tiny_set: WriteSet) -> None:
    sequence = tracking_sequences("got10k", tiny_set("got10k"), "val")[0]
    (sequence.folder / "cover.label").write_text("8\n8\n", encoding="utf-8")
    with pytest.raises(DataError, match="2 labels for 8 boxes"):
        sequence.boxes()


def test_a_list_may_not_lead_elsewhere(tiny_set: WriteSet) -> None:
    root = tiny_set("got10k")
    (root / "val" / "list.txt").write_text("../../secret\n", encoding="utf-8")
    with pytest.raises(DataError, match="secret"):
        tracking_sequences("got10k", root)


def test_the_tables_of_the_benchmarks() -> None:
    test = lasot_test()
    assert len(test) == 280
    assert len({name.rpartition("-")[0] for name in test}) == 70
    assert uav123_part("bird1_2") == ("bird1", 775)
    assert uav123_part("car1_s") == ("car1_s", 1)
    assert uav123_part("car1") == ("car1", 1)
    assert uav123_part("bird1_4") == ("bird1_4", 1)
    assert sum(map(len, UAV123_PARTS.values())) == 51


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        ("vimeo-triplet", ["00001-0001", "00001-0002"]),
        ("vimeo-septuplet", ["00001-0001", "00001-0002"]),
        ("snu-film", ["easy/0001", "medium/0001", "hard/0001"]),
        ("ucf101", ["1", "2", "11"]),
        ("middlebury", ["Beanbags", "Venus"]),
        (
            "x-test",
            [
                f"{scene}/{place:04d}"
                for scene in ("TEST01_003_f0433", "TEST06_001_f0273")
                for place in range(4, 32, 4)
            ],
        ),
    ],
)
def test_moments_have_their_ends_around_them(tiny_set: WriteSet, layout: str, names: list[str]) -> None:
    moments = moments_of(layout, tiny_set(layout))
    assert [moment.name for moment in moments] == names
    for moment in moments:
        first, target, second = (picture.astype(float) for picture in moment.pictures())
        assert 0 < moment.t < 1
        if layout == "x-test":
            assert moment.t == int(moment.name[-4:]) / 32
            continue
        assert moment.t == 0.5
        # the square moves on steadily: the middle is nearer to both ends than they are to each other
        apart = np.abs(first - second).mean()
        assert np.abs(first - target).mean() < apart
        assert np.abs(second - target).mean() < apart


def test_the_test_set_of_triplets_by_itself(tiny_set: WriteSet) -> None:
    root = tiny_set("vimeo-triplet")
    expected = [moment.pictures()[1].tobytes() for moment in moments_of("vimeo-triplet", root)]
    (root / "sequences").rename(root / "target")
    assert [moment.pictures()[1].tobytes() for moment in moments_of("vimeo-triplet", root)] == expected


def test_snu_film_is_found_wherever_its_images_lie(tiny_set: WriteSet) -> None:
    root = tiny_set("snu-film")
    expected = [moment.pictures()[1].tobytes() for moment in moments_of("snu-film", root)]
    (root / "test" / "GOPRO_test").rename(root / "GOPRO_test")
    (root / "eval_modes").mkdir()
    for level in ("easy", "medium", "hard"):
        (root / f"test-{level}.txt").rename(root / "eval_modes" / f"test-{level}.txt")
    assert [moment.pictures()[1].tobytes() for moment in moments_of("snu-film", root)] == expected
    (root / "eval_modes" / "test-hard.txt").write_text("a.png b.png\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"test-hard\.txt, line 1"):
        moments_of("snu-film", root)
    (root / "eval_modes" / "test-hard.txt").write_text("a.png b.png ../c.png\n", encoding="utf-8")
    with pytest.raises(DataError, match="names"):
        moments_of("snu-film", root)


@pytest.mark.parametrize("layout", sorted(MOMENT_LAYOUTS))
def test_a_wrong_folder_of_moments_is_named(tmp_path: Path, layout: str) -> None:
    with pytest.raises(DataError, match=tmp_path.name):
        moments_of(layout, tmp_path)
    with pytest.raises(DataError, match="nowhere"):
        moments_of(layout, tmp_path / "nowhere")


def test_an_image_that_is_missing_or_damaged(tiny_set: WriteSet) -> None:
    moment = moments_of("ucf101", tiny_set("ucf101"))[0]
    moment.target.write_bytes(b"no image")
    with pytest.raises(ImageError):
        moment.pictures()
    moment.target.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        moment.pictures()
