"""What every test has: markers that explain themselves, and no network."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from framestate.vision.datasets import MOMENT_LAYOUTS

from .tiny_sets import write_moments, write_tracking_set

if TYPE_CHECKING:
    from framestate.bundles import Bundle

# Generated cases are the same on every run, and slow machines do not fail them.
hypothesis.settings.register_profile("framestate", deadline=None, derandomize=True)
hypothesis.settings.load_profile("framestate")

ROOT = Path(__file__).resolve().parent.parent
DATA_VARIABLE = "FRAMESTATE_DATA"
LONG_VARIABLE = "FRAMESTATE_LONG"
CUDA_VARIABLE = "FRAMESTATE_REQUIRE_CUDA"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what cannot run here, and say why; where CUDA is required, its absence is a failure."""
    if item.get_closest_marker("gpu") is not None:
        why = _no_cuda()
        if why is not None and os.environ.get(CUDA_VARIABLE) == "1":
            pytest.fail(f"{CUDA_VARIABLE}=1, but {why}", pytrace=False)
        if why is not None:
            pytest.skip(why)
    if item.get_closest_marker("long") is not None and os.environ.get(LONG_VARIABLE) != "1":
        pytest.skip(f"takes minutes; set {LONG_VARIABLE}=1 to run it")
    if item.get_closest_marker("data") is not None and not data_folder().is_dir():
        pytest.skip(f"the real clips are not at ../shared/data; set {DATA_VARIABLE} to their folder")


def data_folder() -> Path:
    """Where the real clips are, if they are there."""
    return Path(os.environ.get(DATA_VARIABLE) or ROOT.parent / "shared" / "data")


def _no_cuda() -> str | None:
    try:
        import torch
    except ImportError:
        return "PyTorch is not installed"
    return None if torch.cuda.is_available() else "PyTorch finds no CUDA device"


@pytest.fixture
def shared_data() -> Path:
    """The folder of the real clips; for tests that are marked ``data``."""
    return data_folder()


