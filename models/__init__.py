"""Floor 1: architectures, their losses, data and training.

Needs PyTorch (``pip install framestate[torch]``); ``systems``, the table of what there is, does not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .endings import decoded, functions_of
    from .registry import Build, build_model, dump_weights, load_weights

__all__ = ["Build", "build_model", "decoded", "dump_weights", "functions_of", "load_weights"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "endings" if name in ("decoded", "functions_of") else "registry"
    return getattr(import_module(f".{home}", __name__), name)
