"""``mlstm_scan``: the stabilised matrix LSTM, with initial and final state. Glossary in ``reference``."""

from .chunked import mlstm_scan_chunked
from .onnx_lowering import mlstm_scan_linear_attention
from .onnx_plugin import mlstm_scan_plugin
from .onnx_portable import mlstm_scan_portable
from .reference import EMPTY, MlstmState, empty_state, mlstm_scan_reference

__all__ = [
    "EMPTY",
    "MlstmState",
    "empty_state",
    "mlstm_scan_chunked",
    "mlstm_scan_linear_attention",
    "mlstm_scan_plugin",
    "mlstm_scan_portable",
    "mlstm_scan_reference",
]
