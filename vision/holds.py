"""What containers hold beside pictures, where FFmpeg does not tell, or has to be told."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from .streams import codec_of

ATTACHED = ("matroska",)
"""Formats that hold attachments, covers among them."""
KEEP_EDITS = ("mp4", "mov", "ipod")
"""Formats that keep what is read and not shown, and say so; in others it would be heard."""
_COVERED = (*ATTACHED, *KEEP_EDITS)
_COVERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"mjpeg": ("cover.jpg", "image/jpeg"), "png": ("cover.png", "image/png")}
)
"""Names and kinds of covers, by codec."""
_LAYOUTS: Mapping[int, str] = MappingProxyType(
    {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
)
"""What a number of channels means where a file tells no more; as FFmpeg has it."""
_IN_TS = frozenset(
    {"aac", "aac_latm", "mp1", "mp2", "mp3", "ac3", "eac3", "ac4", "dca", "dts", "opus", "s302m"}
    | {"dvb_subtitle", "dvb_teletext", "dvbsub", "dvbtxt"}
)
"""What transport streams have a number for; all else they hold as bytes that nobody knows again."""


def copied_into(target: Any, stream: Any, form: str) -> Any:
    """A stream of a container that takes the packets of ``stream`` as they are.

    Raises:
        ValueError: the format ``form`` cannot hold the codec.
        AttributeError: nothing here knows the codec.
    """
    codec = codec_of(stream)
    if form == "mpegts" and codec not in _IN_TS:
        raise ValueError(f"{form} would hold {codec} as private data")
    copied = target.add_stream_from_template(stream, opaque=True)
    context = copied.codec_context
    if stream.type == "audio" and context is not None and not context.layout.name.isidentifier():
        places = _LAYOUTS.get(context.channels)  # MP4 asks for places where a file has none
        if places is not None:
            context.layout = places
    return copied


def holds(target: Any, stream: Any) -> bool:
    """Whether FFmpeg's list says that a container holds a codec. The container is spoilt by asking."""
    try:
        target.add_stream_from_template(stream, opaque=True)
    except ValueError:
        return False
    return True


def needs_a_tee(target: Any, forms: Collection[str], streams: Collection[Any]) -> bool:
    """Whether streams may go into a container of their own kind, or Matroska, whatever FFmpeg's list says.

    Matroska holds what Windows knows (G.711, ADPCM, WMA) without its list saying so; behind FFmpeg's muxer
    "tee" nobody asks the list.

    Args:
        target: a container that is opened for this question alone.
        forms: names of the format that held them.
        streams: that are to be copied.
    """
    form = target.format.name
    if form == "webm" or form not in (*ATTACHED, *forms):
        return False
    return any(one.codec_context is not None and not holds(target, one) for one in streams)


def cannot_attach(stream: Any, form: str) -> str | None:
    """Why a format cannot hold an attachment or a cover; None where it can."""
    name = stream.metadata.get("filename") or stream.index
    if stream.type == "video":
        return None if form in _COVERED else f"cover {name}: .mkv, .mp4 and .mov hold covers"
    return None if form in ATTACHED else f"attachment {name}: only .mkv holds attachments"


def attach(stream: Any, target: Any, source: Any) -> bool:
    """Attach what a stream of ``source`` holds; false where a cover cannot be read.

    A cover is an attachment in Matroska, though FFmpeg reads it as a stream of one picture.
    """
    if stream.type == "attachment":
        kind = stream.mimetype or "application/octet-stream"
        target.add_attachment(stream.name or "attachment", kind, stream.data)
        return True
    packet = next((one for one in source.demux(stream) if one.size), None)
    source.seek(0)
    known = _COVERS.get(codec_of(stream))
    if packet is None or known is None:
        return False
    tags = stream.metadata
    target.add_attachment(tags.get("filename", known[0]), tags.get("mimetype", known[1]), bytes(packet))
    return True
