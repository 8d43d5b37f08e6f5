"""Frames, boxes, crops, safe image decoding, video reading and writing, drawing. No model in sight."""

from __future__ import annotations

from .box import Box, parse_box
from .changes import changes
from .crop import IMAGENET_MEAN, IMAGENET_STD, SquareCrop, around, cut, normalise
from .draw import Mark, contact_sheet, draw_track, draw_tracks, draw_trails
from .encoders import Encoding
from .frame import Frame
from .images import decode_image, encode_image
from .look import Look
from .passengers import Passengers
from .pieces import Piece
from .pixels import Image
from .read_ahead import ReadAhead
from .reader import VideoReader
from .rehearsal import rehearse
from .writer import VideoWriter

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Box",
    "Encoding",
    "Frame",
    "Image",
    "Look",
    "Mark",
    "Passengers",
    "Piece",
    "ReadAhead",
    "SquareCrop",
    "VideoReader",
    "VideoWriter",
    "around",
    "changes",
    "contact_sheet",
    "cut",
    "decode_image",
    "draw_track",
    "draw_tracks",
    "draw_trails",
    "encode_image",
    "normalise",
    "parse_box",
    "rehearse",
]
