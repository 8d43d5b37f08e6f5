"""RIFE of others in this engine: its weights, its ONNX files, and frames as the original makes them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
import torch
from framestate.cli.main import app
from framestate.engine import Engine
from framestate.errors import DataError, ExportError, OptionError
from framestate.export.rife import adopt_rife, planes_of
from framestate.models import load_weights
from framestate.models.rife.config import RifeConfig
from framestate.models.rife.model import Rife
from framestate.models.rife.weights import open_rife, read_rife
from framestate.plugins import eager_operators
from framestate.vision import Frame
from torch import Tensor, nn
from torch.nn import functional
from typer.testing import CliRunner

NEWEST = RifeConfig(widths=(8, 8, 6, 4, 2), features=2, encoder_width=4, depth=2)
OLD = RifeConfig(
    widths=(8, 6, 4, 4), scales=(8, 4, 2, 1), features=0, encoder_layers=0, encoder_width=1, outputs=6,
    carried=0, mask_added=True, depth=2,
)  # fmt: skip
BETWEEN = RifeConfig(
    widths=(8, 6, 4, 4), scales=(8, 4, 2, 1), features=2, encoder_layers=2, encoder_width=4, outputs=6,
    carried=0, depth=2,
)  # fmt: skip
SMALL = replace(BETWEEN, encoder_layers=4, widths=(4, 4, 2, 2), outputs=13, carried=8, depth=1)
LAYOUTS = {"4.25": NEWEST, "4.6": OLD, "4.7": BETWEEN}


def tiny(config: RifeConfig) -> Rife:
    torch.manual_seed(3)
    model = Rife(config, eager_operators()).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.15)
    return model


def saved(model: Rife, folder: Path, rows: bool = False) -> Path:
    """A ``flownet.pkl`` with names as its authors give them, the teacher's weights among them."""
    names = {}
    for name, value in model.state_dict().items():
        if rows and name.startswith("encode.cnn"):
            name = name.replace("cnn", "")
        names[f"module.{name}"] = value
    names["module.teacher.conv0.0.0.weight"] = torch.zeros(2, 2)
    path = folder / "flownet.pkl"
    torch.save(names, path)
    return path


def original(model: Rife, first: Tensor, second: Tensor, t: float) -> Tensor:
    """The published algorithm, written again with its own warp, on the weights of ``model``."""
    config = model.config
    height, width = first.shape[2:]
    across = torch.linspace(-1, 1, width).view(1, 1, 1, -1).expand(1, 1, height, width)
    down = torch.linspace(-1, 1, height).view(1, 1, -1, 1).expand(1, 1, height, width)

    def warp(x: Tensor, flow: Tensor) -> Tensor:
        share = torch.cat([flow[:, :1] * 2 / (width - 1), flow[:, 1:] * 2 / (height - 1)], 1)
        grid = (torch.cat([across, down], 1) + share).permute(0, 2, 3, 1)
        return functional.grid_sample(x, grid, padding_mode="border", align_corners=True)

    when = torch.full((1, 1, height, width), t)
    encode: Any = model.encode
    features = [] if encode is None else [encode(first), encode(second)]
    flow = mask = carried = None
    seen = [first, second, *features]
    for index, scale in enumerate(config.scales):
        parts = [*seen, when]
        if flow is not None:
            parts += [mask, carried]
        x = functional.interpolate(torch.cat(parts, 1), scale_factor=1 / scale, mode="bilinear")
        if flow is not None:
            smaller = functional.interpolate(flow, scale_factor=1 / scale, mode="bilinear")
            x = torch.cat([x, smaller / scale], 1)
        block: Any = getattr(model, f"block{index}")
        out = block.lastconv(block.convblock(block.conv0(x)))
        out = functional.interpolate(out, scale_factor=scale, mode="bilinear")
        moved, latest, carried = out[:, :4] * scale, out[:, 4:5], out[:, 5 : 5 + config.carried]
        flow = moved if flow is None else flow + moved
        mask = mask + latest if config.mask_added and mask is not None else latest
        sides = [flow[:, :2], flow[:, 2:]] * (1 + bool(features))
        seen = [warp(x, side) for x, side in zip([first, second, *features], sides, strict=True)]
    assert mask is not None
    share = torch.sigmoid(mask)
    found: Tensor = seen[0] * share + seen[1] * (1 - share)
    return found


