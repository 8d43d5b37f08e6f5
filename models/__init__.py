"""Floor 1: architectures, their losses, data and training.

Needs PyTorch (``pip install framestate[torch]``).
"""

from .registry import architectures, build_model, dump_weights, load_weights

__all__ = ["architectures", "build_model", "dump_weights", "load_weights"]
