"""Floor 0: state-space operators, each as reference, chunked eager form and ONNX lowering."""

from .operators import Operators, eager_operators, onnxruntime_operators, reference_operators

__all__ = ["Operators", "eager_operators", "onnxruntime_operators", "reference_operators"]
