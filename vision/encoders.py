"""What encoders are told: quality, speed, and what keeps them from being slow, huge or noisy."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import av
import av.codec
import av.error
from av.codec.codec import find_best_pix_fmt_of_list

from ..errors import OptionError

MOST_CRF = 63
DEFAULT_CRF = 18
_CRF = frozenset({"libx264", "libx264rgb", "libx265", "libvpx", "libvpx-vp9", "libaom-av1", "libsvtav1"})
_SETTINGS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "libx264": {"preset": "veryfast"},
        "libx264rgb": {"preset": "veryfast"},
        "libx265": {"preset": "veryfast", "x265-params": "log-level=error"},
        "libsvtav1": {"preset": "8"},
        "libvpx": {"deadline": "good", "cpu-used": "4"},
        "libvpx-vp9": {"deadline": "good", "cpu-used": "4", "row-mt": "1"},
        "dnxhd": {"profile": "dnxhr_hq"},
        "mjpeg": {"strict": "unofficial"},
        "snow": {"strict": "experimental"},
    }
)
"""What is set unless it is asked for otherwise, by encoder."""
_BY_QUALITY = frozenset(
    {"mjpeg", "amv", "mpeg4", "mpeg2video", "mpeg1video", "h261", "h263", "h263p", "flv", "rv10", "rv20"}
    | {"msmpeg4", "msmpeg4v2", "wmv1", "wmv2", "asv1", "asv2", "snow", "speedhq", "roqvideo"}
)
"""Encoders with a fixed quality, whose place `--bitrate` takes: left alone, FFmpeg gives them 200 kbit/s."""
_QUALITY: Mapping[str, str] = MappingProxyType({"flags": "+qscale", "global_quality": "236"})  # -q:v 2
_HARDWARE_QUALITY: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "nvenc": {"rc": "vbr", "b": "0", "cq": "{crf}"},
        "qsv": {"global_quality": "{crf}"},
        "vaapi": {"rc_mode": "CQP", "global_quality": "{crf}"},
        "vulkan": {"rc_mode": "cqp", "qp": "{crf}"},
        "amf": {"rc": "cqp", "qp_i": "{crf}", "qp_p": "{crf}"},
    }
)
"""How encoders in hardware are given a quality, by the end of their names; others take a bit rate."""
_ENCODERS: Mapping[str, str] = MappingProxyType(
    {
        "h264": "libx264",
        "avc": "libx264",
        "x264": "libx264",
        "h265": "libx265",
        "hevc": "libx265",
        "x265": "libx265",
        "av1": "libsvtav1",
        "vp9": "libvpx-vp9",
        "vp8": "libvpx",
        "prores": "prores_ks",
        "dnxhr": "dnxhd",
    }
)
"""Encoders of codecs that people name by the codec."""
_DNXHR = {"yuv422p10le": "dnxhr_hqx", "yuv444p10le": "dnxhr_444", "gbrp10le": "dnxhr_444"}
_X_CODECS = frozenset({"libx264", "libx264rgb", "libx265"})  # they print what is wrong, rather than tell it
_X_PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow", "placebo"),
)
_QUIET: Mapping[str, tuple[str, str]] = MappingProxyType({"libsvtav1": ("SVT_LOG", "1")})
"""Environment variables that keep encoders from printing, by encoder."""
_EVEN_RATES, _MPEG4_TICKS = frozenset({"mpeg1video", "mpeg2video"}), 65535
_IN_HARDWARE = ("nvenc", "vaapi", "qsv", "v4l2m2m", "videotoolbox", "amf", "mf", "vulkan", "mediacodec")
_FORMATS_OF_HARDWARE = ("nv12", "p010le")
"""What is handed to an encoder that lists only formats of its device."""
_ALPHA = re.compile(r"yuva|rgba|bgra|argb|abgr|gbrap|ya\d|ayuv|vuya")
_DEFAULTS: Mapping[str, str] = MappingProxyType({"webm": "libvpx-vp9", "gif": "gif", "apng": "apng"})
_IMAGES: Mapping[str, str] = MappingProxyType(
    {
        ".png": "png",
        ".jpg": "mjpeg",
        ".jpeg": "mjpeg",
        ".tif": "tiff",
        ".tiff": "tiff",
        ".bmp": "bmp",
        ".webp": "libwebp",
    }
)
"""Encoders of numbered images, by suffix."""
_LOSSLESS = frozenset(
    {"ffv1", "ffvhuff", "huffyuv", "utvideo", "qtrle", "png", "apng", "libx264rgb", "bmp", "tiff"}
)
_TRANSPARENT = _LOSSLESS - {"huffyuv"} | {"prores", "prores_ks", "libvpx", "libvpx-vp9", "libwebp"}
"""Encoders whose transparency players and editors show."""
_DEEP_CODEC, _USUAL_CODEC, _DEEP_WEBM = "libx265", "libx264", "libsvtav1"


@dataclass(frozen=True, slots=True)
class Encoding:
    """How pictures are encoded.

    Attributes:
        codec: an FFmpeg video encoder; None for one that the container and the depth ask for.
        crf: quality, from 0 (best) up; None for 18 where the encoder has one and no bit rate is given.
        preset: how long the encoder takes over it, by a name of its own.
        bitrate: bits a second, instead of a quality.
        pixel_format: as FFmpeg names it; None for the one that keeps most of the source.
    """

    codec: str | None = None
    crf: int | None = None
    preset: str | None = None
    bitrate: int | None = None
    pixel_format: str | None = None

    def encoder(self, form: str, suffix: str, bits: int) -> str:
        """The encoder for a container, its suffix and a depth: H.264, from 9 bits up H.265; VP9 or AV1.

        Raises:
            OptionError: there is no image format of this suffix.
        """
        if self.codec is not None:
            return _ENCODERS.get(self.codec, self.codec)
        if form == "image2":
            if suffix not in _IMAGES:
                raise OptionError(
                    f"Images with the suffix {suffix!r} are not written", f"Use one of {', '.join(_IMAGES)}."
                )
            return _IMAGES[suffix]
        if form == "webm" and bits > 8:
            return _DEEP_WEBM
        return _DEFAULTS.get(form) or (_DEEP_CODEC if bits > 8 else _USUAL_CODEC)

    def options(self, codec: str, pixel_format: str) -> dict[str, str]:
        """What the encoder is told.

        Raises:
            OptionError: there is no such encoder, or it does not know what is asked for.
        """
        encoder = _encoder(codec)
        found = dict(_SETTINGS.get(codec, {}))
        if codec == "dnxhd" and pixel_format in _DNXHR:
            found["profile"] = _DNXHR[pixel_format]
        if self.preset is not None:
            if not _knows(encoder, "preset"):
                raise OptionError(f"The encoder {codec} has no preset", "Leave --preset out with it.")
            if codec in _X_CODECS and self.preset not in _X_PRESETS:
                raise OptionError(
                    f"{codec} has no preset {self.preset!r}", f"Choose one of {', '.join(_X_PRESETS)}."
                )
            found["preset"] = self.preset
        if self.bitrate is not None:
            if self.crf is not None:
                raise OptionError(
                    f"crf is {self.crf} and bitrate is {self.bitrate}, and one rules out the other",
                    "Give one of them.",
                )
        elif codec in _CRF:
            found["crf"] = str(DEFAULT_CRF if self.crf is None else self.crf)
        elif (quality := _HARDWARE_QUALITY.get(_hardware(codec) or "")) is not None:
            crf = str(DEFAULT_CRF if self.crf is None else self.crf)
            found |= {key: value.replace("{crf}", crf) for key, value in quality.items()}
        elif _hardware(codec) is not None:
            raise OptionError(f"The encoder {codec} has no quality to set", "Give it a rate: --bitrate 8M.")
        elif self.crf is not None:
            raise OptionError(
                f"The encoder {codec} has no crf, and crf is {self.crf}",
                "Leave crf out with it; most of these take a bit rate (--bitrate 8M).",
            )
        elif codec in _BY_QUALITY:
            found |= _QUALITY
        if self.crf is not None and not 0 <= self.crf <= MOST_CRF:
            raise OptionError(f"crf is {self.crf}, and runs from 0 (best) to {MOST_CRF}", "Choose about 18.")
        return found

    def format_for(self, codec: str, source: str) -> str:
        """The pixel format in which the encoder keeps most of ``source``.

        RGB and palettes become 4:2:0 where the encoder has it, as players ask for; ``pixel_format`` decides.

        Raises:
            OptionError: there is no such encoder, or it does not take that pixel format.
        """
        known = [one.name for one in _encoder(codec).video_formats or ()]
        if codec == "gif" and self.pixel_format is None:
            return "pal8"
        software = [name for name in known if _is_plain(name)]
        if self.pixel_format is not None:
            if software and self.pixel_format not in software:
                raise OptionError(
                    f"The encoder {codec} does not take the pixel format {self.pixel_format!r}",
                    f"Choose one of {', '.join(software)}.",
                )
            return self.pixel_format
        choices = software or list(_FORMATS_OF_HARDWARE)
        if codec == "tiff":  # few programs read other ones
            choices = [name for name in choices if av.VideoFormat(name).is_rgb]
        kind = av.VideoFormat(source)
        has_alpha = is_transparent(source)
        if has_alpha and codec not in _TRANSPARENT:
            has_alpha = False
            choices = [name for name in choices if not is_transparent(name)] or choices
        source = source.replace("yuvj", "yuv")  # an old way to say full range, which has a tag of its own
        if codec not in _LOSSLESS and (kind.is_rgb or kind.has_palette or len(kind.components) < 3):
            deep = max((one.bits for one in kind.components), default=8) > 8
            plain = ["yuv420p10le", "yuv420p"] if deep else ["yuv420p"]
            plain = ["yuva420p", *plain] if has_alpha else plain
            source = next((name for name in plain if name in choices), source)
        best, _ = find_best_pix_fmt_of_list(choices, source, has_alpha)
        return best.name if best is not None else choices[0]


def hush(codec: str) -> None:
    """Keep an encoder from printing, unless the user asked it to."""
    if codec in _QUIET:
        os.environ.setdefault(*_QUIET[codec])


def counts_frames(codec: str, tick: Fraction) -> bool:
    """Whether an encoder cannot count time in ticks of so many seconds, and counts frames at their rate."""
    return codec in _EVEN_RATES or (codec == "mpeg4" and tick.denominator > _MPEG4_TICKS)


def remedy_for(codec: str) -> str:
    """What to do when an encoder cannot be opened."""
    if _hardware(codec) is not None:
        return "It needs its hardware and the driver for it: choose another --codec, such as libx264."
    return "Check --preset, --pix-fmt, --bitrate and the size, or choose another --codec."


def is_transparent(pixel_format: str) -> bool:
    """Whether a pixel format has an opacity."""
    return bool(_ALPHA.match(pixel_format))


def hardware_of(codec: str) -> str | None:
    """The kind of device of an encoder in hardware that takes frames only there; None for all others."""
    return "vaapi" if codec.endswith("_vaapi") else None


def _encoder(codec: str) -> Any:
    """PyAV's encoder. Raises OptionError."""
    try:
        found = av.codec.Codec(codec, "w")
    except (av.error.FFmpegError, ValueError):
        found = None
    if found is None or found.type != "video":
        why = ": this FFmpeg was built without that hardware" if _hardware(codec) is not None else ""
        raise OptionError(
            f"There is no video encoder {codec!r} here{why}",
            "Choose one that FFmpeg has here, such as libx264, libx265, libsvtav1, prores_ks or ffv1.",
        )
    return found


def _hardware(codec: str) -> str | None:
    """The kind of hardware of an encoder; None for one in software."""
    kind = codec.rpartition("_")[2]
    return kind if kind in _IN_HARDWARE else None


def _is_plain(name: str) -> bool:
    """Whether frames of a pixel format lie in ordinary memory, in a format that libswscale makes."""
    return name not in (
        "cuda",
        "qsv",
        "vaapi",
        "vulkan",
        "d3d11",
        "videotoolbox_vld",
        "drm_prime",
        "mediacodec",
    )


def _knows(encoder: Any, option: str) -> bool:
    context = encoder.create()
    return any(one.name == option for one in context.supported_options.private)