def pair(height: int, width: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    rough = torch.rand(1, 3, 8, 8)
    images = functional.interpolate(rough, size=(height, width + 6), mode="bicubic").clamp(0, 1)
    return images[..., :-6].contiguous(), images[..., 6:].contiguous()


@pytest.mark.parametrize("layout", LAYOUTS)
@torch.inference_mode()
def test_any_layout_is_read_off_its_weights_and_makes_the_frames_of_the_original(
    layout: str, tmp_path: Path
) -> None:
    model = tiny(LAYOUTS[layout])
    config, weights = read_rife(saved(model, tmp_path, rows=layout == "4.7"))
    assert config == LAYOUTS[layout]
    read = Rife(config, eager_operators()).eval()
    load_weights(read, weights)
    first, second = pair(128, 192)
    for t in (0.5, 0.2):
        ours = read(read.features(first), read.features(second), torch.tensor([[t]]))
        assert (ours - original(model, first, second, t)).abs().max() < 1e-4


def frames(count: int, height: int = 96, width: int = 160) -> list[Frame]:
    rng = np.random.default_rng(2)
    canvas = np.kron(
        rng.integers(0, 256, (height // 8, width, 3), dtype=np.uint8), np.ones((8, 1, 1), np.uint8)
    )
    return [
        Frame(np.ascontiguousarray(np.roll(canvas, 3 * index, axis=1)), index, Fraction(1, 25), index)
        for index in range(count)
    ]


def made(bundle: Any, runtime: str, shown: Sequence[Frame]) -> list[Any]:
    with (
        Engine.load(bundle, runtime=runtime, threads=1, capacity=1) as engine,
        engine.open(factor=3) as session,
    ):
        return [one for frame in shown for one in session.push(frame)]


@pytest.mark.long
def test_adopted_weights_run_in_the_engine_with_its_times(tmp_path: Path) -> None:
    path = saved(tiny(SMALL), tmp_path)
    out = tmp_path / "bundle"
    arguments = ["adopt", "--rife", str(path), "--name", "tiny-rife", "--out", str(out), "--frames", "2"]
    result = CliRunner().invoke(app, [*arguments, "--licence", "MIT"])
    assert result.exit_code == 0, result.stderr
    assert "its graphs differ from the files by" in result.stdout
    shown = frames(2)
    graphs, eager = (made(out, runtime, shown) for runtime in ("onnx", "eager"))
    assert [one.pts * one.time_base for one in graphs] == [
        0,
        Fraction(1, 75),
        Fraction(2, 75),
        Fraction(1, 25),
    ]
    assert np.array_equal(graphs[0].image, shown[0].image)
    for one, other in zip(graphs, eager, strict=True):
        assert np.abs(one.image.astype(int) - other.image).max() <= 1
    first, second = (torch.from_numpy(frame.image).permute(2, 0, 1)[None].float() / 255 for frame in shown)
    with torch.inference_mode():
        expected = original(tiny(SMALL), first, second, 1 / 3)[0].clamp(0, 1) * 255
    difference = graphs[1].image.astype(float) - expected.permute(1, 2, 0).numpy()
    assert np.abs(difference).max() < 0.6


def whole_network(planes: int, path: Path) -> None:
    """A file as vs-mlrt has them: its answer depends on every plane that it is given."""
    kinds = {
        7: """float[1,1,h,w] far = Sub (one, t)
              float[1,3,h,w] a = Mul (first, far)
              float[1,3,h,w] b = Mul (second, t)
              output = Add (a, b)""",
        11: """float[1,1,h,w] sum = Add (across, down)
              float[1,1,h,w] step = Add (wide, high)
              float[1,1,h,w] all = Mul (sum, step)
              float[1,1,h,w] seen = Mul (all, t)
              float[1,3,h,w] a = Mul (first, seen)
              output = Add (a, second)""",
    }
    names = ["first", "second", "t", *(["across", "down", "wide", "high"] if planes == 11 else [])]
    sizes = ", ".join(map(str, [3, 3, *[1] * (planes - 6)]))
    path.write_bytes(b"")
    lines = re.sub(r"float\[[^\]]*\] ", "", kinds[planes])
    model = onnx.parser.parse_model(f"""<ir_version: 8, opset_import: ["" : 17]>
        net (float[1,{planes},h,w] input) => (float[1,3,h,w] output)
        <int64[{len(names)}] sizes = {{{sizes}}}, float[1] one = {{1.0}}> {{
            {", ".join(names)} = Split <axis = 1> (input, sizes)
            {lines}
        }}""")
    onnx.save(model, path)


@pytest.mark.parametrize("planes", [7, 11])
def test_onnx_files_of_whole_networks_make_what_they_made(planes: int, tmp_path: Path) -> None:
    path = tmp_path / "rife.onnx"
    whole_network(planes, path)
    bundle = adopt_rife(path, tmp_path / "bundle", name="whole", provenance={}, multiple=64)
    said: Any = bundle.parity["onnx"]
    assert said["passed"] is True
    shown = frames(2, 128, 192)
    found = made(bundle, "onnx", shown)
    first, second = (np.asarray(frame.image.transpose(2, 0, 1)[None] / 255, np.float32) for frame in shown)
    given = planes_of(first, second, 1 / 3, planes)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"input": given})
    assert np.abs(found[1].image - expected[0].clip(0, 1).transpose(1, 2, 0) * 255).max() < 0.6


def test_what_is_no_rife_is_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "ran"),)

    for value, words in (
        ({"module.block0.conv0.1.0.weight": torch.zeros(4, 2, 3, 3)}, "no RIFE that is known here"),
        ({"module.encode.0.weight": torch.zeros(4, 3, 3, 3)}, "no RIFE that is known here"),
        ([1, 2], "holds no tensors by name"),
        ({"a": Trap()}, "cannot be read"),
    ):
        torch.save(value, tmp_path / "flownet.pkl")
        with pytest.raises(DataError, match=words):
            adopt_rife(tmp_path, tmp_path / "out", name="no", provenance={})
    assert not (tmp_path / "ran").exists()
    (tmp_path / "flownet.pkl").write_bytes(b"nothing")
    with pytest.raises(DataError, match="cannot be read"):
        read_rife(tmp_path)
    with pytest.raises(DataError, match="is not a file"):
        read_rife(tmp_path / "none")
    with pytest.raises(OptionError, match="weights tell it themselves"):
        adopt_rife(tmp_path / "flownet.pkl", tmp_path / "out", name="no", provenance={}, multiple=64)
    with pytest.raises(ExportError, match="cannot be read as ONNX"):
        adopt_rife(tmp_path / "none.onnx", tmp_path / "out", name="no", provenance={})
    for changes in ({"scales": (3, 1), "widths": (2, 2)}, {"outputs": 5}, {"widths": (3,) * 5}):
        with pytest.raises(OptionError):
            RifeConfig(**changes)


@pytest.mark.data
@torch.inference_mode()
def test_real_weights_make_the_frames_of_the_original() -> None:
    folder = os.environ.get("FRAMESTATE_RIFE")
    if not folder:
        pytest.skip("FRAMESTATE_RIFE names no folder with RIFE's flownet.pkl")
    model = open_rife(Path(folder))
    first, second = pair(2 * model.multiple, 3 * model.multiple)
    for t in (0.5, 0.3):
        ours = model(model.features(first), model.features(second), torch.tensor([[t]]))
        assert (ours - original(model, first, second, t)).abs().max() < 5e-4
