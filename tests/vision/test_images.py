from __future__ import annotations

import struct
import zlib
from typing import Literal

import cv2
import numpy as np
import pytest
from framestate.errors import FrameError, ImageError
from framestate.vision import Image, decode_image, encode_image
from framestate.vision.images import image_size
from hypothesis import given
from hypothesis import strategies as st

Kind = Literal["jpeg", "png", "webp"]
KINDS: tuple[Kind, ...] = ("jpeg", "png", "webp")


def picture(width: int = 63, height: int = 47) -> Image:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    smooth: Image = cv2.GaussianBlur(noise, (0, 0), 3.0).astype(np.uint8)
    return smooth


@pytest.mark.parametrize("kind", KINDS)
def test_encoding_and_decoding(kind: Kind) -> None:
    image = picture()
    data = encode_image(image, kind, quality=97)
    assert image_size(data) == (63, 47)
    found = decode_image(data)
    assert found.dtype == np.uint8
    assert found.shape == image.shape
    assert abs(found.astype(int) - image).mean() < (1e-9 if kind == "png" else 2.5)


def test_channels_are_red_green_blue() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    image[..., 0] = 255
    assert decode_image(encode_image(image))[0, 0].tolist() == [255, 0, 0]


def test_grey_transparent_and_deep_images_become_rgb_of_8_bits() -> None:
    for array in (
        np.full((9, 7), 200, np.uint8),
        np.full((9, 7, 4), 200, np.uint8),
        np.full((9, 7, 3), 200 * 257, np.uint16),
    ):
        found = decode_image(cv2.imencode(".png", array)[1].tobytes())
        assert found.shape == (9, 7, 3)
        assert (found == 200).all()


def test_lossless_and_transparent_webp() -> None:
    for array in (picture(), np.dstack([picture(), picture()[..., 0]])):
        data = cv2.imencode(".webp", array, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
        assert image_size(data) == (63, 47)
        assert decode_image(data).shape == (47, 63, 3)


def png_that_claims(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IEND\xaeB\x60\x82"


def test_the_size_is_checked_before_decoding() -> None:
    with pytest.raises(ImageError, match="100000 x 100000 pixels, and the limit"):
        decode_image(png_that_claims(100_000, 100_000))
    with pytest.raises(ImageError, match="63 x 47 pixels, and the limit is 100"):
        decode_image(encode_image(picture(), "jpeg"), max_pixels=100)
    assert decode_image(encode_image(picture(), "jpeg"), max_pixels=63 * 47).shape == (47, 63, 3)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "0 bytes"),
        (b"hello, this is text", "not JPEG, PNG or WebP"),
        (b"GIF89a" + bytes(50), "not JPEG, PNG or WebP"),
        (b"\xff\xd8\xff", "ends inside its header"),
        (b"\xff\xd8\x00\x00", "no marker"),
        (b"\xff\xd8\xff\xda\x00\x02", "no size before its pixels"),
        (b"RIFF\x10\0\0\0WEBPVP9 " + bytes(30), "chunk"),
        (png_that_claims(0, 5), "0 x 5"),
        (png_that_claims(5, 5), "does not decode"),
    ],
)
def test_what_is_no_image(data: bytes, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        decode_image(data)


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_cut_short_is_an_error_wherever_it_ends(kind: Kind) -> None:
    data = encode_image(picture(), kind)
    for end in range(0, len(data) - 1, 7):
        with pytest.raises(ImageError):
            decode_image(data[:end])


def test_a_thumbnail_does_not_pass_for_the_image() -> None:
    small, data = encode_image(picture(16, 16), "jpeg"), encode_image(picture(), "jpeg")
    segment = b"\xff\xe1" + struct.pack(">H", len(small) + 2) + small
    whole = data[:2] + segment + data[2:]
    assert image_size(whole) == (63, 47)
    assert decode_image(whole).shape == (47, 63, 3)
    with pytest.raises(ImageError, match="cut short"):
        decode_image(whole[: len(whole) - 200])


def test_an_exif_orientation_is_applied() -> None:
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    data = encode_image(picture(), "jpeg")
    turned = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    assert decode_image(turned).shape == (63, 47, 3)


@given(st.sampled_from(KINDS), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6))
def test_damage_gives_an_image_or_an_image_error(kind: Kind, changes: list[tuple[int, int]]) -> None:
    data = bytearray(encode_image(picture(31, 23), kind))
    for place, value in changes:
        data[place % len(data)] = value
    try:
        found = decode_image(bytes(data), max_pixels=10_000)
    except ImageError:
        return
    assert found.dtype == np.uint8
    assert found.ndim == 3


def test_encoding_wants_rgb_and_a_known_kind() -> None:
    with pytest.raises(FrameError):
        encode_image(np.zeros((4, 4), np.uint8))
    with pytest.raises(ImageError, match="'gif'"):
        encode_image(picture(), "gif")  # type: ignore[arg-type]
    with pytest.raises(ImageError):
        encode_image(np.zeros((4, 20_000, 3), np.uint8), "webp")
