"""What pruning trains and measures with: a recipe's data, loss and optimiser around a model that is given."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import torch
from torch import nn

from ...bundles import ModelSpec
from ...errors import OptionError
from ..artrack_mamba import ArtrackMamba
from ..classification import MambaClassifier
from ..classification.cifar import read_cifar
from ..classification.groups import parameter_groups
from ..classification.recipe import ClassifierRecipe
from ..classification.task import ClassifierTask, evaluate
from ..plans import Plan
from ..systems import architecture
from ..tracking.recipe import TrackerRecipe, open_sources
from ..tracking.samples import SampleSource
from ..tracking.task import TrackerTask
from ..training.config import LoopConfig
from ..training.distributed import pick_device
from ..training.loop import Task

HELPERS = ("teacher_head", "answer_head")
"""Layers that a tracker has while it learns from a teacher."""


class Trainer(Protocol):
    """How one kind of model is trained and measured."""

    @property
    def loop(self) -> LoopConfig:
        """The recipe's optimisation."""

    @property
    def seed(self) -> int:
        """The recipe's seed."""

    @property
    def metric(self) -> str:
        """Which of the measures a curve is drawn of; higher is better."""

    def task(self, model: nn.Module, steps: int, seed: int) -> Task:
        """Training a model for so many steps, on samples drawn with a seed."""

    def groups(self, model: nn.Module) -> list[dict[str, object]] | None:
        """AdamW's parameter groups; None for those of the loop."""

    def bare(self, model: nn.Module) -> nn.Module:
        """The model without what only training needs."""

    def measure(self, model: nn.Module) -> dict[str, float]:
        """Quality by name, on all that the recipe holds out."""


class ClassifierTrainer:
    """Pictures of CIFAR; quality is the accuracy on the pictures held out."""

    metric = "accuracy"

    def __init__(self, recipe: ClassifierRecipe, data: Path, spec: ModelSpec) -> None:
        self.recipe, self.loop, self.seed = recipe, recipe.loop, recipe.seed
        pictures, test = read_cifar(data / recipe.folder)
        self.test = test.first(recipe.held_out)
        self.pictures = pictures.first(recipe.images)
        labels = spec.config.get("labels")
        if not isinstance(labels, list | tuple) or tuple(labels) != pictures.names:
            raise OptionError(
                f"the model knows other labels than {data / recipe.folder}", "give the data it was trained on"
            )

    def task(self, model: nn.Module, steps: int, seed: int) -> Task:
        """See ``Trainer``."""
        assert isinstance(model, MambaClassifier)
        recipe = self.recipe
        return ClassifierTask(
            model, self.pictures, self.test, recipe.batch, steps, recipe.workers, seed, recipe.augment
        )

    def groups(self, model: nn.Module) -> list[dict[str, object]] | None:
        """See ``Trainer``."""
        assert isinstance(model, MambaClassifier)
        return parameter_groups(model, self.loop.weight_decay, self.recipe.groups)

    def bare(self, model: nn.Module) -> nn.Module:
        """See ``Trainer``."""
        return model

    def measure(self, model: nn.Module) -> dict[str, float]:
        """See ``Trainer``."""
        assert isinstance(model, MambaClassifier)
        found = evaluate(model.eval().to(pick_device(self.loop.device)), self.test)
        model.cpu()
        return found


class TrackerTrainer:
    """Samples as a tracker's recipe has them; quality is the overlap on the clips that it holds out."""

    metric = "iou_carry"

    def __init__(self, recipe: TrackerRecipe, data: Path, spec: ModelSpec) -> None:
        self.recipe, self.loop, self.seed = recipe, recipe.loop, recipe.seed
        self.teacher = data / recipe.teacher if recipe.teacher else None
        self.teacher_head = data / recipe.teacher_head if recipe.teacher_head else None
        self.source, self.held_out, _ = open_sources(recipe, data)

    def task(self, model: nn.Module, steps: int, seed: int) -> Task:
        """See ``Trainer``. Raises OptionError where the recipe's crops are not the model's."""
        assert isinstance(model, ArtrackMamba)
        given, wanted = self.recipe.samples, model.config
        for name in ("template_size", "template_factor", "search_size", "search_factor"):
            if getattr(given, name) != getattr(wanted, name):
                raise OptionError(f"the recipe's {name} is not the model's", "give the model's own recipe")
        old = self.source
        source = SampleSource(old.config, old.archives, old.clips, seed, old.mix)
        recipe = self.recipe
        return TrackerTask(
            model.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
            source,
            self.held_out,
            recipe.batch,
            steps,
            recipe.workers,
            self.teacher,
            self.teacher_head,
        )

    def groups(self, model: nn.Module) -> list[dict[str, object]] | None:
        """See ``Trainer``."""
        return None

    def bare(self, model: nn.Module) -> nn.Module:
        """See ``Trainer``."""
        for name in HELPERS:
            if hasattr(model, name):
                delattr(model, name)
        return model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload, no-any-return]

    def measure(self, model: nn.Module) -> dict[str, float]:
        """See ``Trainer``; nothing where the recipe holds nothing out."""
        assert isinstance(model, ArtrackMamba)
        task = TrackerTask(model, self.source, self.held_out, self.recipe.batch, 1, 0)
        model.eval()
        with torch.no_grad():
            return task.validate(model)


def open_trainer(plan: Plan, data: Path, spec: ModelSpec) -> Trainer:
    """What trains models of a spec by a recipe.

    Raises OptionError for a recipe of another kind of model, DataError where the data are not there.
    """
    torch.set_num_threads(plan.threads)
    cv2.setNumThreads(0)  # before the loaders fork: OpenCV's thread pool does not survive a fork
    make = architecture(spec.architecture).load("trainer")
    if plan.architecture != spec.architecture:
        raise OptionError(f"recipe {plan.name} is not one of {spec.architecture}", "give the model's own")
    trainer: Trainer = make(plan, data, spec)
    return trainer
