"""``ssd_scan``: the Mamba-2 state-space scan, with initial and final state. Glossary in ``reference``."""

from .chunked import ssd_scan_chunked
from .onnx_lowering import ssd_scan_linear_attention
from .reference import ssd_scan_reference

__all__ = ["ssd_scan_chunked", "ssd_scan_linear_attention", "ssd_scan_reference"]
