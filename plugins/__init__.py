"""Floor 0: recurrent operators, each as reference, PyTorch form, ONNX in three dialects, and GPU kernels."""

from .kernels import Kernel, kernels
from .operators import (
    Choice,
    Operators,
    eager_operators,
    onnx_operators,
    onnxruntime_operators,
    reference_operators,
)

__all__ = [
    "Choice",
    "Kernel",
    "Operators",
    "eager_operators",
    "kernels",
    "onnx_operators",
    "onnxruntime_operators",
    "reference_operators",
]
