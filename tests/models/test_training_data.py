"""Archives, clips, views and samples: damaged data is counted, and a sample follows from seed and index."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from framestate.errors import DataError, OptionError, VideoError
from framestate.models.tracking.archives import read_archive, usable_objects
from framestate.models.tracking.clips import Clip, read_clips, read_folder
from framestate.models.tracking.poses import SampleConfig
from framestate.models.tracking.samples import Sample, SampleSource
from framestate.models.tracking.views import Pose, ellipse, outline, paste, place, warp
from hypothesis import given
from hypothesis import strategies as st

WriteArchive = Callable[..., Path]
WriteClip = Callable[..., Path]
SMALL = SampleConfig(template_size=64, search_size=96)
KINDS = {
    "pasted": replace(SMALL, share_pasted=1.0),
    "in place": replace(SMALL, share_pasted=0.0, share_in_place=1.0),
    "regions": replace(SMALL, share_pasted=0.0, share_in_place=0.0, share_regions=1.0),
    "real": replace(SMALL, share_pasted=0.0, share_in_place=0.0, share_regions=0.0),
}


@given(
    points=st.lists(st.tuples(st.floats(-500, 500), st.floats(-500, 500)), min_size=2, max_size=12),
    angle=st.floats(-3.2, 3.2),
    aspect=st.floats(0.3, 3),
    mirror=st.booleans(),
    centre=st.tuples(st.floats(-50, 250), st.floats(-50, 250)),
    extent=st.floats(4, 200),
)
def test_a_placed_box_holds_its_outline(points: list[tuple[float, float]], **pose: Any) -> None:
    shape = np.array(points)
    matrix, box = place(shape, Pose(**pose))
    moved = shape @ matrix[:, :2].T + matrix[:, 2]
    slack = 1e-6 * (1 + np.abs(matrix[:, :2]).max() * 1000)
    assert (moved >= box[:2] - slack).all()
    assert (moved <= box[:2] + box[2:] + slack).all()
    assert box[:2] + box[2:] / 2 == pytest.approx(np.array(pose["centre"]), abs=slack)
    assert np.sqrt(box[2] * box[3]) == pytest.approx(pose["extent"], rel=1e-6)
    scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    tight = np.maximum(np.ptp(moved, axis=0), scale)  # a side is never taken for less than a source pixel
    assert box[2:] == pytest.approx(tight, rel=1e-6, abs=slack)


def test_a_mirrored_pose_is_mirrored() -> None:
    shape = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    plain, _ = place(shape, Pose(0.0, 1.0, False, (0.0, 0.0), 10.0))
    turned, _ = place(shape, Pose(0.0, 1.0, True, (0.0, 0.0), 10.0))
    assert np.linalg.det(plain[:, :2]) > 0 > np.linalg.det(turned[:, :2])


def test_warping_puts_pixels_where_the_matrix_says() -> None:
    picture = np.zeros((80, 80, 3), np.uint8)
    picture[30:50, 20:60] = 255
    matrix, box = place(outline(picture[..., 0] > 0), Pose(0.0, 1.0, False, (24.0, 20.0), 20.0))
    view = warp(picture, matrix, 48)
    ys, xs = np.nonzero(view[..., 0] > 127)
    assert (xs.min(), ys.min()) == pytest.approx((box[0], box[1]), abs=1.5)
    assert (np.ptp(xs), np.ptp(ys)) == pytest.approx((box[2], box[3]), abs=1.5)


def test_shrinking_keeps_the_place() -> None:
    """Much smaller views are shrunk by a whole number first; the matrix has to follow."""
    picture = np.zeros((400, 600, 3), np.uint8)
    picture[100:300, 200:500] = 255
    matrix, box = place(outline(picture[..., 0] > 0), Pose(0.0, 1.0, False, (32.0, 32.0), 24.0))
    ys, xs = np.nonzero(warp(picture, matrix, 64)[..., 0] > 127)
    assert (xs.mean(), ys.mean()) == pytest.approx((32, 32), abs=1.0)
    assert (np.ptp(xs), np.ptp(ys)) == pytest.approx((box[2], box[3]), abs=2)


def test_pasting_covers_where_alpha_is_full_and_nowhere_else() -> None:
    cut_out = np.zeros((10, 10, 4), np.uint8)
    cut_out[2:8, 2:8] = (9, 99, 199, 255)
    backdrop = np.full((20, 20, 3), 50, np.uint8)
    mixed = paste(backdrop, cut_out, np.array([[1.0, 0.0, 5.0], [0.0, 1.0, 5.0]]))
    assert (mixed[8:12, 8:12] == (9, 99, 199)).all()
    assert (mixed[:6] == 50).all()
    assert (backdrop == 50).all()


def test_an_ellipse_fills_its_box() -> None:
    points = ellipse(10, 20, 30, 40)
    assert points.min(0) == pytest.approx([10, 20])
    assert points.max(0) == pytest.approx([40, 60])


def test_which_objects_are_usable() -> None:
    labels = np.zeros((100, 100), np.int32)
    labels[40:60, 40:60] = 1  # 400 pixels
    labels[0:10, 0:10] = 2  # too small
    labels[70:100, 0:40] = 3  # touches two sides
    labels[20:22, 5:95] = 4  # too small as well
    assert usable_objects(labels, segments=False) == (1, 3)
    assert usable_objects(labels, segments=True) == (1,)
    assert usable_objects(np.ones((50, 50), np.int32), segments=False) == ()


def test_an_archive_counts_what_it_cannot_read(write_archive: WriteArchive) -> None:
    picture = cv2.imencode(".png", np.full((20, 20, 3), 7, np.uint8))[1].tobytes()
    path = write_archive(
        more={
            "images/empty.jpg": b"",
            "images/torn.jpg": b"\xff\xd8\xff\xe0 and then nothing",
            "images/maskless.png": picture,
            "images/badmask.png": picture,
            "masks/badmask.png": b"no picture",
            "notes.txt": b"not a picture, and not counted",
        }
    )
    archive = read_archive(path)
    assert archive.skipped == 3  # two pictures and a mask
    assert len(archive.stills) == 5
    assert archive.num_objects == 3
    still = next(still for still in archive.stills if still.objects)
    labels = still.label_map()
    assert labels is not None
    assert still.pixels().shape == (120, 160, 3)
    assert set(np.unique(labels)) == {0, *still.objects}
    assert sum(still.label_map() is None for still in archive.stills) == 2


def test_a_member_that_is_damaged_in_the_file_is_skipped(write_archive: WriteArchive) -> None:
    path = write_archive()
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("images/1.jpg")
    content = bytearray(path.read_bytes())
    middle = info.header_offset + 60 + info.compress_size // 2
    content[middle : middle + 20] = bytes(20)  # the checksum no longer fits
    path.write_bytes(content)
    archive_read = read_archive(path)
    assert archive_read.skipped == 1
    assert len(archive_read.stills) == 2


def test_archives_that_cannot_be_used(tmp_path: Path, write_archive: WriteArchive) -> None:
    (tmp_path / "text.zip").write_text("no archive")
    for path, problem in (
        (tmp_path / "none.zip", "cannot be read as a ZIP archive"),
        (tmp_path / "text.zip", "cannot be read as a ZIP archive"),
        (write_archive("empty.zip", count=0, more={"images/a.jpg": b"?"}), r"no readable image.*1 members"),
    ):
        with pytest.raises(DataError, match=problem):
            read_archive(path)


def test_segments_are_drawn_less_often(write_archive: WriteArchive) -> None:
    masks = read_archive(write_archive("a.zip"))
    segments = read_archive(write_archive("b.zip", folder="segments"))
    assert segments.segmented
    assert not masks.segmented
    assert 0 < segments.object_weight < masks.object_weight


def test_a_clip_from_its_folder(write_clip: WriteClip) -> None:
    folder = write_clip(frames=6)
    (clip,) = read_folder(folder)
    assert clip.name == "koi"
    assert len(clip.frames) == len(clip.boxes) == 6
    assert clip.present.tolist() == [0, 1, 2, 3, 4, 5]
    assert clip.pixels(3).shape == (120, 160, 3)


def test_frames_without_a_usable_box_are_left_out(write_clip: WriteClip) -> None:
    (clip,) = read_folder(
        write_clip(frames=4, lines=["1,2,30,40", "NaN,NaN,NaN,NaN", "5,5,2,3", "1,2,30,40"])
    )
    assert clip.present.tolist() == [0, 3]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [(["1,2,30,40"], "1 lines for 4"), (["1,2,30"] * 4, "3 values"), (["1,2,30,40"] * 9, "9 lines for 4")],
)
def test_a_truth_that_does_not_fit_its_video(write_clip: WriteClip, lines: list[str], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        read_folder(write_clip(frames=4, lines=lines))


def test_ragged_truth_and_missing_video(write_clip: WriteClip) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_folder(write_clip("ragged", frames=2, lines=["1,2,3,4", "1,2"]))
    folder = write_clip("silent", frames=2)
    (folder / "video.mp4").unlink()
    with pytest.raises(VideoError):
        read_folder(folder)
    with pytest.raises(DataError, match="holds no sequence"):
        read_clips(folder)


def test_clips_come_in_the_order_of_their_names(write_clip: WriteClip) -> None:
    write_clip("b", frames=2)
    folder = write_clip("a", frames=2)
    assert [clip.name for clip in read_clips(folder.parent)] == ["a", "b"]


@pytest.fixture
def source(write_archive: WriteArchive, clip: Clip) -> Callable[..., SampleSource]:
    archive = read_archive(write_archive())

    def make(config: SampleConfig = SMALL, seed: int = 1) -> SampleSource:
        return SampleSource(config, [archive], [clip], seed)

    return make


def same(a: Sample, b: Sample) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS.keys())
def test_a_sample_follows_from_seed_and_index(
    source: Callable[..., SampleSource], config: SampleConfig
) -> None:
    there, back = source(config), source(config)
    first = [there[i] for i in range(6)]
    assert all(same(back[i], first[i]) for i in reversed(range(6)))
    assert not same(first[0], first[1])
    assert not same(source(config, seed=2)[0], first[0])


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS.keys())
def test_what_a_sample_holds(source: Callable[..., SampleSource], config: SampleConfig) -> None:
    samples = source(replace(config, searches=3))
    for index in range(12):
        sample = samples[index]
        assert sample["template"].shape == (64, 64, 3)
        assert sample["search"].shape == (3, 96, 96, 3)
        assert sample["boxes"].shape == (3, 4)
        assert sample["visible"].shape == (3,)
        assert {str(sample[name].dtype) for name in ("template", "search")} == {"uint8"}
        x, y, w, h = sample["boxes"].T
        assert (w > 0).all()
        assert (h > 0).all()
        inside = (x + w > 0) & (y + h > 0) & (x < 96) & (y < 96)
        assert inside.all(), "a target that cannot be seen at all teaches nothing"


@pytest.mark.parametrize("kind", ["pasted", "in place"])
def test_the_box_is_where_the_target_is(
    source: Callable[..., SampleSource], write_archive: WriteArchive, kind: str
) -> None:
    """A bright target on black, no other defects: what is bright in a view is what the box holds."""
    mask = np.zeros((120, 160), np.uint8)
    cv2.ellipse(mask, (80, 60), (25, 15), 20, 0, 360, 255, -1)
    picture = np.zeros((120, 160, 3), np.uint8)
    picture[mask > 0] = (0, 0, 255)
    more = {"images/x.png": cv2.imencode(".png", picture)[1].tobytes()}
    more["masks/x.png"] = cv2.imencode(".png", mask)[1].tobytes()
    archive = read_archive(write_archive("bright.zip", count=0, more=more))
    config = replace(KINDS[kind], absent=0.0, turn=0.1)
    samples = SampleSource(config, [archive], [])
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(12):
        sample = samples._pasted(rng) if kind == "pasted" else samples._in_place(rng, masked=True)
        for view, (x, y, w, h) in zip(sample["search"], sample["boxes"], strict=True):
            left, top = max(round(x), 0), max(round(y), 0)
            held = view[top : round(y + h) + 1, left : round(x + w) + 1, 0] > 100
            hits += held.any() and held.mean() > 0.3
    assert hits >= 22  # of 24: an occluder is cut from the same bright stuff


def test_an_absent_target_is_marked(source: Callable[..., SampleSource]) -> None:
    always = source(replace(SMALL, absent=1.0))
    assert all(always[i]["visible"].sum() == 1 for i in range(5))
    never = source(replace(SMALL, absent=0.0))
    assert all(never[i]["visible"].all() for i in range(5))


def test_in_place_of_an_absent_target_is_that_of_another_clip() -> None:
    def plain(level: int) -> Clip:
        picture = cv2.imencode(".png", np.full((300, 300, 3), level, np.uint8))[1].tobytes()
        boxes = np.tile([130.0, 130.0, 40.0, 40.0], (6, 1))
        return Clip(str(level), (picture,) * 6, boxes, np.arange(6))

    config = replace(
        SMALL, absent=1.0, absent_elsewhere=1.0, share_pasted=0.0, share_in_place=0.0, share_regions=0.0
    )
    source = SampleSource(config, [], [plain(40), plain(220)])
    for index in range(8):
        sample = source[index]
        (missing,) = np.flatnonzero(~sample["visible"])
        views = sample["template"][16:48, 16:48], *sample["search"][:, 32:64, 32:64]
        level, *others = (float(view.mean()) for view in views)
        there, away = abs(others[1 - missing] - level), abs(others[missing] - level)
        assert away > 2 * there, "one is of the template's clip, one of the other"


def test_clips_alone_are_enough_and_nothing_is_not(clip: Clip, write_archive: WriteArchive) -> None:
    assert SampleSource(SMALL, [], [clip])[0]["search"].any()
    assert SampleSource(SMALL, [read_archive(write_archive())], [])[0]["search"].any()
    with pytest.raises(OptionError, match="absent_elsewhere is"):
        SampleSource(replace(SMALL, absent=0.1, absent_elsewhere=0.5), [read_archive(write_archive())], [])
    with pytest.raises(DataError, match="nothing to make samples from"):
        SampleSource(SMALL, [], [])


def test_several_targets_of_one_video_share_its_frames(write_clip: WriteClip) -> None:
    folder = write_clip(frames=3)
    (folder / "groundtruth_2.txt").write_text("1,2,30,40\n" * 3)
    (folder / "groundtruth_3.txt").write_text("nan,nan,nan,nan\n" * 3)  # nothing to learn from
    first, second = read_folder(folder)
    assert (first.name, second.name) == ("koi", "koi_2")
    assert all(a is b for a, b in zip(first.frames, second.frames, strict=True))
    assert second.boxes.tolist() == [[1, 2, 30, 40]] * 3
