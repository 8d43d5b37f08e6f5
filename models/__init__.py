"""Floor 1: architectures, their losses, data and training.

Needs PyTorch (``pip install framestate[torch]``).
"""

from .registry import Build, architectures, build_model, dump_weights, load_weights

__all__ = ["Build", "architectures", "build_model", "dump_weights", "load_weights"]
