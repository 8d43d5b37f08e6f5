"""Is one classifier better than another? Both on the same test pictures, with McNemar's exact test.

Each run is tried as it ended and as the average of its weights (where it kept one), on plain pictures and on
five views of each. What counts in a pair is the pictures that only one of them gets right, b against c: the
test says how likely such a lead, or a greater one, is among equals. It knows nothing of other seeds.

    python examples/compare_classifiers.py DATA "V1=recipe-1.toml:runs/1" "V2=recipe-2.toml:runs/2"
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from framestate.errors import DataError, OptionError
from framestate.models.classification import MambaClassifier
from framestate.models.classification.cifar import Pictures, read_cifar
from framestate.models.classification.recipe import ClassifierRecipe
from framestate.models.classification.task import AT_ONCE, mean_of_views
from framestate.models.plans import read_plan
from framestate.plugins import eager_operators
from framestate.vision.views import standardise
from safetensors.torch import load_file

Right = npt.NDArray[np.bool_]


class Pair(NamedTuple):
    """Two classifiers on the same pictures.

    Attributes:
        lead: accuracy of the second less that of the first.
        margin: half of the interval around it that holds the true lead in 95 of 100 draws of test pictures.
        only_first, only_second: pictures that one alone gets right.
        p: of McNemar's exact test, two-sided.
    """

    lead: float
    margin: float
    only_first: int
    only_second: int
    p: float


def compare(first: Right, second: Right) -> Pair:
    """Which pictures (N,) each gets right, as a pair. Raises OptionError for other pictures."""
    if first.shape != second.shape:
        raise OptionError(f"{len(first)} and {len(second)} pictures make no pairs", "give the same pictures")
    count = len(first)
    b, c = int((first & ~second).sum()), int((second & ~first).sum())
    margin = 1.96 * math.sqrt(b + c - (b - c) ** 2 / count) / count
    return Pair((c - b) / count, margin, b, c, mcnemar(b, c))


def mcnemar(b: int, c: int) -> float:
    """The chance that b + c fair tosses fall at least as unevenly (McNemar's exact test, two-sided)."""
    ways = sum(math.comb(b + c, k) for k in range(min(b, c) + 1))
    return float(min(Fraction(1), Fraction(2 * ways, 2 ** (b + c))))


def parse_run(text: str) -> tuple[str, Path, Path]:
    """``name=recipe:folder``. Raises OptionError for anything else."""
    name, found, rest = text.partition("=")
    recipe, colon, folder = rest.rpartition(":")
    if not (name and found and recipe and colon and folder):
        raise OptionError(f"{text!r} is no run", "give name=recipe:folder")
    return name, Path(recipe), Path(folder)


def open_runs(recipe: Path, folder: Path, labels: tuple[str, ...]) -> dict[str, MambaClassifier]:
    """The weights of a run's checkpoint, "last" and "average" (where that is another), ready to be tried.

    Raises DataError where there is no checkpoint, OptionError where the recipe is not a classifier's.
    """
    plan = read_plan(recipe)
    if not isinstance(plan, ClassifierRecipe):
        raise OptionError(f"{recipe} trains no classifier", "give the recipe of a classifier")
    path = folder / "checkpoint.safetensors"
    if not path.is_file():
        raise DataError(f"{folder} holds no checkpoint", "give the folder of a training run")
    tensors = load_file(path)
    found = {}
    for kind, prefix in (("last", "model."), ("average", "average.module.")):
        model = MambaClassifier(replace(plan.model, labels=labels), eager_operators()).eval()
        weights = {
            name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)
        }
        model.load_state_dict(weights)
        found[kind] = model
    same = all(
        torch.equal(one, other)
        for one, other in zip(found["last"].parameters(), found["average"].parameters(), strict=True)
    )
    if same:
        del found["average"]
    return found


@torch.no_grad()
def answers(model: MambaClassifier, pictures: Pictures) -> tuple[Right, Right]:
    """Which pictures (N,) a classifier gets right: as they are, and by the mean of five views."""
    plain, viewed = [], []
    for first in range(0, len(pictures), AT_ONCE):
        part = pictures.images[first : first + AT_ONCE]
        labels = torch.from_numpy(pictures.labels[first : first + AT_ONCE])
        seen = [standardise(image, model.config.mean, model.config.std) for image in part]
        images = torch.from_numpy(np.stack(seen))
        plain.append(model(images).argmax(1) == labels)
        viewed.append(mean_of_views(model, images).argmax(1) == labels)
    return torch.cat(plain).numpy(), torch.cat(viewed).numpy()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="the folder that holds CIFAR")
    parser.add_argument("runs", nargs="+", help="name=recipe:folder")
    parser.add_argument("--pictures", type=int, default=0, help="of the test split, the first ones; 0 is all")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    pictures = read_cifar(chosen.data)[1].first(chosen.pictures)
    right: dict[tuple[str, str, str], Right] = {}
    for name, recipe, folder in map(parse_run, chosen.runs):
        for kind, model in open_runs(recipe, folder, pictures.names).items():
            for views, found in zip(("one view", "five views"), answers(model, pictures), strict=True):
                right[name, kind, views] = found
                print(f"{name} {kind}, {views}: {found.mean():.4f}", flush=True)
    pairs = {}
    for one, other in combinations(right, 2):
        if one[0] == other[0] or one[2] != other[2]:
            continue
        pair = compare(right[one], right[other])
        pairs[f"{' '.join(one[:2])} | {' '.join(other[:2])}, {one[2]}"] = pair
    for name, pair in pairs.items():
        print(
            f"{name}: {pair.lead:+.4f} ± {pair.margin:.4f}, "
            f"{pair.only_first} against {pair.only_second}, p = {pair.p:.2g}"
        )
    if chosen.json is not None:
        told = {
            "pictures": len(pictures),
            "accuracy": {", ".join(name): float(found.mean()) for name, found in right.items()},
            "pairs": {name: pair._asdict() for name, pair in pairs.items()},
        }
        chosen.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
