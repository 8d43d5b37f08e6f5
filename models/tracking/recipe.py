"""A training recipe: one TOML file that says model, data and optimisation, and nothing else decides a run."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
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
    notes: str = ""
    text: str = field(default="", repr=False)


def read_recipe(path: Path) -> TrackerRecipe:
    """Raises OptionError for anything in the file that no option is called by."""
    try:
        text = path.read_text()
        values: dict[str, Any] = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(
            f"recipe {path} cannot be read ({error})", "give a TOML file, as in models/recipes"
        ) from error
    model = ArtrackMambaConfig.from_dict(values.pop("model", {}))
    loop = build(LoopConfig, values.pop("loop", {}), "loop")
    samples = build(SampleConfig, values.pop("samples", {}), "samples")
    if "held_out" in values:
        values["held_out"] = tuple(values["held_out"])
    return build(
        TrackerRecipe, {**values, "model": model, "loop": loop, "samples": samples, "text": text}, "recipe"
    )


def build(kind: type[Kind], values: dict[str, Any], table: str) -> Kind:
    """Options from a table of the file. Raises OptionError for what does not belong there."""
    known = {entry.name for entry in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - known)
    if unknown:
        raise OptionError(
            f"unknown {table} option {', '.join(unknown)}", f"known options: {', '.join(sorted(known))}"
        )
    try:
        return kind(**values)
    except TypeError as error:
        raise OptionError(
            f"the {table} table is incomplete ({error})", "give every option without a default"
        ) from error


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
    missing = sorted(set(recipe.held_out) - {clip.name for clip in clips})
    if missing:
        raise DataError(
            f"held-out clips {', '.join(missing)} are not in {data / recipe.clips}", "correct the recipe"
        )
    kept = [clip for clip in clips if clip.name not in recipe.held_out]
    held = [clip for clip in clips if clip.name in recipe.held_out]
    only_real = SampleConfig(
        **{
            **{entry.name: getattr(recipe.samples, entry.name) for entry in fields(SampleConfig)},
            "share_pasted": 0.0,
            "share_in_place": 0.0,
            "share_regions": 0.0,
            "absent": 0.0,
        }
    )
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
