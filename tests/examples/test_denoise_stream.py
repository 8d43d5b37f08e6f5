"""A ConvGRU that takes noise off: adopted from PyTorch's own file, it does, on frames of another size."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("torch")


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_it_denoises(example: ModuleType, tmp_path: Path) -> None:
    bundle = example.make(tmp_path / "denoiser")
    assert bundle.spec.task == "stream"
    assert bundle.spec.state[0].shape == ("batch", 3, "height", "width")
    assert bundle.parity["onnx"]["rows"] == 2
    noisy, clean = example.run(bundle, size=(133, 99), frames=12)
    assert noisy < 21
    assert clean > noisy + 6
