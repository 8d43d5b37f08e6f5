"""The model systems: a row an architecture, and a row each size of it that has a name.

Everything that must know one from another reads it here. Columns that are "module:name" name something below
this folder and are loaded on use, so that the table itself needs no PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from ..bundles import ModelSpec, Size, default_bundles, load_bundle
from ..errors import OptionError

if TYPE_CHECKING:
    from torch import nn

    from ..plugins import Operators

Column = Literal["config", "model", "recipe", "train", "groups", "pruned", "trainer", "history"]


@dataclass(frozen=True)
class Architecture:
    """One kind of model, and where everything about it lies.

    Attributes:
        name: as a spec and a recipe call it.
        task: of the engine.
        frame: the functions that one frame runs, in order.
        config: its options, a dataclass with ``to_dict`` and ``from_dict``.
        model: its module, made of options and operators.
        recipe: makes a recipe of the values and the text of a TOML file; "" is not trained here.
        train: trains by a recipe; "" is not trained here.
        groups, pruned: what goes together in options, and the options of what is left; "" cannot be pruned.
        trainer: trains it while it is pruned; "" is not trained then.
        history: the same weights over any number of templates, without a state; "" has no such form.
    """

    name: str
    task: str
    frame: tuple[str, ...]
    config: str
    model: str
    recipe: str = ""
    train: str = ""
    groups: str = ""
    pruned: str = ""
    trainer: str = ""
    history: str = ""

    def load(self, column: Column) -> Any:
        """What a column names. Raises OptionError where it is empty."""
        place: str = getattr(self, column)
        if not place:
            able = ", ".join(row.name for row in ARCHITECTURES if getattr(row, column))
            raise OptionError(f"{self.name} {LACKING[column]}", f"choose a model of {able}")
        return load(place)

    def options(self, values: Mapping[str, Any]) -> Any:
        """Its configuration by values of a spec. Raises OptionError for an option that there is not."""
        return self.load("config").from_dict(dict(values))

    def build(self, values: Mapping[str, Any], operators: Operators) -> nn.Module:
        """The model with fresh weights, in evaluation mode. Raises OptionError for an unknown option."""
        model: nn.Module = self.load("model")(self.options(values), operators)
        return model.eval()


@dataclass(frozen=True)
class System:
    """A size of an architecture that has a name.

    Attributes:
        name: as users call it, and as its recipe and its bundle are called.
        architecture: the name of its row.
        what: a few words.
        parameters: numbers that it learns.
        size: "module:name" of what makes its options; "" is the configuration's own, without arguments.
        changes: options that are not those of ``size``.
        frames: height and width of the frames, where the spec leaves them open.
    """

    name: str
    architecture: str
    what: str
    parameters: int
    size: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)
    frames: Size | None = None

    @property
    def row(self) -> Architecture:
        """Its architecture."""
        return architecture(self.architecture)

    @property
    def ships(self) -> bool:
        """Whether weights come with Framestate."""
        return self.name in default_bundles()

    def options(self) -> dict[str, Any]:
        """Every option of its model; those of the bundle where weights come with Framestate."""
        if self.ships:
            return dict(load_bundle(self.name).spec.config)
        made = load(self.size)() if self.size else self.row.load("config")()
        return {**made.to_dict(), **self.changes}

    def build(self, operators: Operators) -> nn.Module:
        """The model with fresh weights, in evaluation mode."""
        return self.row.build(self.options(), operators)

    def spec(self, model: nn.Module) -> ModelSpec:
        """What a runtime must know of the model."""
        spec: Any = model.spec(self.name)  # type: ignore[operator]
        assert isinstance(spec, ModelSpec)
        return spec

    def sized(self, spec: ModelSpec) -> ModelSpec:
        """The spec for the system's own size of frames, where it leaves that open."""
        return spec if self.frames is None else spec.sized(*self.frames)


