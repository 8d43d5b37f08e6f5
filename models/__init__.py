"""Floor 1: architectures, their losses, data and training.

Needs PyTorch (``pip install framestate[torch]``); ``systems``, the table of what there is, does not.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .registry import Build, build_model, dump_weights, load_weights

__all__ = ["Build", "build_model", "dump_weights", "load_weights"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import registry

    return getattr(registry, name)
