"""What a checkpoint was made by: the values of its recipe, which a run that goes on from it has to share."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ...errors import TrainingError

KEY = "recipe"
AS_YOU_LIKE = (
    "text", "notes", "threads", "workers", "options",
    "loop.device", "loop.log_every", "loop.save_every", "loop.tensorboard", "loop.validate_every",
)  # fmt: skip
"""What may change from one part of a run to the next: it does not change what is learned."""
SHOWN = 8


@dataclass(frozen=True)
class Origin:
    """What a run is made by; ``accept`` lets it go on from a checkpoint of another recipe, which is told.

    ``defaults`` are those of the values: a checkpoint that is older than an option was made with its default.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    accept: bool = False
    say: Callable[[str], None] = lambda text: None

    def check(self, checkpoint: Path) -> None:
        """Raises TrainingError where a checkpoint was made by other values than these, naming each."""
        before = values_in(checkpoint)
        if not before or not self.values:
            return
        changes = differences({**self.defaults, **before}, self.values)
        if not changes:
            return
        listed = ", ".join(changes[:SHOWN]) + (f" and {len(changes) - SHOWN} more" if changes[SHOWN:] else "")
        if not self.accept:
            raise TrainingError(
                f"the recipe is not the one that {checkpoint} was made by: {listed}",
                "give that recipe, another folder, or accept the difference (--accept)",
            )
        self.say(f"going on with another recipe: {listed}")

    def metadata(self) -> dict[str, str]:
        """What a checkpoint says of it."""
        return {KEY: json.dumps(self.values)} if self.values else {}


def values_of(recipe: Any) -> dict[str, Any]:
    """Every value of a recipe that decides what is learned, tables flattened: ``loop.steps`` and so on."""
    flat: dict[str, Any] = json.loads(json.dumps(flattened(asdict(recipe))))
    return {name: value for name, value in flat.items() if name not in AS_YOU_LIKE}


def defaults_of(recipe: Any) -> dict[str, Any]:
    """The defaults of such values, those of options that have one."""
    found: dict[str, Any] = {}
    for entry in fields(recipe):
        value = getattr(recipe, entry.name)
        if is_dataclass(value):
            found |= {f"{entry.name}.{name}": default for name, default in defaults_of(value).items()}
        elif entry.default is not MISSING:
            found[entry.name] = entry.default
    values: dict[str, Any] = json.loads(json.dumps(found))
    return {name: value for name, value in values.items() if name not in AS_YOU_LIKE}


def flattened(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Tables within tables as names with dots."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            found |= flattened(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def values_in(checkpoint: Path) -> dict[str, Any]:
    """What a checkpoint says of its recipe; nothing where it is one of before, or cannot be read."""
    try:
        with safe_open(checkpoint, "np") as file:
            said = (file.metadata() or {}).get(KEY, "{}")
    except (OSError, SafetensorError):
        return {}  # whoever loads it says why
    values: dict[str, Any] = json.loads(said)
    return values


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """``name before -> now`` for every value that differs."""
    names = sorted(before.keys() | now.keys())
    return [
        f"{name} {before.get(name)!r} -> {now.get(name)!r}"
        for name in names
        if before.get(name) != now.get(name)
    ]
