"""Weights of RIFE as its authors hand them out (``flownet.pkl``), and the shape of the network they are of.

The file is read by ``torch.load`` with ``weights_only``: nothing but tensors comes out of it, and no code of
its runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from ...errors import DataError, OptionError
from ...plugins import eager_operators
from ..registry import load_weights
from ..weight_files import read_published
from .config import FLOW, MASK, RifeConfig
from .model import Rife

Weights = dict[str, npt.NDArray[np.float32]]
FILE = "flownet.pkl"
KNOWN = "RIFE 4.5 to 4.26, lite and heavy ones too, have weights that are known here"
LITE = 24  # channels of the last block of 4.25 lite, whose scales are others
SCALES: Mapping[tuple[int, bool], tuple[int, ...]] = {
    (4, False): (8, 4, 2, 1),
    (5, False): (16, 8, 4, 2, 1),
    (5, True): (32, 16, 8, 4, 1),
}
"""By the number of blocks, and whether the last one is that of 4.25 lite."""


def read_rife(path: Path) -> tuple[RifeConfig, Weights]:
    """The network that a file, or a folder with a ``flownet.pkl``, holds the weights of.

    Raises DataError: it cannot be read, holds something else than tensors, or they are of no RIFE known here.
    """
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise DataError(f"{file} is not a file", f"give RIFE's {FILE}, or the folder that it lies in")
    found = read_published(file, f"give the {FILE} of RIFE's authors")
    weights = {}
    for key, value in found.items():
        if value.is_floating_point() and (name := renamed(str(key))):
            weights[name] = value.float().contiguous().numpy()
    return config_of(weights, file), weights


def open_rife(path: Path, threads: int | None = None) -> Rife:
    """The network with its weights, in PyTorch, on so many threads. Raises DataError, see ``read_rife``."""
    if threads is not None:
        torch.set_num_threads(threads)
    config, weights = read_rife(path)
    model = Rife(config, eager_operators()).eval()
    load_weights(model, weights)
    return model


def renamed(key: str) -> str:
    """A weight's name in the model here; empty for what only the teacher of the training had."""
    name = key.removeprefix("module.").removeprefix("flownet.")
    if name.startswith(("teacher.", "caltime.", "block_tea.")):
        return ""
    plain = re.fullmatch(r"encode\.(\d+)\.(weight|bias)", name)  # a row of layers, activations between them
    return f"encode.cnn#{plain[1]}.{plain[2]}" if plain else name


def config_of(weights: Weights, file: Path) -> RifeConfig:
    """The shape, by those of the weights; encoders that are rows of layers get their names counted.

    Raises DataError for another network.
    """
    rows = sorted({int(name.split("#")[1].split(".")[0]) for name in weights if "#" in name})
    try:
        for place, row in enumerate(rows):
            for kind in ("weight", "bias"):
                weights[f"encode.cnn{place}.{kind}"] = weights.pop(f"encode.cnn#{row}.{kind}")
        widths: list[int] = []
        while f"block{len(widths)}.conv0.1.0.weight" in weights:
            widths.append(weights[f"block{len(widths)}.conv0.1.0.weight"].shape[0])
        layers = sum(bool(re.fullmatch(r"encode\.cnn\d+\.weight", name)) for name in weights)
        features = weights[f"encode.cnn{layers - 1}.weight"].shape[1] if layers else 0
        outputs = weights["block0.lastconv.0.weight"].shape[1] // 4
        carried = weights["block1.conv0.0.0.weight"].shape[1] - 7 - 2 * features - MASK - FLOW
        depth = sum(bool(re.fullmatch(r"block0\.convblock\.\d+\.beta", name)) for name in weights)
        return RifeConfig(
            widths=tuple(widths),
            scales=SCALES[len(widths), widths[-1] == LITE],
            features=features,
            encoder_width=weights["encode.cnn0.weight"].shape[0] if layers else 1,
            encoder_layers=layers,
            outputs=outputs,
            carried=carried,
            mask_added=not layers,
            depth=depth,
        )
    except (KeyError, IndexError, OptionError, ValueError) as error:
        raise DataError(
            f"{file} is of no RIFE that is known here ({type(error).__name__}: {error})", KNOWN
        ) from error