LACKING: Mapping[str, str] = {
    "recipe": "is not trained here",
    "train": "is not trained here",
    "groups": "cannot be pruned",
    "pruned": "cannot be pruned",
    "trainer": "is not trained while it is pruned (without a recipe, --method magnitude cuts it)",
    "history": "has no stateless form",
}
ARCHITECTURES: tuple[Architecture, ...] = (
    Architecture(
        name="artrack_mamba",
        task="tracking",
        frame=("step",),
        config="artrack_mamba.config:ArtrackMambaConfig",
        model="artrack_mamba.model:ArtrackMamba",
        recipe="tracking.recipe:recipe_of",
        train="tracking.train:train_tracker",
        groups="pruning.artrack_mamba:tracker_groups",
        pruned="pruning.artrack_mamba:pruned_config",
        trainer="pruning.trainers:TrackerTrainer",
        history="artrack_mamba.history:TemplateHistory",
    ),
    Architecture(
        name="artrack_mamba_v2",
        task="tracking",
        frame=("step",),
        config="artrack_mamba_v2.config:ArtrackMambaV2Config",
        model="artrack_mamba_v2.model:ArtrackMambaV2",
        recipe="artrack_mamba_v2.recipe:recipe_of",
        train="artrack_mamba_v2.train:train_trajectory",
        groups="pruning.artrack_mamba_v2:trajectory_groups",
        pruned="pruning.artrack_mamba_v2:pruned_trajectory",
        history="artrack_mamba_v2.history:TemplateHistoryV2",
    ),
    Architecture(
        name="vil_tracker",
        task="tracking",
        frame=("step",),
        config="vil_tracker.config:VilTrackerConfig",
        model="vil_tracker.model:VilTracker",
        recipe="vil_tracker.recipe:recipe_of",
        train="vil_tracker.train:train_vil_tracker",
        groups="pruning.vil_tracker:vil_groups",
        pruned="pruning.vil_tracker:pruned_vil",
        history="vil_tracker.history:VilTemplateHistory",
    ),
    Architecture(
        name="hybrid_interpolator",
        task="interpolation",
        frame=("encode", "motion", "interpolate"),
        config="interpolation.config:InterpolatorConfig",
        model="interpolation.model:HybridInterpolator",
        recipe="interpolation.recipe:recipe_of",
        train="interpolation.train:train_interpolator",
        groups="pruning.interpolator:interpolator_groups",
        pruned="pruning.interpolator:pruned_interpolator",
    ),
    Architecture(
        name="rife",
        task="interpolation",
        frame=("encode", "interpolate"),
        config="rife.config:RifeConfig",
        model="rife.model:Rife",
    ),
    Architecture(
        name="mamba_classifier",
        task="classification",
        frame=("classify",),
        config="classification.config:ClassifierConfig",
        model="classification.model:MambaClassifier",
        recipe="classification.recipe:recipe_of",
        train="classification.train:train_classifier",
        groups="pruning.classifier:classifier_groups",
        pruned="pruning.classifier:pruned_classifier",
        trainer="pruning.trainers:ClassifierTrainer",
    ),
)

TEN = {"labels": tuple(str(digit) for digit in range(10))}
HD: Size = (736, 1280)

SYSTEMS: tuple[System, ...] = (
    System("tracker-nano", "artrack_mamba", "the shipped tracker: centre head, 256 px search", 294_593),
    System(
        "artrack-mamba-tiny",
        "artrack_mamba_v2",
        "Mamba-1 (Vim-Ti's shape), trajectory head",
        8_278_305,
        "artrack_mamba_v2.config:tiny",
    ),
    System(
        "artrack-mamba-tiny-mamba2",
        "artrack_mamba_v2",
        "the same with Mamba-2 mixers, 64 states",
        7_581_825,
        "artrack_mamba_v2.config:tiny",
        {"mixer": "mamba2", "states": 64},
    ),
    System(
        "artrack-mamba-small",
        "artrack_mamba_v2",
        "Vim-S's shape",
        33_522_465,
        "artrack_mamba_v2.config:small",
    ),
    System(
        "artrack-mamba-base",
        "artrack_mamba_v2",
        "Vim-B's shape",
        124_252_193,
        "artrack_mamba_v2.config:base",
    ),
    System(
        "vil-tracker",
        "vil_tracker",
        "24 mLSTM blocks, FiLM, experts, centre head",
        36_262_313,
        "vil_tracker.config:small",
    ),
    System(
        "vil-tracker-224",
        "vil_tracker",
        "the same under 20 GFLOPs: a search of 224 px at factor 3.5",
        36_239_273,
        "vil_tracker.config:small",
        {"search_size": 224, "search_factor": 3.5},
    ),
    System("mamba-small", "mamba_classifier", "CIFAR classifier", 16_497_610, changes=TEN),
    System(
        "mamba-base", "mamba_classifier", "the same, twice as wide", 64_845_706, changes={**TEN, "dim": 384}
    ),
    System(
        "vit-small",
        "mamba_classifier",
        "the same width with attention in place of Mamba-1",
        10_700_746,
        changes={**TEN, "mixer": "attention"},
    ),
    System("interp-nano", "hybrid_interpolator", "one made frame, 1280 x 736", 306_438, frames=HD),
    System(
        "interp-base",
        "hybrid_interpolator",
        "one made frame, 1280 x 736",
        11_291_285,
        "interpolation.config:base",
        frames=HD,
    ),
)


def load(place: str) -> Any:
    """What "module:name" names, of a module below this folder."""
    module, _, name = place.partition(":")
    return getattr(import_module(f".{module}", __package__), name)


def architecture(name: str) -> Architecture:
    """The row of an architecture. Raises OptionError where there is none."""
    for row in ARCHITECTURES:
        if row.name == name:
            return row
    raise OptionError(
        f"architecture {name!r} is unknown", f"choose one of {', '.join(row.name for row in ARCHITECTURES)}"
    )


def system(name: str) -> System:
    """A system by its name. Raises OptionError where there is none."""
    for one in SYSTEMS:
        if one.name == name:
            return one
    raise OptionError(f"there is no system {name}", f"known: {', '.join(one.name for one in SYSTEMS)}")
