"""Make the moving picture of the README: one clip, our box and another tracker's, side by side.

::

    python docs/lost_and_found.py CLIP --nano-backbone FILE --nano-head FILE --out lost_and_found.webp

CLIP is a folder with ``video.mp4`` and ``groundtruth.txt``: a line a frame, x,y,w,h, or nan while the target
is away. Both trackers get the first box of the span and nothing else. The picture in the repository shows
``V_DRONE_058`` of DroneDetectionThesis/Drone-detection-dataset (CC0 1.0) through a fixed window of 384 x 306
pixels at x 54, y 0. The drone leaves that window and comes back.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import cv2
import numpy as np
from framestate.bench.peers import PeerFiles, open_peer
from framestate.engine import Engine
from framestate.vision import Box, Image, VideoReader, draw_track
from framestate.vision.draw import Status
from PIL import Image as Pillow

CAPTION, GAP = 58, 8
INK, PAPER, GOOD, BAD = (20, 24, 28), (250, 250, 250), (0, 120, 60), (190, 30, 30)
SAYS = {"tracking": "here", "uncertain": "here, not sure", "lost": "lost"}
SCALE = 1.25


def main() -> None:
    """Follow, draw, and write the picture."""
    given = arguments()
    peer = open_peer(given.against, files=PeerFiles(given.nano_backbone, given.nano_head, given.vit_net))
    truth = [parse(line) for line in (given.clip / "groundtruth.txt").read_text("utf-8").split()]
    pictures: list[Image] = []
    with Engine.load(given.model, threads=1) as engine, VideoReader(given.clip / "video.mp4") as video:
        session = None
        for frame in video:
            if not given.first <= frame.index <= given.last:
                continue
            box = truth[frame.index]
            ours: Box | None = box
            theirs: Box | None = box
            status: Status = "tracking"
            if session is None:
                assert box is not None, "the span begins with the target in view"
                session = engine.open(frame, box=box)
                peer.start(frame.image, box)
            else:
                track = session.push(frame)
                ours, status, theirs = track.box, track.status, peer.update(frame.image)
            if (frame.index - given.first) % given.every == 0:
                left = panel(frame.image, ours, status, "Framestate", box)
                right = panel(frame.image, theirs, "lost" if theirs is None else "tracking", given.title, box)
                gap = np.full((left.shape[0], GAP, 3), PAPER, np.uint8)
                pictures.append(np.hstack([left, gap, right]))
    given.out.write_bytes(animation(pictures, given.milliseconds))


def panel(image: Image, box: Box | None, status: Status, name: str, truth: Box | None) -> Image:
    """One half: the frame with the box, and below it who says what, and whether that is so."""
    height, width = (round(side * SCALE) for side in image.shape[:2])
    picture: Image = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    if box is not None and status != "lost":
        picture = draw_track(picture, Box(*(side * SCALE for side in box.xywh)), "", status)
    canvas = np.full((picture.shape[0] + CAPTION, picture.shape[1], 3), PAPER, np.uint8)
    canvas[: picture.shape[0]] = picture
    text(canvas, f"{name} says: {SAYS[status]}", picture.shape[0] + 24, INK, 0.62)
    is_met = truth is not None and box is not None and box.iou(truth) > 0
    is_right = (status == "lost") if truth is None else (status != "lost" and is_met)
    verdict, colour = ("right", GOOD) if is_right else ("wrong", BAD)
    fact = "the drone is away" if truth is None else "the drone is in view"
    text(canvas, f"{fact}: {verdict}", picture.shape[0] + 48, colour, 0.55)
    return canvas


def text(canvas: Image, words: str, y: int, colour: tuple[int, int, int], size: float) -> None:
    """Write a line into the picture."""
    cv2.putText(canvas, words, (6, y), cv2.FONT_HERSHEY_DUPLEX, size, colour, 1, cv2.LINE_AA)


def animation(pictures: list[Image], milliseconds: int) -> bytes:
    """The pictures as a WebP that plays for ever."""
    first, *rest = map(Pillow.fromarray, pictures)
    made = io.BytesIO()
    first.save(
        made, "WEBP", save_all=True, append_images=rest, duration=milliseconds, loop=0, quality=62, method=6
    )
    return made.getvalue()


def parse(line: str) -> Box | None:
    """A line of the ground truth; None where the target is away."""
    numbers = [float(part) for part in line.split(",")]
    return Box(*numbers) if np.isfinite(numbers).all() else None


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--model", default="tracker-nano")
    parser.add_argument("--against", default="nano")
    parser.add_argument("--title", default="NanoTrack v2")
    parser.add_argument("--nano-backbone", type=Path)
    parser.add_argument("--nano-head", type=Path)
    parser.add_argument("--vit-net", type=Path)
    parser.add_argument("--first", type=int, default=0, help="the first frame that is used")
    parser.add_argument("--last", type=int, default=140, help="the last one")
    parser.add_argument("--every", type=int, default=2, help="show each N-th frame")
    parser.add_argument("--milliseconds", type=int, default=67, help="how long each stays")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
