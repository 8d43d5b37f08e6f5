"""A recipe of a classifier: one TOML file that says model, data, augmentation and optimisation."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import OptionError
from ..training.config import LoopConfig
from ..training.tables import build, check_counts, read_toml, take_tables
from .augment import AugmentConfig
from .config import ClassifierConfig
from .groups import GroupConfig


@dataclass(frozen=True)
class ClassifierRecipe:
    """``folder`` holds CIFAR-10 or CIFAR-100 and is relative to the data folder.

    Attributes:
        images, held_out: how many pictures are trained on and validated with, of the first ones; 0 is all.
            The last measure is always over the whole test split.
        tta: measure with test-time augmentation too, at the end.
    """

    name: str
    model: ClassifierConfig
    augment: AugmentConfig
    groups: GroupConfig
    loop: LoopConfig
    task: str = "classification"
    folder: str = "cifar10"
    batch: int = 128
    images: int = 0
    held_out: int = 2000
    tta: bool = False
    start: str = ""  # weights (safetensors) to start from, such as pruning left
    seed: int = 0
    workers: int = 1
    threads: int = 1
    notes: str = ""
    text: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        check_counts(self.batch, self.threads, self.workers)
        if self.task != "classification":
            raise OptionError(f"task is {self.task!r}", "it is classification")
        if self.images < 0 or self.held_out < 0:
            raise OptionError(
                f"images is {self.images} and held_out {self.held_out}", "give at least 0, which is all"
            )
        if self.model.labels:
            raise OptionError("the model table gives labels", "leave them to the data set, which has them")


def read_recipe(path: Path) -> ClassifierRecipe:
    """The recipe in a file.

    Raises OptionError for anything in it that no option is called by, DataError where it is no TOML.
    """
    text, values = read_toml(path)
    tables = take_tables(values, ("model", "augment", "groups", "loop"), path)
    parts: dict[str, Any] = {
        "model": ClassifierConfig.from_dict(tables["model"]),
        "augment": build(AugmentConfig, tables["augment"], "augment"),
        "groups": build(GroupConfig, tables["groups"], "groups"),
        "loop": build(LoopConfig, tables["loop"], "loop"),
    }
    return build(ClassifierRecipe, {**values, **parts, "text": text}, "recipe")
