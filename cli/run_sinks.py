"""Where the answers of ``framestate run`` go: pictures to a video, tensors to ``.npz`` or ``.jsonl``.

``TENSORS`` and ``PICTURES`` say, for each class of answers, which numbers and which pictures it holds.
"""

from __future__ import annotations

import json
import math
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import numpy as np

from ..engine import Classification, Output
from ..errors import OptionError, RunError
from ..vision import Frame, Image, VideoReader, VideoWriter
from .output import plain, replacing

MOST_NUMBERS = 65536  # of one frame, in a line of JSON

Sink = Callable[[Frame, Any], None]
"""Takes the answer to a frame."""

TENSORS: Mapping[type[Any], Callable[[Any], Mapping[str, Any]]] = MappingProxyType(
    {
        Output: lambda answer: answer.tensors,
        Classification: lambda answer: {"smoothed": answer.smoothed, "frame": answer.frame},
    }
)
"""What goes into ``.npz``."""

VALUES: Mapping[type[Any], Callable[[Any], Mapping[str, Any]]] = MappingProxyType(
    {
        **TENSORS,
        Classification: lambda answer: {
            "label": answer.label,
            "probability": answer.probability,
            "probabilities": dict(answer.top(len(answer.labels))),
        },
    }
)
"""What goes into a line of JSON."""

PICTURES: Mapping[type[Any], Callable[[Any], Mapping[str, Image]]] = MappingProxyType(
    {Output: lambda answer: answer.pictures}
)
"""What can be shown."""


def held(table: Mapping[type[Any], Callable[[Any], Mapping[str, Any]]], answer: Any, suffix: str) -> Any:
    """What an answer holds for a kind of file. Raises OptionError where that is nothing."""
    found = table[type(answer)](answer) if type(answer) in table else {}
    if not found:
        raise OptionError(
            f"the model gives nothing that goes into {suffix}",
            "pictures go into .mp4, .mkv or .mov, tensors into .npz or .jsonl; adopt is told which outputs "
            "are pictures: --output NAME=picture, or mask",
        )
    return found


@contextmanager
def video(path: Path, source: VideoReader, name: str | None) -> Iterator[Sink]:
    """The picture ``name`` of each answer, the first without; ``path`` appears when the block ends well.

    Raises:
        OptionError: there is no such picture. VideoWriteError: the file cannot be written.
    """
    with VideoWriter(
        path, source.width, source.height, source.frame_rate, time_base=source.time_base
    ) as writer:

        def write(frame: Frame, answer: Any) -> None:
            pictures = held(PICTURES, answer, path.suffix)
            if name is not None and name not in pictures:
                raise OptionError(f"there is no picture {name!r}", f"choose among {', '.join(pictures)}")
            writer.write(next(iter(pictures.values())) if name is None else pictures[name], frame.pts)

        yield write


@contextmanager
def lines(path: Path, source: VideoReader, name: str | None) -> Iterator[Sink]:
    """A line of JSON a frame; ``path`` appears when the block ends well. Raises RunError, OptionError."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:

        def write(frame: Frame, answer: Any) -> None:
            found = chosen(held(VALUES, answer, path.suffix), name)
            listed = {key: as_json(key, value) for key, value in found.items()}
            line = {"frame": frame.index, "pts": frame.pts, "seconds": frame.seconds, **listed}
            file.write(json.dumps(plain(line), ensure_ascii=False, allow_nan=False) + "\n")

        yield write


@contextmanager
def arrays(path: Path, source: VideoReader, name: str | None) -> Iterator[Sink]:
    """Each tensor of all frames as one array (frames, ...), and ``pts`` and ``seconds`` of the frames.

    What comes is kept in files beside the answers' number, so memory does not grow with the video. ``path``
    appears when the block ends well. Raises RunError: a tensor changes its shape; OptionError.
    """
    with replacing(path) as temporary, ExitStack() as stack:
        kept: dict[str, tuple[IO[bytes], np.dtype[Any], tuple[int, ...]]] = {}
        count = 0

        def write(frame: Frame, answer: Any) -> None:
            nonlocal count
            found = {
                key: np.asarray(one) for key, one in chosen(held(TENSORS, answer, path.suffix), name).items()
            }
            times = {"pts": np.array(frame.pts, np.int64), "seconds": np.array(frame.seconds)}
            for key, value in {**times, **found}.items():
                if key not in kept:
                    file: IO[bytes] = stack.enter_context(tempfile.TemporaryFile(dir=path.parent))
                    kept[key] = file, value.dtype, value.shape
                if kept[key][1:] != (value.dtype, value.shape):
                    raise RunError(
                        f"{key!r} is {value.shape} in frame {frame.index}, and was {kept[key][2]} before",
                        "write .jsonl, a line a frame",
                    )
                kept[key][0].write(np.ascontiguousarray(value).tobytes())
            count += 1

        yield write
        with zipfile.ZipFile(temporary, "w") as archive:
            for key, (file, dtype, shape) in kept.items():
                file.seek(0)
                with archive.open(f"{key}.npy", "w", force_zip64=True) as entry:
                    header = {"descr": dtype.str, "fortran_order": False, "shape": (count, *shape)}
                    np.lib.format.write_array_header_2_0(entry, header)
                    while chunk := file.read(1 << 20):
                        entry.write(chunk)


def chosen(found: Mapping[str, Any], name: str | None) -> Mapping[str, Any]:
    """All of them, or the one that was asked for. Raises OptionError: it is not there."""
    if name is None:
        return found
    if name not in found:
        raise OptionError(f"there is no output {name!r}", f"choose among {', '.join(found)}")
    return {name: found[name]}


def as_json(name: str, value: Any) -> Any:
    """A tensor as numbers: one, or lists. Raises OptionError: it is too large for a line."""
    if not isinstance(value, np.ndarray):
        return value
    if value.size > MOST_NUMBERS:
        raise OptionError(
            f"{name!r} has {value.size} numbers a frame", "write .npz, or choose an output with --output"
        )
    listed: Any = value.tolist()
    if value.size == 1:
        single = value.reshape(()).item()
        return single if not isinstance(single, float) or math.isfinite(single) else None
    return listed


SINKS: Mapping[str, Any] = MappingProxyType(
    {".npz": arrays, ".jsonl": lines, **dict.fromkeys((".mp4", ".mkv", ".mov", ".m4v"), video)}
)
"""What writes a file, by its suffix."""
