"""``selective_scan``: the Mamba-1 scan, with initial and final state. Glossary in ``reference``."""

from .chunked import selective_scan_chunked
from .onnx_lowering import selective_scan_linear_attention
from .onnx_plugin import selective_scan_plugin
from .onnx_portable import selective_scan_portable
from .reference import selective_scan_reference

__all__ = [
    "selective_scan_chunked",
    "selective_scan_linear_attention",
    "selective_scan_plugin",
    "selective_scan_portable",
    "selective_scan_reference",
]
