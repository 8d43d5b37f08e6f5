from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from framestate.errors import OptionError, VideoError
from framestate.vision import Frame, VideoReader, encode_image
from framestate.vision.reader import _Clock

from .conftest import picture

ClipMaker = Callable[..., Path]


def bar(frame: Frame) -> int:
    """The place in the clip that the bright bar tells."""
    return int(frame.image.astype(int).sum((0, 2)).reshape(-1, 4).sum(1).argmax())


def test_reading_a_clip(make_clip: ClipMaker) -> None:
    with VideoReader(make_clip(rate=Fraction(24000, 1001))) as frames:
        assert (frames.width, frames.height, frames.frame_count) == (96, 64, 24)
        assert frames.frame_rate == Fraction(24000, 1001)
        assert isinstance(frames.time_base, Fraction)
        found = list(frames)
    assert [frame.index for frame in found] == list(range(24))
    assert [bar(frame) for frame in found] == list(range(24))
    assert [frame.pts * frame.time_base for frame in found] == [n * Fraction(1001, 24000) for n in range(24)]
    assert frames.broken_packets == 0


def test_iterating_again_starts_over(make_clip: ClipMaker) -> None:
    with VideoReader(make_clip()) as frames:
        first = [frame.pts for frame, _ in zip(frames, range(5), strict=False)]
        again = list(frames)
    assert len(again) == 24
    assert [frame.pts for frame in again][:5] == first


def test_reading_is_lazy(make_clip: ClipMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    converted: list[int] = []
    convert = av.VideoFrame.to_ndarray

    def counting(source: object, frame: av.VideoFrame) -> object:
        converted.append(1)
        return convert(frame, format="rgb24")

    monkeypatch.setattr("framestate.vision.container.ContainerSource._to_rgb", counting)
    with VideoReader(make_clip()) as frames:
        assert len(converted) == 1
        taken = iter(frames)
        for _ in range(4):
            next(taken)
        assert len(converted) == 4


def test_closing_ends_the_reading(make_clip: ClipMaker) -> None:
    frames = VideoReader(make_clip())
    taken = iter(frames)
    first = next(taken)
    frames.close()
    assert list(taken) == []
    assert first.image.any()
    with pytest.raises(VideoError, match="closed"):
        iter(frames)


def test_exact_colour_is_closer(make_clip: ClipMaker) -> None:
    path = make_clip(frames=6)
    errors = []
    for exact in (False, True):
        found = list(VideoReader(path, exact_colour=exact))
        errors.append(np.mean([frame.image.astype(int) - picture(frame.index) for frame in found]))
    assert abs(errors[1]) < 0.5
    assert abs(errors[1]) < abs(errors[0])


def test_garbage_inside_the_data_is_skipped(make_clip: ClipMaker) -> None:
    path = make_clip(frames=60)
    data = bytearray(path.read_bytes())
    start = data.find(b"mdat") + 8
    assert start > data.find(b"moov") > 0  # the index stands in front
    middle = start + (len(data) - start) // 2
    data[middle : middle + 12_000] = np.random.default_rng(3).bytes(12_000)
    path.write_bytes(data)
    with VideoReader(path) as frames:
        found = list(frames)
        assert frames.broken_packets > 0
    assert 30 < len(found) < 60
    assert [frame.index for frame in found] == list(range(len(found)))
    gaps = [second.pts - first.pts for first, second in pairwise(found)]
    assert min(gaps) > 0
    assert max(gaps) > min(gaps)  # what is missing shows in the times


def test_a_packet_without_a_byte_is_not_broken(tmp_path: Path) -> None:
    """It says that the picture stays, as Theora's and captures do where nothing changes."""
    path = tmp_path / "stays.nut"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        tick = Fraction(1, 25)
        for index in (0, 1, 4, 5):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * index, np.uint8), format="rgb24")
            picture.pts = index
            for packet in stream.encode(picture):
                file.mux(packet)
            for stays in (2, 3) if index == 1 else ():
                empty = av.Packet(b"")
                empty.stream, empty.pts, empty.dts, empty.time_base = stream, stays, stays, tick
                file.mux(empty)
        for packet in stream.encode():
            file.mux(packet)
    with av.open(str(path)) as file:
        assert [packet.size for packet in file.demux(video=0) if packet.pts is not None].count(0) == 2
    with VideoReader(path) as frames:
        assert [frame.pts * frame.time_base for frame in frames] == [Fraction(i, 25) for i in (0, 1, 4, 5)]
        assert frames.broken_packets == 0


