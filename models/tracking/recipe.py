"""A training recipe: one TOML file that says model, data and optimisation, and nothing else decides a run."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from ...errors import DataError, OptionError
from ..artrack_mamba import ArtrackMambaConfig
from ..training.loop import LoopConfig
from .archives import read_archive
from .clips import read_clips
from .poses import SampleConfig
from .samples import SampleSource

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class TrackerRecipe:
    """``images`` is a folder of ZIP archives, ``clips`` one of sequences; paths are relative to ``data``."""

    name: str
    model: ArtrackMambaConfig
    samples: SampleConfig
    loop: LoopConfig
    batch: int = 16
    seed: int = 0
    workers: int = 1
    threads: int = 1
    images: str = "images"
    clips: str = "training/tracking"
    held_out: tuple[str, ...] = ()  # clips kept for choosing among models; never trained on
    teacher: str = ""  # ONNX file of a feature backbone, relative to the data folder, or absolute
    teacher_head: str = ""  # ONNX file of the head that belongs to it: its answers are learned too
    distil: LoopConfig | None = None  # a first stage, in which the stem learns the teacher's features
    distil_batch: int = 16
    more_clips: tuple[str, ...] = ()  # further folders of sequences, relative to the data folder
    options: dict[str, Any] = field(default_factory=dict)  # thresholds that the bundle asks the engine for
    notes: str = ""
    text: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.batch < 1 or self.threads < 1 or self.workers < 0:
            raise OptionError(
                f"batch is {self.batch}, threads {self.threads} and workers {self.workers}",
                "batch and threads are at least 1, workers at least 0",
            )
        for name in ("template_size", "template_factor", "search_size", "search_factor"):
            ours, theirs = getattr(self.model, name), getattr(self.samples, name)
            if ours != theirs:
                raise OptionError(f"{name} is {ours} in model and {theirs} in samples", "give both the same")
        if (self.distil or self.teacher_head) and not self.teacher:
            raise OptionError("the recipe learns from a teacher and names none", "give teacher, an ONNX file")


def read_recipe(path: Path) -> TrackerRecipe:
    """Raises OptionError for anything in the file that no option is called by."""
    try:
        text = path.read_text()
        values: dict[str, Any] = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(
            f"recipe {path} cannot be read ({error})", "give a TOML file, as in models/recipes"
        ) from error
    tables = {
        name: values.pop(name, {})
        for name in ("model", "samples", "loop", "distil")
        if name in values or name != "distil"
    }
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise OptionError(f"{name} is {table!r} in {path}", f"make it a table, [{name}]")
    parts = {
        "model": build(ArtrackMambaConfig, tables["model"], "model"),
        "samples": build(SampleConfig, tables["samples"], "samples"),
        "loop": build(LoopConfig, tables["loop"], "loop"),
    }
    if "distil" in tables:
        parts["distil"] = build(LoopConfig, tables["distil"], "distil")
    return build(TrackerRecipe, {**values, **parts, "text": text}, "recipe")


def build(kind: type[Kind], values: dict[str, Any], table: str) -> Kind:
    """Options from a table of the file. Raises OptionError for what does not belong there."""
    known = {entry.name for entry in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - known)
    if unknown:
        raise OptionError(
            f"unknown {table} option {', '.join(unknown)}", f"known options: {', '.join(sorted(known))}"
        )
    for entry in fields(kind):  # type: ignore[arg-type]
        if entry.name in values:
            values[entry.name] = as_kind(values[entry.name], entry.default, f"{table} option {entry.name}")
    try:
        return kind(**values)
    except TypeError as error:
        raise OptionError(
            f"the {table} table is incomplete ({error})", "give every option without a default"
        ) from error


def as_kind(value: Any, default: Any, what: str) -> Any:
    """The value as the kind of thing that the default is (where there is one); lists become tuples.

    Raises OptionError: a string where a number belongs would only fail hours later, or never.
    """
    if isinstance(value, list):
        value = tuple(value)
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if isinstance(default, bool | int | float | str | tuple) and type(value) is not type(default):
        raise OptionError(
            f"{what} is {value!r}, a {type(value).__name__}",
            f"give a {type(default).__name__}, as {default!r} is",
        )
    return value


def open_sources(
    recipe: TrackerRecipe, data: Path
) -> tuple[SampleSource, SampleSource | None, dict[str, Any]]:
    """Training samples, held-out samples (real clips only), and what was read, for the manifest."""
    folder = data / recipe.images
    paths = sorted(folder.glob("*.zip"))
    if not paths:
        raise DataError(
            f"{folder} holds no ZIP archive of images", "point --data at the folder that holds it"
        )
    archives = [read_archive(path) for path in paths]
    clips = read_clips(data / recipe.clips)
    for more in recipe.more_clips:
        clips += read_clips(data / more)
    missing = sorted(set(recipe.held_out) - {clip.name for clip in clips})
    if missing:
        raise DataError(
            f"held-out clips {', '.join(missing)} are not in {data / recipe.clips}", "correct the recipe"
        )
    kept = [clip for clip in clips if clip.name not in recipe.held_out]
    held = [clip for clip in clips if clip.name in recipe.held_out]
    only_real = replace(recipe.samples, share_pasted=0.0, share_in_place=0.0, share_regions=0.0, absent=0.0)
    report = {
        "images": {
            a.path.name: {"stills": len(a.stills), "objects": a.num_objects, "skipped": a.skipped}
            for a in archives
        },
        "clips": len(kept),
        "frames": sum(len(clip.frames) for clip in kept),
        "held_out": [clip.name for clip in held],
    }
    training = SampleSource(recipe.samples, archives, kept, recipe.seed)
    return training, (SampleSource(only_real, [], held, recipe.seed + 1) if held else None), report
