"""Every way of storing a picture is read in its colours; what frames carry beside them is told."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type
from framestate.vision import Encoding, Look, VideoReader, VideoWriter
from framestate.vision.extras import Extras
from framestate.vision.look import Look as Stored

WIDTH, HEIGHT = 64, 48
ROWS, COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH]
COLOURS = np.stack(
    [60 + 120 * COLUMNS / WIDTH, 40 + 160 * ROWS / HEIGHT, 200 - 100 * (COLUMNS + ROWS) / (WIDTH + HEIGHT)],
    axis=-1,
)
FORMATS = [
    *("yuv420p", "yuv422p", "yuv444p", "yuv411p", "yuv410p", "yuv440p", "yuva420p", "bgr0", "bgra"),
    *("yuv420p10le", "yuv422p10le", "yuv444p10le", "yuv440p10le", "yuva420p10le", "gbrp10le"),
    *("yuv420p12le", "yuv444p12le", "gbrp12le", "yuv420p16le", "yuv444p16le", "gbrp16le", "rgb48le"),
]


def write(path: Path, pixels: str, matrix: int = 1, **tags: int) -> Path:
    """Two frames of `COLOURS`, stored without loss."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
        context = stream.codec_context
        context.colorspace, context.color_primaries = matrix, tags.get("primaries", matrix)
        context.color_trc = tags.get("transfer", 1)
        deep = np.rint(COLOURS * 257).astype(np.uint16)
        for place in range(2):
            frame = av.VideoFrame.from_ndarray(deep, format="rgb48le")
            frame = frame.reformat(format=pixels, dst_colorspace=matrix, dst_color_range=1)
            frame.pts = place
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("pixels", FORMATS)
def test_colours_are_read_as_they_are(tmp_path: Path, pixels: str) -> None:
    path = write(tmp_path / "clip.mkv", pixels)
    for exact in (False, True):
        for deep in (False, True):
            with VideoReader(path, exact_colour=exact, deep=deep) as reader:
                image = next(iter(reader)).image
                assert (image.dtype == np.uint16) == reader.is_deep == (deep and reader.look.bits > 8)
            scale = 257 if image.dtype == np.uint16 else 1
            error = image / scale - COLOURS
            assert np.abs(error.mean(axis=(0, 1))).max() < 2.5, (exact, deep)
            assert np.abs(error).mean() < (7 if pixels in ("yuv410p", "yuv411p") else 2.5), (exact, deep)


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p10le", "yuv420p10le", "yuv444p16le"])
def test_colours_come_out_as_they_went_in(tmp_path: Path, pixels: str) -> None:
    source = write(tmp_path / "clip.mkv", pixels, matrix=9, transfer=16)
    with VideoReader(source, exact_colour=True, deep=True) as reader:
        look = reader.look
        with VideoWriter(
            tmp_path / "o.mkv", WIDTH, HEIGHT, 25, look=look, encoding=Encoding("ffv1"), exact_colour=True
        ) as video:
            for frame in reader:
                video.write(frame.image)
    with av.open(str(source)) as one, av.open(str(tmp_path / "o.mkv")) as other:
        given, made = (next(part.decode(video=0)) for part in (one, other))
    assert made.format.name == given.format.name == pixels
    assert (made.colorspace, made.color_trc) == (given.colorspace, given.color_trc)
    levels = 2 ** (look.bits - 8)
    for before, after in zip(given.to_ndarray(), made.to_ndarray(), strict=True):
        assert np.abs(before.astype(float) - after).mean() < 0.7 * levels


def test_pictures_are_believed_over_their_container(tmp_path: Path) -> None:
    """A file whose container says BT.709, and whose pictures say PQ: relabelled, and not encoded again."""
    inside = Look("yuv420p10le", matrix=9, primaries=9, transfer=16, bits=10)
    path, relabelled = tmp_path / "in.mkv", tmp_path / "out.mp4"
    with VideoWriter(path, WIDTH, HEIGHT, 25, look=inside) as video:
        for _ in range(3):
            video.write(np.rint(COLOURS * 257).astype(np.uint16))
    with av.open(str(path)) as given, av.open(str(relabelled), "w") as made:
        stream: Any = made.add_stream_from_template(given.streams.video[0], opaque=True)
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = 1, 1, 1
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = stream
                made.mux_one(packet)
    with av.open(str(relabelled)) as made:
        assert Stored.of(made.streams.video[0]).transfer == 1
    with VideoReader(relabelled, deep=True) as reader:
        assert (reader.look.matrix, reader.look.primaries, reader.look.transfer) == (9, 9, 16)
        assert reader.look.hdr is not None


def test_kinds_of_side_data_that_are_not_known_are_passed_over(tmp_path: Path) -> None:
    """TIFF pictures in a video carry EXIF, a kind newer than PyAV's list."""
    path = tmp_path / "clip.mov"
    with VideoWriter(path, WIDTH, HEIGHT, 25, encoding=Encoding("tiff")) as video:
        for _ in range(2):
            video.write(np.rint(COLOURS).astype(np.uint8))
    with VideoReader(path) as reader:
        assert np.abs(next(iter(reader)).image - COLOURS).max() < 1


def test_what_frames_carry_is_told_once() -> None:
    def dolby(profile: int, full: int) -> bytes:
        return struct.pack("@NNN", 24, 0, 0) + struct.pack("@BHBBBBBBB", 2, 18, profile, 6, 0, 0, 23, 1, full)

    found = Extras()
    for _ in range(3):
        found.look_at({Type.A53_CC: b"cc", Type.SPHERICAL: b"\0" * 32, Type.DOVI_METADATA: dolby(1, 0)})
    assert not found.needs_dolby
    assert [words.split(" ")[0] for words in sorted(found.notes)] == ["Dolby", "closed", "the"]
    bare = Extras()
    bare.look_at({Type.DOVI_METADATA: dolby(0, 1), Type.STEREO3D: struct.pack("@ii", 0, 0)})
    assert bare.needs_dolby
    assert len(bare.notes) == 1
    assert "profile 5" in bare.notes[0]


@pytest.mark.parametrize("name", ["h264_nvenc", "hevc_nvenc", "h264_qsv", "hevc_qsv", "h264_amf", "av1_amf"])
def test_encoders_in_hardware_know_what_they_are_told(name: str) -> None:
    try:
        known = {one.name for one in av.codec.Codec(name, "w").create().supported_options.private}
    except ValueError:
        pytest.skip(f"this FFmpeg was built without {name}")
    told = Encoding(name, crf=20).options(name, "nv12")
    assert "20" in told.values()
    general = {"b", "global_quality"}
    assert set(told) - general <= known
    assert Encoding(name, bitrate=4_000_000).options(name, "nv12").keys() == set()


def test_codecs_go_by_their_own_names_too() -> None:
    for name, encoder in {
        "h264": "libx264",
        "hevc": "libx265",
        "av1": "libsvtav1",
        "prores": "prores_ks",
    }.items():
        assert Encoding(name).encoder("matroska", ".mkv", 8) == encoder
    for name in ("wmv2", "flv", "mpeg1video"):
        assert Encoding().options(name, "yuv420p")["flags"] == "+qscale"
