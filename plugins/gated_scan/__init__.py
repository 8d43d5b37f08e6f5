"""``gated_scan``: a gated matrix memory (GLA), with a delta rule (RWKV-7) or not: see ``reference``."""

from .chunked import gated_scan_chunked
from .onnx_lowering import gated_scan_linear_attention
from .reference import gated_scan_reference

__all__ = ["gated_scan_chunked", "gated_scan_linear_attention", "gated_scan_reference"]
