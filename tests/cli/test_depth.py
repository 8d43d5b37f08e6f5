"""Ten bits, HDR and opacity through ``framestate interpolate`` and ``framestate track``."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from framestate.vision import Encoding, Look, VideoReader, VideoWriter

from .ffprobe import have_ffprobe, light_of, view

Report = Callable[..., dict[str, Any]]
WIDTH, HEIGHT = 320, 64
TEN_BITS = Look(pixel_format="yuv420p10le", bits=10)
LOSSLESS = Encoding("ffv1")


def picture(step: float) -> Any:
    """A 10-bit picture: 1280 levels of grey in four rows of blocks."""
    levels = np.arange(WIDTH * 4) / (WIDTH * 4) * 60000 + step
    rows = levels.reshape(4, WIDTH).repeat(HEIGHT // 4, 0)
    return np.repeat(rows[..., None], 3, 2).astype(np.uint16)


def write(path: Path, frames: int = 4, look: Look = TEN_BITS, encoding: Encoding = LOSSLESS) -> Path:
    with VideoWriter(path, WIDTH, HEIGHT, 25, look=look, encoding=encoding, exact_colour=True) as video:
        for place in range(frames):
            video.write(picture(400 * place))
    return path


def levels_of(path: Path) -> list[int]:
    """How many levels of brightness each frame of a file has, as it is stored."""
    with av.open(str(path)) as container:
        return [
            len(np.unique(frame.to_ndarray(format="yuv420p10le")[:HEIGHT]))
            if "10" in frame.format.name
            else len(np.unique(frame.to_ndarray(format="gray")))
            for frame in container.decode(video=0)
        ]


@pytest.mark.parametrize("codec", ["libx265", "libx264", "ffv1", "libsvtav1"])
def test_a_gradient_of_ten_bits_keeps_its_levels(
    report: Report, model: tuple[str, ...], tmp_path: Path, work: Path, codec: str
) -> None:
    source = write(tmp_path / "in.mkv")
    quality = () if codec == "ffv1" else ("--crf", "4")
    found = report("interpolate", source, "out.mkv", "--codec", codec, *quality, "--no-duplicates", *model)
    assert found["frames_made"] == 3
    assert not any("bits" in words for words in found["notes"])
    assert min(levels_of(work / "out.mkv")) > 256
    with VideoReader(work / "out.mkv") as made:
        assert (made.look.bits, made.look.matrix, made.look.transfer) == (10, 1, 1)


def test_ten_bits_are_no_worse_than_eight(
    report: Report, model: tuple[str, ...], tmp_path: Path, work: Path
) -> None:
    source = write(tmp_path / "in.mkv")
    for name, pixels in (("ten.mkv", "yuv420p10le"), ("eight.mkv", "yuv420p")):
        report("interpolate", source, name, "--codec", "ffv1", "--pix-fmt", pixels, "--no-duplicates", *model)
    errors = {}
    for name in ("ten.mkv", "eight.mkv"):
        with VideoReader(work / name, deep=True, exact_colour=True) as made:
            pictures = [frame.image.astype(float) for frame in made]
        scale = 1 if pictures[0].max() > 255 else 257
        errors[name] = np.mean(
            [np.mean((scale * pictures[2 * n + 1] - picture(400 * n + 200)) ** 2) for n in range(3)]
        )
    assert errors["ten.mkv"] < errors["eight.mkv"]


@pytest.mark.data
@pytest.mark.skipif(not have_ffprobe(), reason="ffprobe is not installed")
@pytest.mark.parametrize(
    ("out", "options"),
    [("o.mp4", ()), ("o.mkv", ()), ("o.mov", ()), ("o.mkv", ("--codec", "libsvtav1", "--preset", "10"))],
)
def test_hdr10_keeps_its_metadata(
    report: Report, model: tuple[str, ...], tmp_path: Path, work: Path, out: str, options: tuple[str, ...],
    shared_data: Path,
) -> None:  # fmt: skip
    source = shared_data / "files_real" / "hdr10_mdcv_clli.mp4"
    if not source.is_file():
        pytest.skip("the files out of public test suites are not here")
    short = tmp_path / "short.mkv"
    with av.open(str(source)) as given, av.open(str(short), "w") as kept:
        stream = kept.add_stream_from_template(given.streams.video[0], opaque=True)
        for count, packet in enumerate(given.demux(video=0)):
            if packet.size and count < 4:
                packet.stream = stream
                kept.mux_one(packet)
    found = report("interpolate", short, out, *options, *model)
    assert found["frames_out"] == 7
    told = light_of(source)
    assert len(told) == 12
    assert light_of(work / out) == pytest.approx(told, abs=0.0001)
    assert view(work / out).video.colour == view(source).video.colour == (
        "tv", "bt2020nc", "bt2020", "smpte2084"
    )  # fmt: skip


def test_hdr_metadata_that_an_encoder_cannot_be_told_is_noted(tmp_path: Path) -> None:
    from framestate.vision.hdr import Light

    light = Light(content=(1000, 400))
    assert light.options("ffv1") is None
    assert light.options("libx265") == {"x265-params": "max-cll=1000,400:hdr10=1"}
    places = ((Fraction(17, 25), Fraction(8, 25)),) * 4
    told = Light(places, (Fraction(1, 100), Fraction(1000))).options("libx265")
    points = "".join(f"{one}(34000,16000)" for one in ("G", "B", "R", "WP"))
    assert told == {"x265-params": f"master-display={points}L(10000000,100):hdr10=1"}
    assert Light(content=(1000, 400)).options("libx264") is None


@pytest.mark.parametrize(("transfer", "white"), [(16, 0.58), (18, 0.75)])
def test_tracking_sees_sdr_and_draws_in_the_look_of_the_source(
    report: Report, tmp_path: Path, work: Path, transfer: int, white: float
) -> None:
    look = Look("yuv420p10le", matrix=9, primaries=9, transfer=transfer, bits=10)
    source = tmp_path / "in.mkv"
    rng = np.random.default_rng(0)
    ground = rng.integers(9000, 22000, (8, 12, 1), dtype=np.uint16).repeat(8, 0).repeat(8, 1).repeat(3, 2)
    with VideoWriter(source, 96, 64, 25, look=look, encoding=LOSSLESS) as video:
        for place in range(3):
            image = ground.copy()
            image[20:40, 30 + place : 50 + place] += 12000
            video.write(image)  # type: ignore[arg-type]
    report("track", source, "--box", "30,20,20,20", "--out", "out.mkv", "--threads", 1)
    with VideoReader(work / "out.mkv", deep=True) as made, VideoReader(source, deep=True) as given:
        assert (made.look.bits, made.look.transfer, made.look.matrix) == (10, transfer, 9)
        one, other = next(iter(made)).image.astype(float), next(iter(given)).image.astype(float)
    away = np.abs(one - other).max(axis=2)
    assert (away[46:] < 3000).mean() > 0.95  # nothing is drawn there
    assert 0.2 < one.max() / 65535 < white + 0.12  # the box is as bright as SDR white at most


def test_opacity_goes_along_with_the_colours(
    report: Report, model: tuple[str, ...], tmp_path: Path, work: Path
) -> None:
    source = tmp_path / "in.mkv"
    look = Look("yuva420p", bits=8)
    with VideoWriter(source, 96, 64, 25, look=look, encoding=LOSSLESS) as video:
        assert video.keeps_alpha
        for place in range(3):
            image = np.full((64, 96, 3), 120, np.uint8)
            image[:, 20 + 4 * place : 40 + 4 * place] = 200
            mask = np.zeros_like(image)
            mask[:, 20 + 4 * place : 40 + 4 * place] = 255
            video.write(image, mask=mask)
    for out, options in (
        ("o.mov", ("--codec", "prores_ks")), ("o.webm", ()), ("o.apng", ()), ("o.mkv", ("--codec", "ffv1")),
    ):  # fmt: skip
        found = report("interpolate", source, out, *options, "--no-duplicates", *model)
        assert not any("transparency" in words for words in found["notes"]), out
        with VideoReader(work / out) as made, made.masks() as opacity:
            assert made.has_alpha
            masks = [frame.image[32, :, 0].astype(int) for frame in opacity]
        assert len(masks) == 5
        for place in (0, 2, 4):  # those of the source
            first = 20 + 2 * place
            assert masks[place][first + 3 : first + 17].min() > 240
            assert masks[place][: first - 3].max() < 15
        assert masks[1][25:37].min() > 200  # and of a made one
    found = report("interpolate", source, "o.mp4", *model)
    assert any("transparency" in words for words in found["notes"])
