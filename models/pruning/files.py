"""What a pruning run writes, each file whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from ...errors import OptionError


def remember(path: Path, what: dict[str, Any]) -> None:
    """Writes a JSON file, or sees that the one that is there says the same.

    Raises OptionError where it does not: another run lies there.
    """
    if not path.exists():
        write_json(path, what)
    elif json.loads(path.read_text()) != json.loads(json.dumps(what)):
        raise OptionError(
            f"{path} is of a run with other options", "give another folder, or the options of that run"
        )


def write_json(path: Path, what: dict[str, Any]) -> None:
    """Writes a JSON file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(what, indent=1) + "\n")
    partial.replace(path)


def save(path: Path, model: nn.Module) -> None:
    """Writes a model's tensors, whole or not at all."""
    partial = path.with_suffix(".partial")
    save_file({name: value.contiguous().clone() for name, value in model.state_dict().items()}, partial)
    partial.replace(path)