@pytest.fixture
def checkout() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture
def tiny_set(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a made-up copy of a public data set, by the name of its layout, and returns its folder."""

    def write(layout: str) -> Path:
        root = tmp_path / layout
        return write_moments(layout, root) if layout in MOMENT_LAYOUTS else write_tracking_set(layout, root)

    return write


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A tracker of 23 thousand random weights with its graphs, proven like any other: made once, in seconds.

    Its weights are drawn so that every part has a say: boxes jump about, and state changes them.
    """
    import torch
    from framestate.export.bundle import bundle_model
    from framestate.models.artrack_mamba import ArtrackMamba, ArtrackMambaConfig
    from framestate.plugins import eager_operators
    from torch import nn

    sizes: dict[str, Any] = {"template_size": 32, "search_size": 64, "search_factor": 4.0, "stem": "patch"}
    config = ArtrackMambaConfig(**sizes, dim=16, layers=2, head_channels=8, states=4, head_dim=16)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ArtrackMamba(config, eager_operators()).eval()
        for name, parameter in model.named_parameters():
            if name.endswith("out_proj.weight"):
                nn.init.normal_(parameter)
        nn.init.constant_(model.carry_logit, 1.0)
        bias = model.head.out.bias
        assert bias is not None
        nn.init.normal_(model.head.out.weight, std=0.1)
        nn.init.zeros_(bias[:1])
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    return bundle_model(model, model.spec("tiny"), folder, provenance={"seed": 0}, frames=5)[0]


@pytest.fixture
def siamese_pair(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Writes a Siamese tracker as public ones come: two ONNX files for one row, of NanoTrack's signature.

    The backbone looks at 8 x 8 patches and weighs its channels by their means; the head matches every place
    of the template with every place of the search area. ``mixing`` lets the rows of a batch mix.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper, save

    def make(size: int = 64, mixing: bool = False) -> tuple[Path, Path]:
        rng = np.random.default_rng(0)
        kernel, grid, depth = 4, size // 8, 6

        def weight(name: str, *shape: int, scale: float = 1.0) -> Any:
            fan = float(np.prod(shape[1:]))
            return numpy_helper.from_array(
                (scale * rng.normal(size=shape) / np.sqrt(fan)).astype(np.float32), name
            )

        def shape(name: str, *sizes: int) -> Any:
            return numpy_helper.from_array(np.array(sizes, np.int64), name)

        def model(nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: list[Any]) -> Any:
            def value(entry: tuple[str, tuple[int, ...]]) -> Any:
                return helper.make_tensor_value_info(entry[0], TensorProto.FLOAT, entry[1])

            graph = helper.make_graph(
                nodes, "pair", list(map(value, inputs)), list(map(value, outputs)), constants
            )
            return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=7)

        node = helper.make_node
        eyes = model(
            [
                node("Conv", ["image", "eye"], ["seen"], strides=[8, 8]),
                node("GlobalAveragePool", ["seen"], ["pooled"]),
                node("Reshape", ["pooled", "flat"], ["row"]),
                node("Gemm", ["row", "mix"], ["mixed"]),
                node("Reshape", ["mixed", "tall"], ["gates"]),
                node("Sigmoid", ["gates"], ["gate"]),
                node("Mul", ["seen", "gate"], ["features"]),
            ],
            [("image", (1, 3, size, size))],
            [("features", (1, depth, grid, grid))],
            [
                weight("eye", depth, 3, 8, 8, scale=0.01),
                weight("mix", depth, depth),
                shape("flat", 1, depth),
                shape("tall", 1, depth, 1, 1),
            ],
        )
        searched = [node("ReduceMean", ["search"], ["searched"], axes=[0], keepdims=1)]
        brain = model(
            [
                *(searched if mixing else [node("Identity", ["search"], ["searched"])]),
                node("Reshape", ["key", "lines"], ["keys"]),
                node("Transpose", ["keys"], ["turned"], perm=[0, 2, 1]),
                node("Reshape", ["searched", "lines"], ["places"]),
                node("MatMul", ["turned", "places"], ["matches"]),
                node("Reshape", ["matches", "map"], ["matched"]),
                node("Conv", ["matched", "class", "class_bias"], ["classes"]),
                node("Conv", ["matched", "side", "side_bias"], ["raw"]),
                node("Exp", ["raw"], ["sides"]),
            ],
            [("key", (1, depth, kernel, kernel)), ("search", (1, depth, grid, grid))],
            [("classes", (1, 2, grid, grid)), ("sides", (1, 4, grid, grid))],
            [
                weight("class", 2, kernel**2, 1, 1),
                weight("side", 4, kernel**2, 1, 1, scale=0.01),
                numpy_helper.from_array(np.array([-1.0, 1.0], np.float32), "class_bias"),
                numpy_helper.from_array(np.full(4, 2.0, np.float32), "side_bias"),
                shape("lines", 1, depth, -1),
                shape("map", 1, -1, grid, grid),
            ],
        )
        paths = tmp_path / "backbone.onnx", tmp_path / "head.onnx"
        save(eyes, paths[0])
        save(brain, paths[1])
        return paths

    return make


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sockets reach this machine only."""
    connect, connect_ex, sendto = socket.socket.connect, socket.socket.connect_ex, socket.socket.sendto
    getaddrinfo = socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        _check_local(self.family, address)
        return connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        _check_local(self.family, address)
        return connect_ex(self, address)

    def guarded_sendto(self: socket.socket, data: Any, *rest: Any) -> int:
        _check_local(self.family, rest[-1])
        return sendto(self, data, *rest)

    def guarded_getaddrinfo(host: Any, *rest: Any, **options: Any) -> Any:
        _check_local(socket.AF_INET, (host, 0))
        return getaddrinfo(host, *rest, **options)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    monkeypatch.setattr(socket.socket, "sendto", guarded_sendto)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)


def _check_local(family: int, address: Any) -> None:
    if family not in (socket.AF_INET, socket.AF_INET6):
        return
    host = address[0]
    text = host.decode() if isinstance(host, bytes) else host
    if text in (None, "", "localhost"):
        return
    try:
        local = ipaddress.ip_address(text).is_loopback or ipaddress.ip_address(text).is_unspecified
    except ValueError:
        local = False
    if not local:
        raise RuntimeError(f"a test tried to reach {text!r}; tests have no network")


@pytest.fixture(scope="session")
def tiny_interpolator(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """An interpolator without weights: the first frame plus ``t`` times the smoothed change to the second.

    Where little changes within 18 pixels it is a plain blend. Its motion is at half the frame's size.
    """
    from framestate.bundles import FunctionSpec, ModelSpec, TensorSpec, write_bundle
    from onnx import TensorProto, helper, numpy_helper

    frame, half = ("batch", 3, "height", "width"), ("batch", 3, "height/2", "width/2")
    image, t = TensorSpec("image", "float32", frame), TensorSpec("t", "float32", ("batch", 1))
    state = tuple(TensorSpec(f"{name}.image", "float32", frame) for name in ("first", "second"))
    change = TensorSpec("motion.change", "float32", half)
    both = ("first.image", "second.image")
    functions = {
        "encode": FunctionSpec((image,), (), (), ("second.image",)),
        "motion": FunctionSpec((), (), both, ("motion.change",)),
        "interpolate": FunctionSpec((t,), (image,), (*both, "motion.change")),
    }
    preprocess: dict[str, Any] = {"multiple": 16, "motion_resize": {"motion.change": "map"}}
    spec = ModelSpec("tiny", "interpolation", "none", {}, preprocess, functions, (*state, change))

    node, past = helper.make_node, "past_state."
    nodes = {
        "encode": [node("Identity", ["image"], ["present_state.second.image"])],
        "motion": [
            node("Sub", [past + "second.image", past + "first.image"], ["whole"]),
            node("AveragePool", ["whole"], ["half"], kernel_shape=[2, 2], strides=[2, 2]),
            node(
                "AveragePool",
                ["half"],
                ["present_state.motion.change"],
                kernel_shape=[9, 9],
                pads=[4, 4, 4, 4],
            ),
        ],
        "interpolate": [
            node("Resize", [past + "motion.change", "", "twice"], ["whole"], mode="linear"),
            node("Reshape", ["t", "column"], ["share"]),
            node("Mul", ["whole", "share"], ["part"]),
            node("Add", [past + "first.image", "part"], ["sum"]),
            node(
                "Mul", [past + "second.image", "none"], ["nothing"]
            ),  # so that the input is one of the graph
            node("Add", ["sum", "nothing"], ["all"]),
            node("Clip", ["all", "none", "one"], ["image"]),
        ],
    }
    constants: dict[str, Any] = {"twice": [1.0, 1.0, 2.0, 2.0], "none": 0.0, "one": 1.0}
    tensors = [numpy_helper.from_array(_float32(value), name) for name, value in constants.items()]
    tensors.append(helper.make_tensor("column", TensorProto.INT64, [4], [-1, 1, 1, 1]))
    shapes = {one.name: one.shape for one in (image, t)}
    shapes |= {prefix + one.name: one.shape for one in spec.state for prefix in (past, "present_state.")}
    files: dict[str, Path | bytes] = {}
    for name, steps in nodes.items():
        function = functions[name]
        inputs = [one.name for one in function.inputs] + [past + key for key in function.reads_state]
        outputs = [one.name for one in function.outputs]
        outputs += ["present_state." + key for key in function.writes_state]
        values = {key: helper.make_tensor_value_info(key, TensorProto.FLOAT, shapes[key]) for key in shapes}
        used = {key for step in steps for key in step.input}
        graph = helper.make_graph(
            steps, name, [values[key] for key in inputs], [values[key] for key in outputs],
            [tensor for tensor in tensors if tensor.name in used],
        )  # fmt: skip
        opset = [helper.make_opsetid("", 20)]
        files[f"{name}.onnx"] = helper.make_model(
            graph, opset_imports=opset, ir_version=9
        ).SerializeToString()
    folder = tmp_path_factory.mktemp("bundles") / "tiny-interpolator"
    return write_bundle(folder, spec, files, provenance={}, metrics={}, parity={})


def _float32(value: Any) -> Any:
    import numpy as np

    return np.array(value, np.float32)


@pytest.fixture(scope="session")
def tiny_classifier(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A classifier of three labels and random weights with its graphs, proven like any other: made once.

    Its head is drawn large, so that what it sees decides what it says.
    """
    import torch
    from framestate.export.bundle import bundle_model
    from framestate.models.classification import ClassifierConfig, MambaClassifier
    from framestate.plugins import eager_operators
    from torch import nn

    config = ClassifierConfig(size=16, dim=8, layers=2, states=4, labels=("cat", "dog", "sea"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = MambaClassifier(config, eager_operators()).eval()
        nn.init.normal_(model.head.weight, std=2.0)
    folder = tmp_path_factory.mktemp("bundles") / "tiny-classifier"
    return bundle_model(model, model.spec("tiny-classifier"), folder, provenance={"seed": 0}, frames=4)[0]


@pytest.fixture(scope="session")
def tiny_vil_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A ViL-Tracker of 34 thousand random weights with its graphs, proven like any other: made once.

    Its crops are those of ``tiny_bundle``; temporal features and maps are drawn large, so that both matter.
    """
    import torch
    from framestate.export.bundle import bundle_model
    from framestate.models.vil_tracker import VilTracker, VilTrackerConfig
    from framestate.plugins import eager_operators
    from torch import nn

    sizes: dict[str, Any] = {"template_size": 32, "search_size": 64, "dim": 16, "layers": 2}
    sizes |= {"expert_layers": 1, "experts": 2, "expert_hidden": 8, "shared_hidden": 8, "film_rank": 4}
    sizes |= {"film_hidden": 8, "head_dims": (16, 16, 8), "uncertainty_dims": (8, 8)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = VilTracker(VilTrackerConfig(**sizes), eager_operators()).eval()
        nn.init.normal_(model.film.affine)
        for name, parameter in model.named_parameters():
            if name.endswith("4.weight"):  # the last layer of every tower
                nn.init.normal_(parameter, std=0.5)
    folder = tmp_path_factory.mktemp("bundles") / "tiny-vil"
    return bundle_model(model, model.spec("tiny-vil"), folder, provenance={"seed": 0}, frames=5)[0]


@pytest.fixture(scope="session")
def tiny_trajectory_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """An ARTrackMamba with a trajectory head and random weights, with its graphs, proven: made once.

    Its crops are those of ``tiny_bundle``; words and score are drawn large, so that boxes jump about.
    """
    import torch
    from framestate.export.bundle import bundle_model
    from framestate.models.artrack_mamba_v2 import ArtrackMambaV2, ArtrackMambaV2Config
    from framestate.plugins import eager_operators
    from torch import nn

    sizes: dict[str, Any] = {"template_size": 32, "search_size": 64, "dim": 16, "layers": 2, "states": 8}
    sizes |= {"head_channels": 8, "attention_heads": 2, "bins": 40, "history": 2}
    sizes |= {"redraw_dim": 8, "redraw_layers": 1, "redraw_heads": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = ArtrackMambaV2Config(**sizes, mixer="mamba2", temporal="carry")
        model = ArtrackMambaV2(config, eager_operators()).eval()
        nn.init.normal_(model.tokens.words.weight)
        for parameter in model.score.parameters():
            nn.init.normal_(parameter)
    folder = tmp_path_factory.mktemp("bundles") / "tiny-trajectory"
    return bundle_model(model, model.spec("tiny-trajectory"), folder, provenance={"seed": 0}, frames=5)[0]
