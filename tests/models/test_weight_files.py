"""Weights in files of others: read without code, and any damage is an error of ours."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from framestate.errors import DataError
from framestate.models.weight_files import read_published, read_weights
from safetensors.torch import save_file

WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1, 2])}


class Stranger:
    """What runs code where it is loaded as usual."""

    def __reduce__(self) -> tuple[object, ...]:
        return print, ("it ran",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_damaged_checkpoint_raises_nothing_else(tmp_path: Path, zipped: bool) -> None:
    path, draw = tmp_path / "weights.pt", random.Random(0)
    torch.save({"model": WEIGHTS, "epoch": 3}, path, _use_new_zipfile_serialization=zipped)
    assert read_published(path, "give another", entry="model").keys() == WEIGHTS.keys()
    whole = path.read_bytes()
    refused = 0
    for _ in range(200):
        damaged = bytearray(whole)
        for _ in range(draw.choice((1, 2, 8))):
            damaged[draw.randrange(min(len(damaged), 1200))] = draw.randrange(256)
        path.write_bytes(damaged[: draw.choice((len(damaged), draw.randrange(len(damaged))))])
        try:
            read_published(path, "give another", entry="model")
        except DataError:
            refused += 1
    assert refused > 100


def test_code_does_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"model": {"a": Stranger()}}, tmp_path / "code.pt")
    with pytest.raises(DataError, match="cannot be read"):
        read_published(tmp_path / "code.pt", "give another", entry="model")
    assert capsys.readouterr().out == ""


def test_bfloat16_becomes_float32(tmp_path: Path) -> None:
    save_file({"a": torch.tensor([1.5, -2.0], dtype=torch.bfloat16)}, tmp_path / "half.safetensors")
    for found in (
        read_weights(tmp_path / "half.safetensors")["a"],
        read_published(tmp_path / "half.safetensors", "give another")["a"].numpy(),
    ):
        assert found.dtype == np.float32
        assert found.tolist() == [1.5, -2.0]
