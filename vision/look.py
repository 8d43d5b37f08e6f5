"""`Look`: how the pictures of a video are stored, so that another video can be made to look the same."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import av
import av.video.format

from .encoders import is_transparent
from .hdr import Light

# "unspecified", for every kind of tag, and the matrix of what has none, as in ITU-T H.273 and FFmpeg.
_UNKNOWN, _RGB = 2, 0
_BT709, _BT601, _LIMITED, _FULL = 1, 5, 1, 2
_HDR_TRANSFERS = {16: "PQ (SMPTE ST 2084)", 18: "HLG (ARIB STD-B67)"}
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
"""Colour matrices, by their tag, as libswscale numbers them."""
_DEPTH = re.compile(r"(9|1[0246])(le|be)$")
_NAMES: frozenset[str] = frozenset(vars(av.video.format)["names"])  # every pixel format
_HD_LINES, _HD_COLUMNS = 720, 1280  # from which on players take what is not tagged for BT.709


@dataclass(frozen=True, slots=True)
class Look:
    """Pixel format, colour tags and shape of pixels. The numbers are those of H.273; 2 is "not said".

    Attributes:
        pixel_format: as FFmpeg names it.
        colour_range: 1 is limited (16 to 235), 2 is full; 0 is not said, which means limited.
        matrix, primaries, transfer: the stream's tags.
        aspect: width of a pixel over its height.
        bits: of one component.
        is_hd: from 720 lines or 1280 columns up; players take it for BT.709 where it has no tag.
        turned: the aspect is that of a picture laid on its side.
        light: what HDR tells of its display and its brightest pixels.
    """

    pixel_format: str = "yuv420p"
    colour_range: int = _LIMITED
    matrix: int = _BT709
    primaries: int = _BT709
    transfer: int = _BT709
    aspect: Fraction = Fraction(1)
    bits: int = 8
    is_hd: bool = False
    turned: bool = False
    light: Light = field(default_factory=Light)

    @classmethod
    def of(cls, stream: Any) -> Look:
        """What PyAV's video ``stream`` says of itself."""
        context = stream.codec_context
        name = context.pix_fmt or "yuv420p"
        full = name.startswith("yuvj") or _is_rgb(name)
        shape = stream.sample_aspect_ratio or context.sample_aspect_ratio
        return cls(
            pixel_format=name,
            colour_range=_FULL if full else int(context.color_range),
            matrix=int(context.colorspace),
            primaries=int(context.color_primaries),
            transfer=int(context.color_trc),
            aspect=Fraction(shape) if shape else Fraction(1),
            bits=_bits(name),
            is_hd=context.height >= _HD_LINES or context.width >= _HD_COLUMNS,
        )

    def as_seen_in(self, frame: Any) -> Look:
        """The look with what PyAV's decoded ``frame`` says, which counts more than what its container does.

        Files are relabelled without being encoded again, and programs differ in what they write: players
        show what the pictures say of themselves.
        """
        name = str(frame.format.name)
        matrix, primaries, transfer = (
            said if said != _UNKNOWN else own
            for said, own in (
                (int(frame.colorspace), self.matrix),
                (int(frame.color_primaries), self.primaries),
                (int(frame.color_trc), self.transfer),
            )
        )
        full = name.startswith("yuvj") or _is_rgb(name)
        return replace(
            self,
            pixel_format=name,
            bits=_bits(name),
            colour_range=_FULL if full else int(frame.color_range) or self.colour_range,
            matrix=matrix,
            primaries=primaries,
            transfer=transfer,
        )

    @property
    def on_its_side(self) -> Look:
        """The look of the same pictures turned by a quarter: a pixel's width is its height then."""
        return replace(self, aspect=1 / self.aspect, turned=not self.turned)

    @property
    def hdr(self) -> str | None:
        """The name of the transfer function of high dynamic range, where the stream has one."""
        return _HDR_TRANSFERS.get(self.transfer)

    @property
    def swscale_matrix(self) -> int:
        """The colour matrix as libswscale numbers it; of HD or SD where none is said, as players have it."""
        return _MATRICES.get(self.matrix, _BT709 if self.is_hd else _BT601)

    @property
    def is_rgb(self) -> bool:
        """Whether the pixels are stored as red, green and blue, with or without a palette."""
        return _is_rgb(self.pixel_format)

    @property
    def is_grey(self) -> bool:
        """Whether the pixels have brightness alone."""
        kind = av.VideoFormat(self.pixel_format)
        return len(kind.components) - self.has_alpha < len("RGB") and not kind.has_palette

    @property
    def has_alpha(self) -> bool:
        """Whether the pixels have an opacity."""
        return is_transparent(self.pixel_format)

    @property
    def opaque(self) -> Look:
        """The same look without an opacity."""
        if not self.has_alpha:
            return self
        name = self.pixel_format.replace("yuva", "yuv").replace("gbrap", "gbrp")
        if name not in _NAMES or is_transparent(name):  # those that have components side by side
            shallow, deep = ("rgb24", "rgb48le") if self.is_rgb else ("yuv444p", "yuv444p16le")
            if self.is_grey:
                shallow, deep = "gray", "gray16le"
            name = deep if _bits(self.pixel_format) > 8 else shallow
        return replace(self, pixel_format=name)

    @property
    def in_eight_bits(self) -> Look:
        """The same look with 8 bits a component."""
        name = _DEPTH.sub("", self.pixel_format)
        if name not in _NAMES or _bits(name) > 8:
            name = "rgb24" if self.is_rgb else "yuv420p"
        return replace(self, pixel_format=name, bits=8)

    def stored_as(self, pixel_format: str) -> Look:
        """The same look in an encoder's pixel format: RGB has no matrix, and YUV made of it BT.709."""
        look = replace(self, pixel_format=pixel_format, bits=_bits(pixel_format))
        if _is_rgb(pixel_format):
            return replace(look, matrix=_UNKNOWN, colour_range=_FULL)
        if self.is_rgb or self.matrix == _RGB:
            return replace(look, matrix=_BT709, colour_range=_LIMITED)
        return look if self.colour_range else replace(look, colour_range=_LIMITED)


def _is_rgb(pixel_format: str) -> bool:
    kind = av.VideoFormat(pixel_format)
    return bool(kind.is_rgb or kind.has_palette)


def _bits(pixel_format: str) -> int:
    """Of the deepest component."""
    return max((component.bits for component in av.VideoFormat(pixel_format).components), default=8)
