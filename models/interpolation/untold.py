"""Samples whose motion cannot be told: dissolves, drawings that are held, stills between motion, sparks.

Each is made of a sample with motion, as ``samples`` cuts one: pictures (3, S, S), flows (4, S/8, S/8).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...vision.motion import MiddleFlow, grey_of
from ...vision.pixels import as_uint8

Picture = npt.NDArray[Any]
Sample = dict[str, Any]
MOST_NOISE = 6.0  # levels, as a standard deviation
MOST_CODED = 2.0  # the same, of what a codec does to a picture that it repeats
SPARKS, SPARK_SIDE, SPARK_REACH = (
    (3e-4, 4e-3),
    (0.6, 3.5),
    24.0,
)  # of all pixels, their radius, pixels a frame


def dissolve(one: Sample, other: Sample | None, rng: np.random.Generator) -> Sample:
    """A sample that fades into another one, or to one colour; what its flow starts from is found anew."""
    begun, length, t = rng.uniform(0.0, 0.6), rng.uniform(0.05, 0.4), float(one["t"][0])
    if rng.random() < 0.5:
        begun, length = 1.0 - begun, -length
    colour = np.full((3, 1, 1), rng.choice([0, 0, 255, int(rng.integers(256))]), np.float32)
    found = {**one, "known": np.zeros(1, np.float32)}
    for name, when in (("first", 0.0), ("target", t), ("second", 1.0)):
        share = np.float32(begun + length * when)
        into = colour if other is None else other[name].astype(np.float32)
        found[name] = np.rint((1 - share) * one[name] + share * into).astype(np.uint8)
    if "bend" in one:
        found["bend"] = np.zeros_like(one["bend"])
    return started_anew(found)


def hold(one: Sample, rng: np.random.Generator) -> Sample:
    """A sample whose middle shows one of its ends again, while a pair beside it, or both, stand still.

    What such a pair tells of the bend is a quarter of the flow: so far the middle would be aside had the
    motion begun, or come to rest, there. Where only one stands still, the other is not told, or moves.
    """
    shown = one["first" if rng.random() < 0.5 else "second"]
    found = {**one, "target": shown, "known": np.zeros(1, np.float32)}
    if "bend" in one:
        bends, stills = (flow.reshape(2, 2, *flow.shape[1:]) for flow in (one["bend"], one["start"] * 0.25))
        kinds = rng.permutation(["still", str(rng.choice(["still", "still", "untold", "moves"]))])
        told = {"still": stills, "untold": np.zeros_like(bends), "moves": bends}
        sides = [told[kind][side] for side, kind in enumerate(kinds)]
        found["bend"] = np.concatenate(sides).astype(np.float32)
    return coded(found, rng)


def stop(one: Sample, rng: np.random.Generator) -> Sample:
    """A sample in which nothing moves: the pairs around move as this one did."""
    shown = one["target"]
    found = {**one, "first": shown, "second": shown, "flow": np.zeros_like(one["flow"])}
    if "bend" in one:
        told = (rng.random(2) < 0.7) * rng.choice([-1.0, 1.0], 2)
        found["bend"] = np.float32(0.25) * one["start"] * told.astype(np.float32).repeat(2).reshape(4, 1, 1)
    return started_anew(coded(found, rng))


def spark(one: Sample, rng: np.random.Generator) -> Sample:
    """A sample with specks that fly too fast, or come and go too soon, to be followed."""
    side = one["first"].shape[-1]
    count = 1 + int(rng.uniform(*SPARKS) * side**2)
    places, speeds = rng.uniform(0, side, (count, 2)), rng.normal(0, SPARK_REACH, (count, 2))
    radii, colour = rng.uniform(*SPARK_SIDE, count), rng.uniform(120, 256, 3)
    found = {**one, "known": np.zeros(1, np.float32)}
    for name, when in (("first", 0.0), ("target", float(one["t"][0])), ("second", 1.0)):
        light = np.zeros((side, side), np.float32)
        for (x, y), radius, bright in zip(places + speeds * when, radii, rng.random(count), strict=True):
            centre = (round(float(x) * 16), round(float(y) * 16))
            cv2.circle(light, centre, round(float(radius) * 16), float(bright), -1, cv2.LINE_AA, 4)
        light = cv2.GaussianBlur(light, (0, 0), 0.8)
        lit = one[name] + light * colour.reshape(3, 1, 1).astype(np.float32)
        found[name] = as_uint8(np.clip(np.rint(lit), 0, 255).astype(np.uint8))
    return started_anew(found)


def started_anew(sample: Sample) -> Sample:
    """The sample with the flow that its ends tell, where it brings one to start from."""
    if "start" not in sample:
        return sample
    first, second = (grey_of(sample[name].transpose(1, 2, 0)) for name in ("first", "second"))
    height, width = sample["start"].shape[1:]
    return {**sample, "start": MiddleFlow().find(first, second, height, width).middle}


def coded(sample: Sample, rng: np.random.Generator) -> Sample:
    """The sample with what a codec does to each of its frames, roughly."""
    spread = rng.uniform(0.0, MOST_CODED)
    names = ("first", "target", "second")
    return {**sample, **{name: noisy(sample[name], spread, rng) for name in names}}


def with_noise(picture: Picture, rng: np.random.Generator) -> Picture:
    """A camera's noise, of a strength by chance: a made frame should have less than the two it is made of."""
    return noisy(picture, rng.uniform(1.0, MOST_NOISE), rng)


def noisy(picture: Picture, spread: float, rng: np.random.Generator) -> Picture:
    """A picture with noise of so many levels, as a standard deviation."""
    noise = rng.standard_normal(picture.shape, dtype=np.float32) * np.float32(spread)
    return as_uint8(np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8))
