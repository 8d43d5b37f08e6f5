"""Smaller numbers for ONNX graphs: fp16, and int8 by static quantisation calibrated on real crops.

State and outputs stay float32 at the graph's edge, and the recurrent operators stay float32 inside: a state that
is rounded each frame drifts. Whether the smaller graph is still the same tracker is for ``parity`` to say.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from ..errors import ExportError
from ..runtimes import Arrays

Precision = Literal["fp32", "fp16", "int8"]

KEPT_FLOAT32 = ("LinearAttention", "CausalConvWithState")


def to_fp16(path: Path) -> None:
    """Rewrites a graph's weights and arithmetic to float16, in place. Raises ExportError."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about weights below the smallest float16
            converted = convert_float_to_float16(
                onnx.load(path),
                keep_io_types=True,
                op_block_list=list(KEPT_FLOAT32),
                disable_shape_infer=True,
            )
        onnx.save(converted, path)
    except Exception as error:  # the converter raises what it meets
        raise ExportError(f"{path.name} cannot be converted to fp16 ({error})", "export in fp32") from error


class Calibration(CalibrationDataReader):  # type: ignore[misc]
    """Feeds of one function, one after another."""

    def __init__(self, feeds: Sequence[Arrays]) -> None:
        self._feeds: Iterator[Arrays] = iter(feeds)

    def get_next(self) -> dict[str, Any] | None:
        """The next feeds, or None at the end."""
        return next(self._feeds, None)


def to_int8(path: Path, feeds: Sequence[Arrays]) -> None:
    """Rewrites a graph with 8-bit convolutions and matrix products (QDQ), in place.

    Args:
        path: the float32 graph.
        feeds: what the graph is fed on real frames; their ranges become the scales.

    Raises:
        ExportError: there are no feeds, or a step of the quantiser fails.
    """
    if not feeds:
        raise ExportError("int8 needs frames to calibrate on, and there are none", "give --calibrate VIDEO")
    prepared = path.with_suffix(".prepared.onnx")
    level = logging.getLogger().level
    try:
        logging.getLogger().setLevel(logging.ERROR)
        quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True, skip_onnx_shape=True)
        quantize_static(
            str(prepared),
            str(path),
            Calibration([{name: np.asarray(value) for name, value in feed.items()} for feed in feeds]),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "MatMul", "Gemm"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    except Exception as error:  # the quantiser raises what it meets
        raise ExportError(f"{path.name} cannot be quantised ({error})", "export in fp32 or fp16") from error
    finally:
        logging.getLogger().setLevel(level)
        prepared.unlink(missing_ok=True)