def test_cut_data_is_read_as_far_as_it_goes(make_clip: ClipMaker) -> None:
    path = make_clip(frames=60)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    with VideoReader(path) as frames:
        found = list(frames)
    assert 20 < len(found) < 55
    assert [bar(frame) % 24 for frame in found] == [n % 24 for n in range(len(found))]


def test_a_file_without_its_index_is_an_error(make_clip: ClipMaker) -> None:
    path = make_clip()
    data = path.read_bytes()
    index, pictures = data.find(b"moov") - 4, data.find(b"mdat") - 4
    path.write_bytes(data[:index] + data[pictures:])
    with pytest.raises(VideoError, match="cannot be opened"):
        VideoReader(path)
    path.write_bytes(data[: index + 40])
    with pytest.raises(VideoError, match="no video stream"):
        VideoReader(path)


def test_nothing_that_decodes_is_an_error(make_clip: ClipMaker) -> None:
    path = make_clip()
    data = bytearray(path.read_bytes())
    start = data.find(b"mdat") + 4
    data[start:] = bytes(len(data) - start)
    path.write_bytes(data)
    with pytest.raises(VideoError, match=r"Nothing in .* decodes"):
        VideoReader(path)


def test_what_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="does not exist"):
        VideoReader(tmp_path / "missing.mp4")
    for name, data in (
        ("text.mp4", b"This is a text and not a video.\n" * 200),
        ("subtitles.mp4", b"1\n00:00:01,000 --> 00:00:02,000\nHello\n\n" * 50),
        ("picture.mp4", encode_image(picture(0), "png")),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(VideoError, match="cannot be opened"):
            VideoReader(path)
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(VideoError, match="is empty"):
        VideoReader(tmp_path / "empty.mp4")
    (tmp_path / "one.png").write_bytes(b"no picture either")
    with pytest.raises(VideoError, match="that of a picture"):
        VideoReader(tmp_path / "one.png")


def test_a_playlist_opens_no_other_file(make_clip: ClipMaker, tmp_path: Path) -> None:
    clip = make_clip()
    for name, text in (
        ("list.mp4", f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:1,\nfile://{clip}\n#EXT-X-ENDLIST\n"),
        ("list.m3u8", f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:1,\n{clip.name}\n#EXT-X-ENDLIST\n"),
        ("concat.txt", f"ffconcat version 1.0\nfile {clip.name}\n"),
    ):
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(VideoError, match="cannot be opened"):
            VideoReader(path)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        sound.sample_rate = 44100
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(VideoError, match=r"no video stream .*audio"):
        VideoReader(path)


def test_frames_that_are_too_large(make_clip: ClipMaker) -> None:
    with pytest.raises(VideoError, match="96 x 64 pixels, and the limit is 1000"):
        VideoReader(make_clip(), max_pixels=1000)


def test_uneven_times_are_kept(make_clip: ClipMaker) -> None:
    pts = [7, 40, 45, 200, 1000, 1001]
    path = make_clip(frames=6, pts=pts, time_base=Fraction(1, 1000))
    found = list(VideoReader(path))
    assert [frame.pts * frame.time_base * 1000 for frame in found] == pts


def test_display_rotation_is_applied(tmp_path: Path) -> None:
    image = np.zeros((64, 96, 3), np.uint8)
    image[:16, :16] = 255  # a bright top left corner
    for degrees, corner in ((90, (-8, 8)), (-90, (8, -8)), (180, (-8, -8))):
        path = tmp_path / f"turned{degrees}.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            if not hasattr(stream, "set_display_rotation"):
                pytest.skip("this PyAV cannot write a rotation")
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            stream.set_display_rotation(degrees)
            for place in range(3):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts = place
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        turned = next(iter(VideoReader(path)))
        assert (turned.width, turned.height) == ((96, 64) if degrees == 180 else (64, 96))
        assert turned.image[corner].mean() > 200, degrees


def test_ten_bits_become_eight(tmp_path: Path) -> None:
    path = tmp_path / "deep.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p10le"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(0), format="rgb24")))
        container.mux(stream.encode(None))
    found = list(VideoReader(path, exact_colour=True))
    assert len(found) == 1
    assert found[0].image.dtype == np.uint8
    assert abs(found[0].image.mean() - picture(0).mean()) < 2


