"""How a recipe is run, beside what the recipe says: on from where, for how long, or only tried out."""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from ...errors import OptionError
from ...plugins import eager_operators
from ..registry import Build
from ..systems import architecture
from .config import LoopConfig
from .distributed import joined
from .loop import Result, Run, Task, train
from .origin import Origin, defaults_of, values_of

Recipe = TypeVar("Recipe", bound=Any)
Progress = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class Mode:
    """How a recipe is run.

    Attributes:
        say: told what happens.
        accept: go on from a checkpoint that was made by another recipe; what differs is told.
        epochs: in place of the recipe's steps; 0 leaves them.
        trial: a list that takes a line for each phase, of which one step is done in place of training.
        build: makes the model, in place of the architecture's own.
    """

    say: Callable[[str], None] = lambda text: None
    accept: bool = False
    epochs: float = 0.0
    trial: list[dict[str, Any]] | None = None
    build: Build | None = None

    def model(self, plan: Any, config: Any) -> nn.Module:
        """The model of a recipe's architecture with fresh weights, with the options ``config``."""
        row = architecture(plan.architecture)
        if self.build is None:
            made: nn.Module = row.load("model")(config, eager_operators())
            return made
        with torch.device("meta"):
            own: Any = row.load("model")(config, eager_operators())
        return self.build(own.spec(plan.name), eager_operators())

    def lasting(self, recipe: Recipe, samples: int | None) -> Recipe:
        """The recipe with as many steps as the epochs take; ``samples`` are those of one, if there is such.

        Raises OptionError where epochs are asked for and samples have no number.
        """
        if not self.epochs:
            return recipe
        if not samples:
            raise OptionError(
                f"epochs are {self.epochs:g}, and samples of {recipe.architecture} are drawn without end",
                "say how many steps: --set loop.steps=N",
            )
        steps = max(1, math.ceil(self.epochs * samples / recipe.batch))
        found: Recipe = replace(recipe, loop=replace(recipe.loop, steps=steps))
        return found

    def train(
        self,
        recipe: Any,
        task: Task,
        config: LoopConfig,
        out: Path,
        progress: Progress | None = None,
        groups: list[dict[str, object]] | None = None,
    ) -> Result:
        """``loop.train`` by a recipe, or one step of each phase of it where this is a trial."""
        if self.trial is not None:
            return try_out(task, config, groups, self.trial)
        origin = Origin(values_of(recipe), defaults_of(recipe), self.accept, self.say)
        return train(task, config, out, progress, groups, origin=origin)


def try_out(
    task: Task, config: LoopConfig, groups: list[dict[str, object]] | None, lines: list[dict[str, Any]]
) -> Result:
    """One step of each phase of a task, from fresh weights on; nothing is kept but a line for each."""
    began = time.monotonic()
    phases: dict[int, str] = getattr(task, "phases", {0: "training"})
    with joined() as ranks, tempfile.TemporaryDirectory() as folder:
        run = Run(task, config, Path(folder), ranks, groups)
        for step in sorted(phases):
            if step >= config.steps:
                continue
            run.step = step
            batch = next(iter(task.batches(step)))
            shapes = {name: list(value.shape) for name, value in batch.items() if value.dim() > 1}
            since = time.monotonic()
            run.take(batch)
            lines.append(
                {
                    "phase": phases[step],
                    "step": step,
                    "parameters": sum(p.numel() for p in task.model.parameters()),
                    "learning": sum(p.numel() for p in task.model.parameters() if p.requires_grad),
                    "batch": shapes,
                    "seconds": round(time.monotonic() - since, 3),
                    "loss": run.sums.get("loss"),
                    "memory_bytes": most_memory(run.device),
                }
            )
            run.sums = {}
        model = run.average.module.to("cpu").eval()
        return Result(len(phases), time.monotonic() - began, run.checkpoint, model)


def most_memory(device: torch.device) -> int | None:
    """The most memory used so far: of the GPU, or of this process on a CPU; None where nobody tells."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
