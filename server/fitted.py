"""A frame of another size as one of the size that its session has"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from ..vision import Frame


def fitted(frame: Frame, width: int, height: int) -> Frame:
    """The whole picture, as large as it fits into the middle of ``width`` x ``height``, the rest black."""
    if (frame.width, frame.height) == (width, height):
        return frame
    scale = min(width / frame.width, height / frame.height)
    size = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(frame.image, size, interpolation=how)
    image = np.zeros((height, width, 3), np.uint8)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    image[top : top + size[1], left : left + size[0]] = small
    return replace(frame, image=image)