def test_a_folder_of_images_is_a_video(tmp_path: Path) -> None:
    for place in (0, 1, 2, 3, 10, 11):
        (tmp_path / f"frame{place}.png").write_bytes(encode_image(picture(place)))
    (tmp_path / "frame2.png").write_bytes(encode_image(picture(2))[:500])
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "groundtruth.csv").write_text("1,2,3,4")
    with VideoReader(tmp_path, image_rate=10) as frames:
        assert frames.frame_rate == Fraction(10)
        assert frames.frame_count == 6
        found = list(frames)
        assert frames.broken_packets == 1
    assert [bar(frame) for frame in found] == [0, 1, 3, 10, 11]
    assert [frame.pts for frame in found] == [0, 1, 3, 4, 5]
    assert [frame.index for frame in found] == [0, 1, 2, 3, 4]
    assert found[-1].seconds == 0.5


def test_pictures_in_a_row_are_a_video(tmp_path: Path) -> None:
    (tmp_path / "camera.mjpeg").write_bytes(b"".join(encode_image(picture(i), "jpeg") for i in range(4)))
    with VideoReader(tmp_path / "camera.mjpeg") as reader:
        assert [frame.index for frame in reader] == [0, 1, 2, 3]


def test_images_of_different_sizes(tmp_path: Path) -> None:
    for place, image in enumerate((picture(0), picture(1).transpose(1, 0, 2), picture(2)[:-2])):
        (tmp_path / f"{place}.png").write_bytes(encode_image(np.ascontiguousarray(image), "png"))
    with VideoReader(tmp_path) as reader:
        assert len(list(reader)) == 3
    with pytest.raises(VideoError, match=r"0\.png is 96x64, 2\.png is 96x62"):
        VideoReader(tmp_path, one_size=True)
    (tmp_path / "2.png").unlink()  # what is left may be turned
    with VideoReader(tmp_path, one_size=True) as reader:
        assert len(list(reader)) == 2


def test_folders_without_a_good_image(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="holds no images"):
        VideoReader(tmp_path)
    (tmp_path / "1.jpg").write_bytes(b"broken")
    (tmp_path / "2.jpg").mkdir()
    (tmp_path / "._3.jpg").write_bytes(b"what macOS leaves")
    with pytest.raises(VideoError, match=r"1 broken packets, 0 frames"):
        VideoReader(tmp_path)


@pytest.mark.parametrize("options", [{"threads": 0}, {"image_rate": 0}, {"max_pixels": -1}])
def test_impossible_options(make_clip: ClipMaker, options: dict[str, int]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        VideoReader(make_clip(), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([0, 10, 20], [0, 10, 20]),
        ([5, 15, 25], [5, 15, 25]),
        ([-20, -10, 0, 10], [0, 10, 20, 30]),
        ([None, None, None], [0, 10, 20]),
        ([0, None, 20, None], [0, 10, 20, 30]),
        ([0, 10, 10, 5, 40], [0, 10, 11, 12, 40]),
    ],
)
def test_times_start_at_0_or_later_and_increase(given: list[int | None], expected: list[int]) -> None:
    clock = _Clock(Fraction(10))
    assert [clock.stamp(pts) for pts in given] == expected


@pytest.mark.data
def test_real_clips(shared_data: Path) -> None:
    for folder in sorted((shared_data / "tracking").iterdir())[:2]:
        with VideoReader(folder / "video.mp4") as frames:
            found = [(frame.pts, frame.index) for frame in frames]
            assert len(found) == frames.frame_count == len((folder / "groundtruth.txt").read_text().split())
            assert frames.broken_packets == 0
