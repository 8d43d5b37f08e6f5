"""AutoAugment's policy for CIFAR-10, and RandAugment: which operations are done to a picture, and how much.

Sources: Cubuk et al., "AutoAugment: Learning Augmentation Policies from Data", table 7; Cubuk et al.,
"RandAugment". The operations are Pillow's, which both papers define them by; places that a shift, a shear or
a turn uncovers become grey.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

Picture = Image.Image
Operation = Callable[[Picture, float], Picture]
GREY = (128, 128, 128)


def shifted(image: Picture, matrix: tuple[float, float, float, float, float, float]) -> Picture:
    """The picture fetched by an affine map of places."""
    return image.transform(image.size, Image.Transform.AFFINE, matrix, fillcolor=GREY)


def enhanced(kind: Callable[[Picture], ImageEnhance._Enhance]) -> Operation:
    """An enhancement by 1 + the amount."""
    return lambda image, amount: kind(image).enhance(1 + amount)


OPERATIONS: dict[str, tuple[float, bool, Operation]] = {
    "identity": (0.0, False, lambda image, amount: image),
    "shear_x": (0.3, True, lambda image, amount: shifted(image, (1, amount, 0, 0, 1, 0))),
    "shear_y": (0.3, True, lambda image, amount: shifted(image, (1, 0, 0, amount, 1, 0))),
    "translate_x": (0.45, True, lambda image, amount: shifted(image, (1, 0, amount * image.width, 0, 1, 0))),
    "translate_y": (0.45, True, lambda image, amount: shifted(image, (1, 0, 0, 0, 1, amount * image.height))),
    "rotate": (30.0, True, lambda image, amount: image.rotate(amount, fillcolor=GREY)),
    "brightness": (0.9, True, enhanced(ImageEnhance.Brightness)),
    "color": (0.9, True, enhanced(ImageEnhance.Color)),
    "contrast": (0.9, True, enhanced(ImageEnhance.Contrast)),
    "sharpness": (0.9, True, enhanced(ImageEnhance.Sharpness)),
    "posterize": (4.0, False, lambda image, amount: ImageOps.posterize(image, 8 - round(amount))),
    "solarize": (256.0, False, lambda image, amount: ImageOps.solarize(image, round(256 - amount))),
    "autocontrast": (0.0, False, lambda image, amount: ImageOps.autocontrast(image)),
    "equalize": (0.0, False, lambda image, amount: ImageOps.equalize(image)),
    "invert": (0.0, False, lambda image, amount: ImageOps.invert(image)),
}
"""By name: the amount at full strength, whether its sign is drawn, and what is done."""

AUTOAUGMENT: tuple[tuple[tuple[str, float, int], tuple[str, float, int]], ...] = (
    (("invert", 0.1, 7), ("contrast", 0.2, 6)),
    (("rotate", 0.7, 2), ("translate_x", 0.3, 9)),
    (("sharpness", 0.8, 1), ("sharpness", 0.9, 3)),
    (("shear_y", 0.5, 8), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.5, 8), ("equalize", 0.9, 2)),
    (("shear_y", 0.2, 7), ("posterize", 0.3, 7)),
    (("color", 0.4, 3), ("brightness", 0.6, 7)),
    (("sharpness", 0.3, 9), ("brightness", 0.7, 9)),
    (("equalize", 0.6, 5), ("equalize", 0.5, 1)),
    (("contrast", 0.6, 7), ("sharpness", 0.6, 5)),
    (("color", 0.7, 7), ("translate_x", 0.5, 8)),
    (("equalize", 0.3, 7), ("autocontrast", 0.4, 8)),
    (("translate_y", 0.4, 3), ("sharpness", 0.2, 6)),
    (("brightness", 0.9, 6), ("color", 0.2, 8)),
    (("solarize", 0.5, 2), ("invert", 0.0, 3)),
    (("equalize", 0.2, 0), ("autocontrast", 0.6, 0)),
    (("equalize", 0.2, 8), ("equalize", 0.6, 4)),
    (("color", 0.9, 9), ("equalize", 0.6, 6)),
    (("autocontrast", 0.8, 4), ("solarize", 0.2, 8)),
    (("brightness", 0.1, 3), ("color", 0.7, 0)),
    (("solarize", 0.4, 5), ("autocontrast", 0.9, 3)),
    (("translate_y", 0.9, 9), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.9, 2), ("solarize", 0.8, 3)),
    (("equalize", 0.8, 8), ("invert", 0.1, 3)),
    (("translate_y", 0.7, 9), ("autocontrast", 0.9, 1)),
)
"""Pairs of (operation, chance, strength of 9), one of which is drawn for a picture."""

RANDAUGMENT = tuple(name for name in OPERATIONS if name != "invert")
RANDAUGMENT_STRENGTH = 9 / 30
"""Magnitude 9 of RandAugment's 30."""


def operate(image: Picture, name: str, strength: float, rng: np.random.Generator) -> Picture:
    """One operation at a strength of 0 to 1; where it has a sign, that is drawn."""
    full, signed, apply = OPERATIONS[name]
    sign = -1 if signed and rng.random() < 0.5 else 1
    return apply(image, sign * strength * full)


def autoaugment(image: Picture, rng: np.random.Generator) -> Picture:
    """One pair of operations of the CIFAR-10 policy, each by its chance."""
    for name, chance, strength in AUTOAUGMENT[rng.integers(len(AUTOAUGMENT))]:
        if rng.random() < chance:
            image = operate(image, name, strength / 9, rng)
    return image


def randaugment(image: Picture, rng: np.random.Generator) -> Picture:
    """Two operations, each as likely as any other, at magnitude 9."""
    for index in rng.integers(len(RANDAUGMENT), size=2):
        image = operate(image, RANDAUGMENT[index], RANDAUGMENT_STRENGTH, rng)
    return image


POLICIES: dict[str, Callable[[Picture, np.random.Generator], Picture]] = {
    "none": lambda image, rng: image,
    "autoaugment": autoaugment,
    "randaugment": randaugment,
}
