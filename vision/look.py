"""`Look`: how the pictures of a video are stored, so that another video can be made to look the same."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av

_UNKNOWN = 2  # "unspecified", for every kind of tag; these numbers are those of ITU-T H.273 and of FFmpeg
_BT709, _BT601, _LIMITED, _FULL = 1, 5, 1, 2
_HDR_TRANSFERS = {16: "PQ (SMPTE ST 2084)", 18: "HLG (ARIB STD-B67)"}
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
"""Colour matrices, by their tag, as libswscale numbers them; any other is taken for BT.601."""


@dataclass(frozen=True, slots=True)
class Look:
    """Pixel format, colour tags and shape of pixels. The numbers are those of H.273; 2 is "not said".

    Attributes:
        pixel_format: as FFmpeg names it.
        colour_range: 1 is limited (16 to 235), 2 is full; 0 is not said, which means limited.
        matrix, primaries, transfer: the stream's tags.
        aspect: width of a pixel over its height.
        bits: of one component.
    """

    pixel_format: str = "yuv420p"
    colour_range: int = _LIMITED
    matrix: int = _BT709
    primaries: int = _BT709
    transfer: int = _BT709
    aspect: Fraction = Fraction(1)
    bits: int = 8

    @classmethod
    def of(cls, stream: Any) -> Look:
        """What PyAV's video ``stream`` says of itself."""
        context = stream.codec_context
        name = context.pix_fmt or "yuv420p"
        kind = av.VideoFormat(name)
        full = name.startswith("yuvj") or kind.is_rgb
        shape = stream.sample_aspect_ratio or context.sample_aspect_ratio
        return cls(
            pixel_format=name,
            colour_range=_FULL if full else int(context.color_range),
            matrix=int(context.colorspace),
            primaries=int(context.color_primaries),
            transfer=int(context.color_trc),
            aspect=Fraction(shape) if shape else Fraction(1),
            bits=max((component.bits for component in kind.components), default=8),
        )

    @property
    def hdr(self) -> str | None:
        """The name of the transfer function of high dynamic range, where the stream has one."""
        return _HDR_TRANSFERS.get(self.transfer)

    @property
    def swscale_matrix(self) -> int:
        """The colour matrix as libswscale numbers it; BT.601 where none is said, as `VideoReader` has it."""
        return _MATRICES.get(self.matrix, _BT601)

    @property
    def in_eight_bits(self) -> Look:
        """The same look as 8-bit YUV, which every player knows: 4:2:2 and 4:4:4 stay, all else is 4:2:0."""
        name = self.pixel_format
        is_rgb = av.VideoFormat(name).is_rgb
        chroma = next(
            (one for one in ("422", "444") if name.startswith(("yuv", "yuva")) and one in name), "420"
        )
        return Look(
            pixel_format=f"yuv{chroma}p",
            colour_range=_LIMITED if is_rgb or not self.colour_range else self.colour_range,
            matrix=_BT709 if is_rgb else self.matrix,
            primaries=self.primaries,
            transfer=self.transfer,
            aspect=self.aspect,
        )
