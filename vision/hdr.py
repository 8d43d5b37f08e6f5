"""What HDR video tells of its mastering display and its brightest pixels (ST 2086, CTA-861.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np
from av.sidedata.sidedata import Type

_RED, _GREEN, _BLUE, _WHITE = range(4)
_CHROMA, _LUMINANCE = 50_000, 10_000  # units of ST 2086


@dataclass(frozen=True, slots=True)
class Light:
    """Static metadata of one video.

    Attributes:
        places: of red, green, blue and white, x and y in CIE 1931; empty where nothing is said.
        luminance: least and most, in cd/m²; empty where nothing is said.
        content: MaxCLL and MaxFALL in cd/m²; empty where nothing is said.
    """

    places: tuple[tuple[Fraction, Fraction], ...] = ()
    luminance: tuple[Fraction, ...] = ()
    content: tuple[int, ...] = ()

    @classmethod
    def of(cls, data: Mapping[Any, Any]) -> Light:
        """What the side data of a decoded frame tells."""
        places: tuple[tuple[Fraction, Fraction], ...] = ()
        luminance: tuple[Fraction, ...] = ()
        content: tuple[int, ...] = ()
        if (mastering := data.get(Type.MASTERING_DISPLAY_METADATA)) is not None:
            numbers = np.frombuffer(bytes(mastering), np.int32).tolist()
            rationals = [Fraction(a, b or 1) for a, b in zip(numbers[:20:2], numbers[1:20:2], strict=True)]
            if numbers[20]:
                places = tuple(zip(rationals[:8:2], rationals[1:8:2], strict=True))
            if numbers[21]:
                luminance = tuple(rationals[8:10])
        if (levels := data.get(Type.CONTENT_LIGHT_LEVEL)) is not None:
            content = tuple(np.frombuffer(bytes(levels), np.uint32)[:2].tolist())
        return cls(places, luminance, content)

    def __bool__(self) -> bool:
        return bool(self.places or self.luminance or self.content)

    def options(self, codec: str) -> dict[str, str] | None:
        """What makes an encoder write it, beside its other options; None for one that cannot be told."""
        told = _TOLD.get(codec)
        return told(self) if told is not None else None

    @property
    def _in_units(self) -> str:
        """As x265 takes the mastering display."""
        points = [f"({round(x * _CHROMA)},{round(y * _CHROMA)})" for x, y in self.places]
        low, high = (round(value * _LUMINANCE) for value in self.luminance)
        return f"G{points[_GREEN]}B{points[_BLUE]}R{points[_RED]}WP{points[_WHITE]}L({high},{low})"

    @property
    def _in_numbers(self) -> str:
        """As SVT-AV1 takes it."""
        points = [f"({float(x):.5f},{float(y):.5f})" for x, y in self.places]
        low, high = (f"{float(value):.4f}" for value in self.luminance)
        return f"G{points[_GREEN]}B{points[_BLUE]}R{points[_RED]}WP{points[_WHITE]}L({high},{low})"

    def _params(self, mastering: str, content: str, joined: str, in_units: bool = True) -> str:
        words = []
        if self.places and self.luminance:
            words.append(f"{mastering}={self._in_units if in_units else self._in_numbers}")
        if self.content:
            words.append(f"{content}={joined.join(map(str, self.content))}")
        return ":".join(words)


_TOLD: Mapping[str, Callable[[Light], dict[str, str]]] = MappingProxyType(
    {
        "libx265": lambda light: {
            "x265-params": light._params("master-display", "max-cll", ",") + ":hdr10=1"
        },
        "libsvtav1": lambda light: {
            "svtav1-params": light._params("mastering-display", "content-light", ",", in_units=False)
        },
    }
)
"""How encoders are told, by name."""
