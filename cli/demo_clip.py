"""``framestate demo --clip``: the rendered clip as a file, to try the other commands on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..vision import Box, VideoWriter
from ..vision.synthetic import Scene
from .output import note, show
from .progress import frames_bar

CLIP, RATE = "clip.mp4", 25


def write_clip(folder: Path, frames: int) -> dict[str, Any]:
    """Write ``clip.mp4``, unless there is one: that one stays. Returns what ``--json`` prints.

    Raises:
        VideoWriteError: it could not be written.
    """
    scene, path = Scene(frames=frames), folder / CLIP
    if path.exists():
        note(f"{path} is there already, and was left as it is; --out DIR writes it elsewhere")
    else:
        with (
            VideoWriter(path, scene.width, scene.height, RATE) as writer,
            frames_bar("drawing the clip", frames) as bar,
        ):
            for t in range(frames):
                writer.write(scene.render(t))
                bar.advance()
    return {"outputs": [path], "box": around(scene.box(0))}


def show_clip(report: dict[str, Any]) -> None:
    """Say where it is, and what to type next."""
    (path,) = report["outputs"]
    show(
        f"{path}: a fish (the box {report['box']} in the first frame) swims under a leaf and comes out again",
        "",
        "What to type next:",
        f"  framestate track {path} --box {report['box']}",
        f"  framestate interpolate {path} smooth.mp4",
    )


def around(box: Box) -> str:
    """A box in whole pixels, as ``--box`` takes it."""
    left, top, right, bottom = map(round, box.xyxy)
    return f"{left},{top},{right - left},{bottom - top}"
