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

from .made_once import made_once
from .tiny_graphs import write_interpolator, write_siamese_pair, write_stream
from .tiny_sets import write_cifar, write_moments, write_tracking_set
from .tiny_trackers import write_tiny, write_tiny_trajectory, write_tiny_vil

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
    """See ``write_tiny``: made once."""
    return made_once(tmp_path_factory, "tiny", write_tiny)


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

    def write(folder: Path) -> Bundle:
        return re_export(str(tiny_bundle.path), folder, 5, "ort", "fp32", None, decode="graph")[0]

    return made_once(tmp_path_factory, "tiny-cell", write)


@pytest.fixture(scope="session")
def tiny_vil_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """See ``write_tiny_vil``: made once."""
    return made_once(tmp_path_factory, "tiny-vil", write_tiny_vil)


@pytest.fixture(scope="session")
def tiny_trajectory_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """See ``write_tiny_trajectory``: made once."""
    return made_once(tmp_path_factory, "tiny-trajectory", write_tiny_trajectory)


@pytest.fixture
def tiny_cifar(tmp_path: Path) -> Path:
    """A folder whose ``set`` is CIFAR-10 with twelve pictures of the three classes of ``tiny_classifier``."""
    write_cifar(tmp_path / "set")
    return tmp_path
