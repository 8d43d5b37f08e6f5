"""A frozen Siamese tracker in ONNX as a teacher: its features, and what it answers, are learned.

Meant for NanoTrack v2 (Apache-2.0, HonglinChu/SiamTrackers): a backbone, RGB 0–255 in, 48 channels at stride
16 out, and a head over the features of template and search. Its weights are only read while training; nothing
of them enters a bundle.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import onnxruntime


class FeatureTeacher:
    """crops (K, S, S, 3) uint8 RGB -> features (K, channels, S / 16, S / 16) float32.

    The file is opened on first use, so that each loader process has a session of its own.
    """

    channels = 48

    def __init__(self, path: Path) -> None:
        self.path = path
        self._session: onnxruntime.InferenceSession | None = None

    def _open(self) -> onnxruntime.InferenceSession:
        import onnx

        model = onnx.load(self.path)
        for value in (*model.graph.input, *model.graph.output):  # the published file fixes 255 x 255
            for axis in (2, 3):
                value.type.tensor_type.shape.dim[axis].ClearField("dim_value")
                value.type.tensor_type.shape.dim[axis].dim_param = f"side{axis}"
        del model.graph.value_info[:]
        return open_quietly(model.SerializeToString())

    def __call__(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """The features of crops, one at a time; see the class for shapes."""
        if self._session is None:
            self._session = self._open()
        name = self._session.get_inputs()[0].name
        planes = crops.transpose(0, 3, 1, 2).astype(np.float32)
        outputs = [self._session.run(None, {name: plane[None]})[0] for plane in planes]
        return np.concatenate([np.asarray(output) for output in outputs])


class AnswerTeacher:
    """Features of template (1, C, 8, 8) and searches (K, C, 16, 16) -> what the teacher's head makes of them.

    The answer is (K, 5, 16, 16) float32: the chance that a cell lies on the target, and the distances from
    the cell's point to the left, top, right and bottom sides, in pixels.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._session: onnxruntime.InferenceSession | None = None

    def __call__(
        self, template: npt.NDArray[np.float32], searches: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """The answers for searches, one at a time; see the class for shapes."""
        if self._session is None:
            self._session = open_quietly(str(self.path))
        first, second = (entry.name for entry in self._session.get_inputs())
        answers = []
        for search in searches:
            classes, sides = self._session.run(None, {first: template, second: search[None]})
            background, target = np.asarray(classes)[0]
            chance = 1 / (1 + np.exp(np.clip(background - target, -30, 30)))
            answers.append(np.concatenate([chance[None], np.asarray(sides)[0]]))
        return np.stack(answers).astype(np.float32)


def open_quietly(graph: str | bytes) -> onnxruntime.InferenceSession:
    """A single-threaded session of a graph, from a file or from memory, that warns of nothing."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, ["CPUExecutionProvider"])
