"""A very small tracker, and made-up pictures, archives and clips to train it on."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from framestate.models.artrack_mamba import ArtrackMamba, ArtrackMambaConfig
from framestate.models.tracking.clips import Clip
from framestate.plugins import Operators, eager_operators
from framestate.vision import VideoWriter
from framestate.vision.synthetic import demo_clip
from onnx import TensorProto, helper, numpy_helper
from torch import nn

BuildModel = Callable[..., ArtrackMamba]
WriteArchive = Callable[..., Path]
WriteClip = Callable[..., Path]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(0)


@pytest.fixture
def build() -> BuildModel:
    """Builds a small model in evaluation mode, in which every part has a say in the answer."""

    def make(operators: Operators | None = None, seed: int = 0, **options: Any) -> ArtrackMamba:
        small: dict[str, Any] = {"template_size": 32, "search_size": 64, "dim": 8, "layers": 2}
        small |= {"stem_channels": (4, 4, 8, 8), "head_channels": 4, "states": 4, "head_dim": 8}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = ArtrackMamba(ArtrackMambaConfig(**{**small, **options}), operators or eager_operators())
            for name, parameter in model.named_parameters():
                if name.endswith(("out_proj.weight", "head.out.weight")):
                    nn.init.normal_(parameter)
            settle(model)
        return model

    return make


@torch.no_grad()
def settle(model: ArtrackMamba) -> None:
    """Sets the batch norms to random crops, so that features neither vanish nor explode."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    z, x = (torch.randn(8, 3, s, s) for s in (model.config.template_size, model.config.search_size))
    model.train().stateless(z, x)
    model.eval()


def scenery(seed: int, size: tuple[int, int] = (120, 160)) -> npt.NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
    picture: npt.NDArray[np.uint8] = cv2.resize(coarse, size[::-1]).astype(np.uint8)
    return picture


def encoded(picture: npt.NDArray[Any], ending: str = ".png") -> bytes:
    return cv2.imencode(ending, picture)[1].tobytes()


@pytest.fixture
def write_archive(tmp_path: Path) -> WriteArchive:
    """Writes an archive of made-up pictures with one elliptic object each; more members can be given."""

    def write(
        name: str = "stills.zip", folder: str = "masks", count: int = 3, more: dict[str, bytes] | None = None
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            for index in range(count):
                mask = np.zeros((120, 160), np.uint8)
                cv2.ellipse(mask, (60 + 10 * index, 60), (25, 15), 20, 0, 360, 255, -1)
                archive.writestr(f"images/{index}.jpg", encoded(scenery(index), ".jpg"))
                archive.writestr(f"{folder}/{index}.png", encoded(mask))
            for member, content in (more or {}).items():
                archive.writestr(member, content)
        return path

    return write


@pytest.fixture
def write_clip(tmp_path: Path) -> WriteClip:
    """Writes a sequence folder with a short video and its boxes; lines of the truth can be replaced."""

    def write(name: str = "koi", frames: int = 8, lines: list[str] | None = None) -> Path:
        folder = tmp_path / "clips" / name
        folder.mkdir(parents=True)
        truth = []
        with VideoWriter(folder / "video.mp4", 160, 120, 25) as writer:
            for image, box, _ in demo_clip(1, frames, (160, 120)):
                writer.write(image)
                truth.append(",".join(f"{value:.2f}" for value in box.xywh))
        (folder / "groundtruth.txt").write_text("\n".join(truth if lines is None else lines) + "\n")
        return folder

    return write


@pytest.fixture(scope="session")
def clip() -> Clip:
    """Twelve frames in memory."""
    frames = [(encoded(image, ".jpg"), box.xywh) for image, box, _ in demo_clip(2, 12, (160, 120))]
    return Clip("koi", tuple(f for f, _ in frames), np.array([b for _, b in frames]), np.arange(12))


@pytest.fixture
def backbone(tmp_path: Path) -> Path:
    """A teacher's backbone: one convolution to 48 channels at stride 16, its input size fixed in the file."""
    weights = np.random.default_rng(0).normal(0, 5e-4, (48, 3, 16, 16)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "w"], ["features"], kernel_shape=[16, 16], strides=[16, 16])],
        "backbone",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 255, 255])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, 48, 16, 16])],
        [numpy_helper.from_array(weights, "w")],
    )
    path = tmp_path / "backbone.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path
