"""Pruning in rounds: choose what stays, pull the rest towards zero (RSST), cut, rewind or go on, train.

Everything a run has decided or finished lies in its folder, so a run that was killed goes on to the bit:
``options.json``, and a folder a round with ``kept.json``, and for each phase its checkpoint and log, and its
``weights.safetensors`` once it is finished.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase as fnmatch
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from ...bundles import ModelSpec
from ...errors import OptionError
from ..training.config import LoopConfig
from ..training.loop import train
from .files import remember, save, write_json
from .groups import Group, Kept, cut
from .importance import Scores, features, magnitude, remaining, saliency
from .options import PruneOptions
from .refill import masks_of, refill_counts
from .registry import groups_of, targeted
from .rsst import Pull, norms, targets_of
from .selection import best, outermost, rounded
from .surgery import cut_model
from .trainers import Trainer
from .unstructured import Masks, apply_masks, global_masks, layers_of, load_masks, save_masks

Progress = Callable[[float, str], None]


@dataclass
class Pruned:
    """What a run came to.

    Attributes:
        units: of each targeted group, before and after.
        pulled: a round of RSST each: norm of what was targeted before and after, and of everything else.
        masks: of single weights, where no whole units went.
        seconds, cpu_seconds: of training; processor time is None where the run had been interrupted.
    """

    model: nn.Module
    spec: ModelSpec
    units: dict[str, tuple[int, int]]
    metrics: dict[str, float]
    steps: int
    seconds: float
    cpu_seconds: float | None
    pulled: list[dict[str, float]] = field(default_factory=list)
    masks: Masks = field(default_factory=dict)


class Pruning:
    """One run in one folder."""

    def __init__(
        self,
        model: nn.Module,
        spec: ModelSpec,
        trainer: Trainer | None,
        options: PruneOptions,
        out: Path,
        progress: Progress = lambda share, what: None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        if trainer is None and (options.steps or options.ranking in ("features", "saliency")):
            raise OptionError(
                f"{options.method} by {options.ranking} in {options.steps} steps needs data",
                "give a recipe and its data, or --method magnitude alone",
            )
        self.trainer, self.options, self.out = trainer, options, out
        self.progress, self.say = progress, say
        self.model, self.spec = copy.deepcopy(model), spec
        self.masks: Masks = {}
        self.targets = named(groups_of(spec), options) if options.structure == "units" else []
        self.original = {group.name: group for group in self.groups}
        self.start = {name: value.clone() for name, value in model.state_dict().items()}
        self.phases, self.steps, self.seconds, self.cpu = 0, 0, 0.0, 0.0
        self.interrupted = False
        self.pulled: list[dict[str, float]] = []
        remember(out / "options.json", {**asdict(options), "model": spec.name, "config": dict(spec.config)})

    @property
    def groups(self) -> list[Group]:
        """The targeted groups of the model as it is now."""
        if not self.targets:
            return []
        return [group for group in groups_of(self.spec) if group.name in self.targets]

    def run(self, name: str) -> Pruned:
        """Prunes, or goes on; the model that is left is called ``name``.

        Raises TrainingError when a loss is not finite, OptionError where the folder holds another run.
        """
        options = self.options
        for number in range(options.rounds):
            last = number == options.rounds - 1
            steps = share_of(options.steps, options.rounds, number)
            self.round(number, steps, last)
        self.spec = replace(self.spec, name=name)
        metrics = self.trainer.measure(self.model) if self.trainer is not None else {}
        left = {group.name: group.units for group in self.groups}
        return Pruned(
            self.model,
            self.spec,
            {key: (group.units, left[key]) for key, group in self.original.items()},
            metrics,
            self.steps,
            self.seconds,
            None if self.interrupted else self.cpu,
            self.pulled,
            self.masks,
        )

    def round(self, number: int, steps: int, last: bool) -> None:
        """One round: what stays is chosen, the rest pulled and cut, and what is left trained."""
        folder = self.out / f"round-{number + 1}"
        if self.options.structure == "none":
            steps -= self.mask(folder, number, steps)
        elif self.options.method != "dense":
            kept = self.chosen(folder / "kept.json", number)
            if self.options.method == "rsst":
                pull = round(self.options.share * steps)
                self.pull(folder / "pull", kept, pull)
                steps -= pull
            self.start = cut(self.start, groups_of(self.spec), kept)
            self.model, self.spec = cut_model(self.model, self.spec, kept, self.spec.name)
            if self.options.rewind:
                self.model.load_state_dict(self.start)
        if steps:
            self.model = self.phase(folder / "train", steps, falls=last)

    def mask(self, folder: Path, number: int, steps: int) -> int:
        """Chooses the single weights of a round that go, pulls them (RSST) and zeroes them; steps of that."""
        options, path, pull = self.options, folder / "masks.safetensors", 0
        if not path.exists():
            layers = layers_in(self.model, self.spec, options.target)
            goal = (1 - options.ratio) ** ((number + 1) / options.rounds)
            found = (
                load_masks(Path(options.masks))
                if options.masks
                else global_masks(self.model.state_dict(), layers, 1 - goal)
            )
            folder.mkdir(parents=True, exist_ok=True)
            save_masks(path, found)
        self.masks = load_masks(path)
        if options.method == "rsst":
            pull = round(options.share * steps)
            self.pull_to(folder / "pull", {name: ~mask for name, mask in self.masks.items()}, pull)
        if options.rewind:
            self.model.load_state_dict(self.start)
        apply_masks(self.model, self.masks)
        return pull

    def chosen(self, path: Path, number: int) -> Kept:
        """The units that stay in a round, from its file where that has been decided."""
        if not path.exists():
            remember(path, {key: list(units) for key, units in self.choose(number).items()})
        found: Kept = json.loads(path.read_text())
        return found

    def choose(self, number: int) -> Kept:
        """The units that stay in a round."""
        options, groups, weights = self.options, self.groups, self.model.state_dict()
        goal = (1 - options.ratio) ** ((number + 1) / options.rounds)  # share of the first model that stays
        wanted = {group.name: self.original[group.name].units * goal for group in groups}
        if options.method in ("refill", "rsst"):
            left = sum(g.units for g in groups) / sum(g.units for g in self.original.values())
            masks = masks_of(weights, layers_of(self.model), groups, max(0.0, 1 - goal / left))
            counts = refill_counts(groups, weights, masks, options.fillback)
        else:
            counts = rounded(groups, wanted)
        counts = {group.name: min(counts[group.name], group.units) for group in groups}
        counts |= {
            group.name: min(count, group.units)
            for pattern, count in options.units
            for group in groups
            if fnmatch(group.name, pattern)
        }
        return best(self.scores(groups), counts)

    def scores(self, groups: Sequence[Group]) -> Scores:
        """What each unit counts."""
        weights, ranking = self.model.state_dict(), self.options.ranking
        if ranking == "magnitude":
            return magnitude(weights, groups)
        if ranking == "remaining":
            return remaining(
                global_masks(weights, layers_of(self.model), self.options.ratio), weights, groups
            )
        assert self.trainer is not None
        model = copy.deepcopy(self.model)
        task = self.trainer.task(model, self.options.batches, self.trainer.seed + 1)
        measured = features if ranking == "features" else saliency
        return measured(task, groups, self.options.batches)

    def pull(self, folder: Path, kept: Kept, steps: int) -> None:
        """Trains while the units that do not stay are pulled towards zero."""
        self.pull_to(folder, targets_of(self.model, self.groups, kept), steps)

    def pull_to(self, folder: Path, targets: dict[str, torch.Tensor], steps: int) -> None:
        """Trains while weights are pulled towards zero; notes how far they came."""
        before = norms(self.model, targets)
        self.model = self.phase(folder, steps, falls=False, targets=targets)
        after = norms(self.model, targets)
        found = {"targets_before": before[0], "targets_after": after[0]}
        self.pulled.append({**found, "others_before": before[1], "others_after": after[1]})
        self.say(
            f"pulled: norm of what goes {before[0]:.3g} to {after[0]:.3g}, of the rest {before[1]:.3g} to "
            f"{after[1]:.3g}"
        )

    def phase(
        self, folder: Path, steps: int, *, falls: bool, targets: dict[str, torch.Tensor] | None = None
    ) -> nn.Module:
        """Trains the model for so many steps, unless that is done; its averaged weights."""
        assert self.trainer is not None
        number, self.phases = self.phases, self.phases + 1
        finished, told = folder / "weights.safetensors", folder / "phase.json"
        model = copy.deepcopy(self.model)
        if not finished.exists():
            whole = not (folder / "checkpoint.safetensors").exists()
            torch.manual_seed(self.trainer.seed + number)
            task = self.trainer.task(model, steps, self.trainer.seed + 1 + number)
            began = time.process_time()
            result = train(
                task,
                self.loop(steps, falls),
                folder,
                self.reporter(folder, steps),
                self.trainer.groups(task.model),
                self.after_step(task.model, targets),
            )
            spent = {"seconds": result.seconds, "cpu": time.process_time() - began, "whole": whole}
            write_json(told, spent)
            save(finished, self.trainer.bare(result.model))
            result.checkpoint.unlink()
        model = self.trainer.bare(model)
        model.load_state_dict(load_file(finished))
        spent = json.loads(told.read_text())
        self.steps, self.seconds = self.steps + steps, self.seconds + spent["seconds"]
        self.cpu, self.interrupted = self.cpu + spent["cpu"], self.interrupted or not spent["whole"]
        return model.cpu().eval()

    def after_step(
        self, model: nn.Module, targets: dict[str, torch.Tensor] | None
    ) -> Callable[[float], None] | None:
        """What is done to the weights after a step: pulled, or held at zero where they are masked."""
        options = self.options
        if targets is not None:
            return Pull(model, targets, options.strength, options.schedule, options.exponent)
        if self.masks:
            return lambda done: apply_masks(model, self.masks)
        return None

    def loop(self, steps: int, falls: bool) -> LoopConfig:
        """The recipe's optimisation for a phase; the rate falls in the last one only."""
        assert self.trainer is not None
        loop, options = self.trainer.loop, self.options
        return replace(
            loop,
            steps=steps,
            minutes=options.minutes * steps / options.steps,
            warmup_steps=min(loop.warmup_steps, steps // 10),
            final_share=loop.final_share if falls else 1.0,
            ema_ramp=True,
            validate_every=0,
        )

    def reporter(self, folder: Path, steps: int) -> Callable[[int, dict[str, float]], None]:
        """Tells how far the whole run is."""
        before = self.steps

        def tell(step: int, line: dict[str, float]) -> None:
            detail = f"{folder.parent.name} {folder.name}: step {step} of {steps}, loss {line['loss']:.3f}"
            self.progress((before + step) / self.options.steps, detail)

        return tell


def named(groups: Sequence[Group], options: PruneOptions) -> list[str]:
    """The groups that a run cuts. Raises OptionError for a pattern that no group has."""
    if not options.units:
        return [group.name for group in outermost(targeted(list(groups), options.target))]
    for pattern, _ in options.units:
        if not any(fnmatch(group.name, pattern) for group in groups):
            names = ", ".join(group.name for group in groups[:12])
            raise OptionError(f"no group is called {pattern}", f"there are {names} and so on")
    return [g.name for g in groups if any(fnmatch(g.name, pattern) for pattern, _ in options.units)]


def layers_in(model: nn.Module, spec: ModelSpec, target: str) -> list[str]:
    """The weights that are masked one by one: of linear layers and convolutions, in the parts that are meant.

    Raises OptionError for a target that the model does not have, or a part of one that has no groups.
    """
    layers = layers_of(model)
    if target == "all":
        return list(layers)
    inside = {places.tensor for group in targeted(groups_of(spec), target) for places in group.places}
    return [name for name in layers if name in inside]


def share_of(whole: int, parts: int, number: int) -> int:
    """Part ``number`` of a whole that is split into as equal ones as can be."""
    return whole * (number + 1) // parts - whole * number // parts
