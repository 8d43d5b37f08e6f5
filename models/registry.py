"""Architectures by name: from a spec (and weights) to a PyTorch model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file
from torch import nn

from ..bundles import ModelSpec
from ..errors import BundleError, DataError
from ..plugins import Operators
from .artrack_mamba import ArtrackMamba, ArtrackMambaConfig
from .artrack_mamba_v2 import ARCHITECTURE as ARTRACK_MAMBA_V2
from .artrack_mamba_v2 import ArtrackMambaV2, ArtrackMambaV2Config
from .classification import ARCHITECTURE as MAMBA_CLASSIFIER
from .classification import ClassifierConfig, MambaClassifier
from .interpolation import HybridInterpolator, InterpolatorConfig
from .vil_tracker import ARCHITECTURE as VIL_TRACKER
from .vil_tracker import VilTracker, VilTrackerConfig

Build = Callable[[ModelSpec, Operators], nn.Module]
"""Makes the model that a spec describes around given operators, without its weights: ``build_model``, or what
a user hands over for an architecture of their own."""


def architectures() -> tuple[str, ...]:
    """The names under which ``build_model`` knows its models."""
    return ("artrack_mamba", ARTRACK_MAMBA_V2, VIL_TRACKER, "hybrid_interpolator", MAMBA_CLASSIFIER)


def build_model(spec: ModelSpec, operators: Operators) -> nn.Module:
    """The model that a spec describes, with fresh weights, in evaluation mode.

    Raises BundleError for an architecture that is not known here, OptionError for an option of it.
    """
    config: dict[str, Any] = dict(spec.config)
    if spec.architecture == "artrack_mamba":
        return ArtrackMamba(ArtrackMambaConfig.from_dict(config), operators).eval()
    if spec.architecture == ARTRACK_MAMBA_V2:
        return ArtrackMambaV2(ArtrackMambaV2Config.from_dict(config), operators).eval()
    if spec.architecture == VIL_TRACKER:
        return VilTracker(VilTrackerConfig.from_dict(config), operators).eval()
    if spec.architecture == "hybrid_interpolator":
        return HybridInterpolator(InterpolatorConfig.from_dict(config), operators).eval()
    if spec.architecture == MAMBA_CLASSIFIER:
        return MambaClassifier(ClassifierConfig.from_dict(config), operators).eval()
    raise BundleError(
        f"model {spec.name!r} is of architecture {spec.architecture!r}, which has no PyTorch form here",
        f"known architectures: {', '.join(architectures())}; its ONNX files, if any, still run",
    )


def load_weights(model: nn.Module, weights: Mapping[str, npt.NDArray[Any]]) -> None:
    """Loads every tensor, all of them and no other.

    Raises BundleError naming those that are missing, left over or of another shape.
    """
    own = model.state_dict()
    missing, extra = sorted(set(own) - set(weights)), sorted(set(weights) - set(own))
    wrong = [name for name in own if name in weights and tuple(own[name].shape) != weights[name].shape]
    if missing or extra or wrong:
        listed = "; ".join(
            f"{label}: {', '.join(names[:4])}{' …' if len(names) > 4 else ''}"
            for label, names in (
                ("missing", missing),
                ("not in the model", extra),
                ("of another shape", wrong),
            )
            if names
        )
        raise BundleError(
            f"the weights do not fit the model ({listed})", "use weights of this very configuration"
        )
    model.load_state_dict(
        {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in weights.items()}
    )


def read_weights(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Every tensor of a safetensors file, to start from. Raises DataError where it cannot be read."""
    try:
        return dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"weights {path} cannot be read ({error})", "give start the name of a safetensors file"
        ) from error


def dump_weights(model: nn.Module) -> dict[str, npt.NDArray[Any]]:
    """Every tensor of a model as NumPy arrays, by name: what ``write_bundle`` stores."""
    return {name: value.detach().cpu().contiguous().numpy() for name, value in model.state_dict().items()}
