"""``ssd_scan``: the Mamba-2 state-space scan, with initial and final state. Glossary in ``reference``."""

from .chunked import ssd_scan_chunked
from .onnx_lowering import ssd_scan_linear_attention
from .onnx_plugin import ssd_scan_plugin
from .onnx_portable import ssd_scan_portable
from .reference import ssd_scan_reference

__all__ = [
    "ssd_scan_chunked",
    "ssd_scan_linear_attention",
    "ssd_scan_plugin",
    "ssd_scan_portable",
    "ssd_scan_reference",
]
