"""Images as a video: folders and patterns, depth, orientation, and sequences that are written."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from framestate.errors import OptionError, VideoError
from framestate.vision import VideoReader, VideoWriter

from .conftest import picture


def test_folders_patterns_and_deep_images(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 96 * 64 * 3).reshape(64, 96, 3).astype(np.uint16)
    for place in (1, 2, 4):
        cv2.imwrite(str(tmp_path / f"f_{place:04d}.png"), deep)
        cv2.imwrite(str(tmp_path / f"g{place}.tif"), deep)
        cv2.imwrite(str(tmp_path / f"h{place}.bmp"), (deep >> 8).astype(np.uint8))
    (tmp_path / "._f_0001.png").write_bytes(b"what macOS leaves")
    for pattern, is_deep in (("f_%04d.png", True), ("g%d.tif", True), ("h%d.bmp", False)):
        with VideoReader(tmp_path / pattern, deep=True, image_rate=Fraction(24000, 1001)) as reader:
            assert (reader.is_deep, reader.frame_rate) == (is_deep, Fraction(24000, 1001))
            assert any("gaps (3)" in words for words in reader.notes)
            found = [frame.image for frame in reader]
        assert len(found) == 3
        assert np.array_equal(found[0], (deep if is_deep else (deep >> 8).astype(np.uint8))[..., ::-1])
    with VideoReader(tmp_path / "f_%04d.png") as reader:
        assert next(iter(reader)).image.dtype == np.uint8
    with pytest.raises(VideoError, match="holds no images"):
        VideoReader(tmp_path / "x_%04d.png")
    (tmp_path / "mixed").mkdir()
    for place, (depth, channels) in enumerate(((8, 3), (16, 3), (8, 4))):
        image = np.full((64, 96, channels), 200, np.uint8)
        cv2.imwrite(
            str(tmp_path / "mixed" / f"{place}.png"), image if depth == 8 else image.astype(np.uint16) * 257
        )
    with VideoReader(tmp_path / "mixed", deep=True) as reader:  # though the first has neither
        assert (reader.is_deep, reader.has_alpha) == (True, True)
        assert {int(frame.image.mean()) for frame in reader} == {200 * 257}
    (tmp_path / "mixed" / "3.png").symlink_to(tmp_path / "nowhere.png")
    with VideoReader(tmp_path / "mixed") as reader:
        assert (len(list(reader)), reader.broken_packets) == (3, 1)
    (tmp_path / "float").mkdir()
    cv2.imwrite(str(tmp_path / "float" / "1.tif"), np.ones((64, 96, 3), np.float32))
    with pytest.raises(VideoError, match="numbers of float32"):
        VideoReader(tmp_path / "float")
    (tmp_path / "exr").mkdir()
    (tmp_path / "exr" / "1.exr").write_bytes(b"v/1\x01")
    with pytest.raises(VideoError, match="EXR"):
        VideoReader(tmp_path / "exr")


@pytest.mark.parametrize(
    ("suffix", "most"), [(".png", 0), (".tif", 0), (".bmp", 0), (".jpg", 8), (".webp", 12)]
)
def test_image_sequences_appear_together(tmp_path: Path, suffix: str, most: float) -> None:
    images = [cv2.GaussianBlur(picture(place), (0, 0), 2) for place in range(3)]
    with VideoWriter(tmp_path / f"f_%03d{suffix}", 96, 64, 25) as video:
        for image in images:
            video.write(image)  # type: ignore[arg-type]
        assert not list(tmp_path.glob("f_*"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"f_00{n}{suffix}" for n in (1, 2, 3)]
    with VideoReader(tmp_path / f"f_%03d{suffix}") as reader:
        for frame, image in zip(reader, images, strict=True):
            assert np.abs(frame.image.astype(int) - image).mean() <= most
    with pytest.raises(OptionError, match=r"suffix '\.xyz' are not written"):
        VideoWriter(tmp_path / "g_%d.xyz", 96, 64, 25)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_images_stand_upright(tmp_path: Path, orientation: int) -> None:
    """TIFF with an orientation, as scanners and cameras write it."""
    image = np.zeros((64, 96, 3), np.uint8)
    image[:16, :32] = 255
    tags = {
        256: 96,
        257: 64,
        258: 8,
        259: 1,
        262: 2,
        273: 8,
        274: orientation,
        277: 3,
        278: 64,
        279: image.size,
    }
    entries = b"".join(
        struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 1, value) for tag, value in tags.items()
    )
    head = struct.pack("<2sHI", b"II", 42, 8 + image.size)
    tail = struct.pack("<H", len(tags)) + entries + bytes(4)
    (tmp_path / "1.tif").write_bytes(head + image.tobytes() + tail)
    with VideoReader(tmp_path) as reader:
        frame = next(iter(reader)).image
    corner = {1: "tl", 2: "tr", 3: "br", 4: "bl", 5: "tl", 6: "tr", 7: "br", 8: "bl"}[orientation]
    assert frame.shape == ((64, 96, 3) if orientation < 5 else (96, 64, 3))
    rows = frame[:8] if corner[0] == "t" else frame[-8:]
    assert (rows[:, :8] if corner[1] == "l" else rows[:, -8:]).min() == 255
    assert (frame == 255).mean() == pytest.approx(16 * 32 / (64 * 96))
