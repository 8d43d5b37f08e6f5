"""One training picture: cropped, mirrored, put through a policy, standardised, and partly erased."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from ...errors import OptionError
from ...vision.views import standardise
from .policies import POLICIES

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

ERASED_SHARE = (0.02, 0.33)
ERASED_ASPECT = (0.3, 3.3)
TRIES = 10


@dataclass(frozen=True)
class AugmentConfig:
    """What is done to the training pictures; the defaults are the V2 recipe's.

    Attributes:
        crop: pixels of black border, from which a picture's worth is cut at random.
        flip: mirror half of them.
        policy: "autoaugment" (CIFAR-10's), "randaugment" (two operations, magnitude 9) or "none".
        erasing: share of pictures in which a rectangle becomes the mean colour.
        mixup, cutmix: α of each; 0 leaves it out.
        mixing: share of batches that are mixed, by one or the other.
        smoothing: of the labels.
    """

    crop: int = 4
    flip: bool = True
    policy: str = "autoaugment"
    erasing: float = 0.25
    mixup: float = 0.8
    cutmix: float = 1.0
    mixing: float = 0.5
    smoothing: float = 0.1

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise OptionError(f"policy is {self.policy!r}", f"choose one of {', '.join(POLICIES)}")
        for name in ("erasing", "mixing", "smoothing"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(f"{name} is {getattr(self, name)}", "give a share from 0 to 1")
        if self.mixing and not (self.mixup or self.cutmix):
            raise OptionError(
                f"mixing is {self.mixing}, by neither mixup nor cutmix", "set one, or mixing to 0"
            )
        for name in ("crop", "mixup", "cutmix"):
            if getattr(self, name) < 0:
                raise OptionError(f"{name} is {getattr(self, name)}", "give at least 0")


def augment(
    image: Pixels,
    rng: np.random.Generator,
    config: AugmentConfig,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> Floats:
    """A picture (S, S, 3) -> one of its many training forms (3, S, S), standardised."""
    if config.crop:
        image = cropped(image, rng, config.crop)
    if config.flip and rng.random() < 0.5:
        image = image[:, ::-1]
    if config.policy != "none":
        picture = Image.fromarray(np.ascontiguousarray(image))
        image = np.asarray(POLICIES[config.policy](picture, rng))
    planes = standardise(image, mean, std)
    if rng.random() < config.erasing:
        erase(planes, rng)
    return planes


def cropped(image: Pixels, rng: np.random.Generator, border: int) -> Pixels:
    """A picture's worth of the picture with a black border."""
    size = image.shape[0]
    wide = np.pad(image, ((border, border), (border, border), (0, 0)))
    top, left = rng.integers(2 * border + 1, size=2)
    return wide[top : top + size, left : left + size]


def erase(planes: Floats, rng: np.random.Generator) -> None:
    """A random rectangle becomes 0, the mean colour, in place.

    Source: Zhong et al., "Random Erasing Data Augmentation": 2 to 33 % of the picture, aspect 0.3 to 3.3.
    """
    height, width = planes.shape[1:]
    for _ in range(TRIES):
        area = rng.uniform(*ERASED_SHARE) * height * width
        aspect = math.exp(rng.uniform(math.log(ERASED_ASPECT[0]), math.log(ERASED_ASPECT[1])))
        tall, wide = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < tall < height and 0 < wide < width:
            top, left = rng.integers(height - tall + 1), rng.integers(width - wide + 1)
            planes[:, top : top + tall, left : left + wide] = 0
            return
