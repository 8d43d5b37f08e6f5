"""``causal_conv1d``: depthwise causal convolution with carried state. Glossary in ``reference``."""

from .chunked import causal_conv1d_chunked
from .onnx_lowering import causal_conv1d_with_state
from .onnx_plugin import causal_conv1d_plugin
from .onnx_portable import causal_conv1d_portable
from .reference import causal_conv1d_reference

__all__ = [
    "causal_conv1d_chunked",
    "causal_conv1d_plugin",
    "causal_conv1d_portable",
    "causal_conv1d_reference",
    "causal_conv1d_with_state",
]
