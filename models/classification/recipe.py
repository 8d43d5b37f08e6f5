"""A recipe of a classifier: one TOML file that says model, data, augmentation and optimisation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...errors import OptionError
from ..training.config import LoopConfig
from ..training.tables import build, check_counts, take_tables
from .augment import AugmentConfig
from .config import ClassifierConfig
from .groups import GroupConfig


@dataclass(frozen=True)
class ClassifierRecipe:
    """``folder`` holds CIFAR-10 or CIFAR-100 and is relative to the data folder.

    Attributes:
        images, held_out: how many pictures are trained on, and measured with while training and at its end;
            of the first ones, 0 is all.
        tta: measure with test-time augmentation too, at the end.
    """

    name: str
    model: ClassifierConfig
    augment: AugmentConfig
    groups: GroupConfig
    loop: LoopConfig
    folder: str = "cifar10"
    architecture: str = "mamba_classifier"
    batch: int = 128
    images: int = 0
    held_out: int = 0
    tta: bool = False
    start: str = ""  # weights (safetensors) to start from, such as pruning left
    seed: int = 0
    workers: int = 1
    threads: int = 1
    notes: str = ""
    text: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        check_counts(self.batch, self.threads, self.workers)
        if self.images < 0 or self.held_out < 0:
            raise OptionError(
                f"images is {self.images} and held_out {self.held_out}", "give at least 0, which is all"
            )
        if self.model.labels:
            raise OptionError("the model table gives labels", "leave them to the data set, which has them")


def recipe_of(values: dict[str, Any], text: str) -> ClassifierRecipe:
    """The recipe in a file.

    Raises OptionError for anything in it that no option is called by, DataError where it is no TOML.
    """
    tables = take_tables(values, ("model", "augment", "groups", "loop"))
    parts: dict[str, Any] = {
        "model": ClassifierConfig.from_dict(tables["model"]),
        "augment": build(AugmentConfig, tables["augment"], "augment"),
        "groups": build(GroupConfig, tables["groups"], "groups"),
        "loop": build(LoopConfig, tables["loop"], "loop"),
    }
    return build(ClassifierRecipe, {**values, **parts, "text": text}, "recipe")
