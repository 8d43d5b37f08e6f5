"""`changes`: what a video cannot keep of the pictures of another one, in sentences for people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .reader import VideoReader
from .storing import chroma_steps
from .writer import VideoWriter


@dataclass(frozen=True, slots=True)
class _Pair:
    """A source that was read to its end, and the target made of it, drawn on or not."""

    source: VideoReader
    made: VideoWriter
    drawn: bool

    def depth(self) -> str | None:
        given, kept = self.source.look.bits, self.made.look.bits
        if given <= kept:
            return None
        return f"the video has {given} bits a component, and {self.made.codec} writes {kept}"

    def colour(self) -> str | None:
        given, kept = self.source.look.pixel_format, self.made.pixel_format
        pairs = zip(chroma_steps(given), chroma_steps(kept), strict=True)
        is_fine = self.source.is_finely_coloured and not self.source.look.is_grey
        if not is_fine or all(after <= before for before, after in pairs):
            return None
        return (
            f"the pictures are {given}, and {kept} holds colour more coarsely, as players ask for: "
            "--pix-fmt yuv444p or --codec ffv1 keeps more of it"
        )

    def palette(self) -> str | None:
        if self.made.codec != "gif" or self.source.look.pixel_format in ("pal8", "bgra"):
            return None
        return "a GIF shows 256 colours a frame: the others are mixed from those"

    def opacity(self) -> str | None:
        if not self.source.has_alpha or self.made.look.has_alpha:
            return None
        words = "the video has transparency, which is dropped: its colours are written as they are"
        if self.drawn:
            return words
        return f"{words} (.webm, or --codec prores_ks in .mov, ffv1 in .mkv can hold it)"

    def light(self) -> str | None:
        light = self.source.look.light
        if not light or light.options(self.made.codec) is not None:
            return None
        return f"what it tells of its mastering display is dropped: {self.made.codec} cannot be told"

    def fields(self) -> str | None:
        if not self.source.is_interlaced:
            return None
        return (
            "interlaced frames were woven (bwdif)"
            if self.source.deinterlaces
            else "the video is interlaced, and is left so (--deinterlace auto weaves its frames)"
        )

    def size(self) -> str | None:
        given = self.source.width, self.source.height
        kept = self.made.encoded_width, self.made.encoded_height
        if given == kept:
            return None
        return (
            f"the size {given[0]}x{given[1]} is odd, and {self.made.pixel_format} needs an even one: "
            f"{kept[0]}x{kept[1]}, the last pixels repeated"
        )

    def times(self) -> str | None:
        lost = self.made.fell_together
        return f"{lost} frames are left out: the container counts too coarsely for them" if lost else None


_KINDS: tuple[Callable[[_Pair], str | None], ...] = (
    *(_Pair.depth, _Pair.colour, _Pair.palette, _Pair.opacity, _Pair.light),
    *(_Pair.fields, _Pair.size, _Pair.times),
)
"""What may differ, in the order in which it is told."""


def changes(source: VideoReader, made: VideoWriter, *, drawn: bool = False) -> list[str]:
    """What the pictures of ``made`` do not keep of those of ``source``, a sentence each.

    Args:
        source: read to its end, as some of it shows only on the way.
        made: what was written of it.
        drawn: whether it was drawn on, and so is opaque in every container.
    """
    pair = _Pair(source, made, drawn)
    return [*(words for tell in _KINDS if (words := tell(pair)) is not None), *source.extras.notes]
