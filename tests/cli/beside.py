"""What ffprobe says of an output beside what it says of its source, and where the two may differ."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from .ffprobe import TICK, View, colours_of

FRAME = 0.041  # seconds at 25 a second: what sound may begin or end apart from the pictures
COLOUR = 6  # levels of 255: `track` converts fast, about one level too dark, and draws a box


@dataclass(frozen=True)
class Row:
    """One input, one output, and where they may differ.

    Attributes:
        file: in shared/data/files.
        out: suffix of the output.
        options: of the command.
        starts_at_0: the source's clock starts elsewhere, and the output's at 0.
        codecs: of sound and subtitles in the output, where they are not the source's.
        lost: kinds of streams that the output has fewer of, each with a note or as asked for.
        slow: how many times longer it lasts.
        lasts: seconds, where the source's container does not tell.
        said: what the notes say, in part.
    """

    file: str
    out: str
    options: tuple[str, ...] = ()
    starts_at_0: bool = False
    codecs: tuple[str, ...] | None = None
    lost: tuple[str, ...] = ()
    slow: int = 1
    lasts: float | None = None
    said: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return " ".join((self.file, self.out, *self.options))


def compare(given: View, made: View, row: Row) -> None:
    """Times, durations, streams, tags, dispositions, orientation, aspect and colours."""
    origin = given.start if row.starts_at_0 else 0.0
    assert made.start == pytest.approx(0, abs=FRAME)
    assert made.begins == pytest.approx(given.begins - origin, abs=FRAME)
    lasts = row.lasts or given.ends - origin
    begins = given.begins - origin
    assert made.ends == pytest.approx(begins + row.slow * (lasts - begins), abs=2 * FRAME)
    if row.out == ".mp4" and not made.all("audio"):
        assert made.duration == pytest.approx(made.ends - made.start, abs=TICK)  # no longer than its packets

    shown, source = made.video, given.video
    assert shown.turned == 0
    if source.shape and shown.size != source.size:
        assert shown.size == source.size[::-1]
    assert float(shown.shape) == pytest.approx(float(source.shape), rel=0.02) or "seirot" in row.file
    if "rgb" not in source.pixels and "bgr" not in source.pixels:
        # Limited range is what is meant where nothing is said.
        unsaid = {"unknown": "tv"}
        assert (unsaid.get(shown.colour[0], shown.colour[0]), *shown.colour[1:]) == (
            unsaid.get(source.colour[0], source.colour[0]), *source.colour[1:]
        )  # fmt: skip
    assert ("10" in shown.pixels or "12" in shown.pixels) == ("10" in source.pixels or "12" in source.pixels)
    assert (shown.tags, shown.default) == (
        {key: value for key, value in source.tags.items() if row.out == ".mkv" or key == "language"},
        (source.default or row.out in (".mp4", ".mov")) and row.out not in (".avi", ".ts", ".gif"),
    )

    if row.file != "lostpk.ts":  # whose first picture is damaged
        assert colours_of(made) == pytest.approx(colours_of(given), abs=COLOUR)

    for kind in ("audio", "subtitle"):
        others, theirs = made.all(kind), given.all(kind)
        if kind in row.lost:
            assert others == []
            continue
        assert [one.default for one in others] == [one.default or row.out == ".mp4" for one in theirs] or (
            row.out in (".mp4", ".mov", ".ts")
        )
        languages = [one.tags.get("language") for one in theirs]
        assert [one.tags.get("language") for one in others] == languages
        for one, other in zip(others, theirs, strict=True):
            if kind == "audio" and one.start is not None and other.start is not None:
                assert one.start - made.begins == pytest.approx(other.start - given.begins, abs=FRAME)
    kept = [
        one.codec for one in given.streams if one.kind in ("audio", "subtitle") and one.kind not in row.lost
    ]
    got = [one.codec for one in made.streams if one.kind in ("audio", "subtitle")]
    assert got == list(row.codecs or kept)
    if row.out in (".mkv", ".mp4", ".mov"):
        assert sum(one.is_cover for one in made.streams) == sum(one.is_cover for one in given.streams)
        assert made.chapters == given.chapters
