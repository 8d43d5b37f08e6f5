"""A frozen feature backbone in ONNX as a teacher: its features are what the stem learns to imitate.

Meant for NanoTrack v2's backbone (Apache-2.0, HonglinChu/SiamTrackers): RGB 0–255 in, 48 channels at stride
16 out. Its weights are only read while training; nothing of them enters a bundle.
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
        import onnxruntime

        model = onnx.load(self.path)
        for value in (*model.graph.input, *model.graph.output):  # the published file fixes 255 x 255
            for axis in (2, 3):
                value.type.tensor_type.shape.dim[axis].ClearField("dim_value")
                value.type.tensor_type.shape.dim[axis].dim_param = f"side{axis}"
        del model.graph.value_info[:]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])

    def __call__(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """The features of crops, one at a time; see the class for shapes."""
        if self._session is None:
            self._session = self._open()
        name = self._session.get_inputs()[0].name
        planes = crops.transpose(0, 3, 1, 2).astype(np.float32)
        outputs = [self._session.run(None, {name: plane[None]})[0] for plane in planes]
        return np.concatenate([np.asarray(output) for output in outputs])
