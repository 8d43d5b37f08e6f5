"""Architectures by name: from a spec (and weights) to a PyTorch model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..bundles import ModelSpec
from ..errors import BundleError
from ..plugins import Operators
from .systems import ARCHITECTURES, architecture
from .weight_files import as_array

Build = Callable[[ModelSpec, Operators], nn.Module]
"""Makes the model that a spec describes around given operators, without its weights: ``build_model``, or what
a user hands over for an architecture of their own."""


def build_model(spec: ModelSpec, operators: Operators) -> nn.Module:
    """The model that a spec describes, with fresh weights, in evaluation mode.

    Raises BundleError for an architecture that is not known here, OptionError for an option of it.
    """
    known = [row.name for row in ARCHITECTURES]
    if spec.architecture not in known:
        raise BundleError(
            f"model {spec.name!r} is of architecture {spec.architecture!r}, which has no PyTorch form here",
            f"known architectures: {', '.join(known)}; its ONNX files, if any, still run",
        )
    return architecture(spec.architecture).build(spec.config, operators)


def load_weights(model: nn.Module, weights: Mapping[str, npt.NDArray[Any]]) -> None:
    """Loads every tensor, all of them and no other.

    Raises BundleError naming those that are missing, left over or of another shape.
    """
    if misfits := misfits_of(model.state_dict(), weights):
        raise BundleError(
            f"the weights do not fit the model ({misfits})", "use weights of this very configuration"
        )
    model.load_state_dict(
        {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in weights.items()}
    )


def misfits_of(own: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """Which tensors are missing, left over or of another shape, a few of each by name; "" where all fit."""
    return "; ".join(
        f"{label}: {', '.join(names[:4])}{f' and {len(names) - 4} more' if len(names) > 4 else ''}"
        for label, names in (
            ("missing", sorted(set(own) - set(given))),
            ("not in the model", sorted(set(given) - set(own))),
            (
                "of another shape",
                [
                    name
                    for name in own
                    if name in given and tuple(own[name].shape) != tuple(given[name].shape)
                ],
            ),
        )
        if names
    )


def dump_weights(model: nn.Module) -> dict[str, npt.NDArray[Any]]:
    """Every tensor of a model as NumPy arrays, by name: what ``write_bundle`` stores."""
    return {name: as_array(value) for name, value in model.state_dict().items()}
