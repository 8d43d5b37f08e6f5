"""What every test has: markers that explain themselves, and no network."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import setuptools  # type: ignore[import-untyped]  # noqa: F401  # PyTorch's compiler wants its distutils
from framestate.vision.datasets import MOMENT_LAYOUTS

from .tiny_graphs import write_interpolator, write_siamese_pair, write_stream
from .tiny_sets import write_cifar, write_moments, write_tracking_set

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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end what was not run, and why: reasons, the most frequent first."""
    reasons = Counter(reason_of(report) for report in terminalreporter.stats.get("skipped", ()))
    if reasons:
        terminalreporter.section("not run, and why")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count:5}  {reason}")


def reason_of(report: pytest.TestReport) -> str:
    """Why a test was skipped."""
    said = report.longrepr
    return (said[2] if isinstance(said, tuple) else str(said)).removeprefix("Skipped: ")


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
    """Writes a Siamese tracker as public ones come, see ``write_siamese_pair``: ``size`` and ``mixing``."""
    return partial(write_siamese_pair, tmp_path)


@pytest.fixture(scope="session")
def tiny_interpolator(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """An interpolator without weights, see ``write_interpolator``: made once."""
    return write_interpolator(tmp_path_factory.mktemp("bundles") / "tiny-interpolator")


@pytest.fixture(scope="session")
def tiny_stream(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A recurrent model of frames of any task's, see ``write_stream``: made once."""
    return write_stream(tmp_path_factory.mktemp("bundles") / "tiny-stream")


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
def tiny_cell_bundle(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """``tiny_bundle`` exported so that its graph ends with the best cell, proven: made once."""
    from framestate.cli.export import re_export

    folder = tmp_path_factory.mktemp("bundles") / "tiny-cell"
    return re_export(str(tiny_bundle.path), folder, 5, "ort", "fp32", None, decode="graph")[0]


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


@pytest.fixture
def tiny_cifar(tmp_path: Path) -> Path:
    """A folder whose ``set`` is CIFAR-10 with twelve pictures of the three classes of ``tiny_classifier``."""
    write_cifar(tmp_path / "set")
    return tmp_path
