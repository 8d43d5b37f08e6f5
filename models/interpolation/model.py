"""The hybrid interpolator in streaming form: a frame is encoded once, motion is found once a pair.

``encode(image) -> second.*``, ``motion(first.*, second.*) -> motion.*``, ``interpolate(t, ...) -> image``;
``motion`` may take a ``flow`` to start from, too.
The next pair's ``first.*`` are this pair's ``second.*`` under another name. The time t comes in last, so one
pair's motion serves any number of times.

Glossary
    level n   a grid of 1/n of the frame's height and width
    f4 … f32  features of a frame at levels 4 to 32
    found     flow (4 channels), mask logit (1) and hidden channels, on one grid; see ``flow``
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...bundles import ModelSpec
from ...plugins import Operators
from ..warp import choose_warp
from .config import InterpolatorConfig
from .far import Far, Pick
from .flow import FLOW, FirstScale, NextScale, onto_finer, retime
from .layers import Layer, conv, enlarge, enlarge_in_patches, head, shrink
from .lgs import LgsStage
from .refine import FullRefine, PatchRefine, QuarterRefine
from .rest import Rest, at_rest
from .spec import LEVELS, spec_of
from .start import Choice, extra_channels, seen_along

State = dict[str, Tensor]
REFINES: dict[str, type[QuarterRefine | PatchRefine | FullRefine]] = {
    "quarter": QuarterRefine,
    "patch": PatchRefine,
    "full": FullRefine,
}


class Encoder(nn.Module):
    """From pixels to features at levels 4, 8, 16 and 32."""

    def __init__(self, config: InterpolatorConfig) -> None:
        super().__init__()
        widths = (3, *config.channels)
        self.stages = nn.ModuleList()
        for index, depth in enumerate(config.encoder_depth):
            kernel, stride = (config.stem_kernel, 4) if index == 0 else (3, 2)
            entry = conv(widths[index], widths[index + 1], kernel, stride)
            layers = [Layer(widths[index + 1], "full") for _ in range(depth)]
            self.stages.append(nn.Sequential(entry, *layers))

    def forward(self, image: Tensor) -> list[Tensor]:
        """image (B, 3, H, W) in [0, 1] -> features, the finest first."""
        features = []
        x = image - 0.5
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class HybridInterpolator(nn.Module):
    """One interpolator. Images are RGB (B, 3, H, W) in [0, 1], H and W multiples of 32; see ``spec``."""

    def __init__(self, config: InterpolatorConfig, operators: Operators) -> None:
        super().__init__()
        self.config = config
        self._warp = choose_warp(operators)
        self._for_graphs = operators.name == "ort"
        self.encoder = Encoder(config)
        c16, c32 = config.channels[2], config.channels[3]
        self.lgs32 = LgsStage(config, range(config.blocks[1]), operators)
        self.lgs16 = LgsStage(config, range(config.blocks[1], sum(config.blocks)), operators)
        self.down = nn.Conv2d(c32, c16, 1)
        self.scale16 = FirstScale(config)
        starts = config.start_flow != "none"
        self.scale8 = NextScale(config, 1, self._warp, extra=extra_channels(config))
        self.head8 = head(config.flow_width[1], FLOW + 1 + config.hidden, config.head_kernels[1])
        self.choice = Choice(config) if starts else None
        self.rest = Rest(config) if config.rest else None
        self.scale4 = NextScale(config, 2, self._warp, extra=1)
        self.head4 = head(config.flow_width[2], FLOW + 1, config.head_kernels[2])
        self.far = Far(config, operators) if config.far_blocks else None
        self.pick = Pick(config, self._warp) if config.far_blocks else None
        self.refine = REFINES[config.refine](config)

    def encode(self, image: Tensor) -> State:
        """image -> the features of one frame: image, f4, f8, f16, f32, and what ``far`` keeps of it."""
        features = self.encoder(image)
        named = {f"f{level}": x for level, x in zip(LEVELS, features, strict=True)}
        far = {} if self.far is None else {"far": self.far.seen(image)}
        return {"image": image, **named, **far}

    def motion(
        self,
        first: State,
        second: State,
        last: State,
        start: Tensor | None = None,
        bend: Tensor | None = None,
    ) -> tuple[State, Tensor]:
        """Features of both frames, the last pair's motion -> this pair's; what level 16 found, for training.

        ``last`` is read only where the configuration carries something; it may lack what is not carried.
        ``start`` (B, 4, H/8, W/8) is a flow to start from, in pixels of that grid, where the configuration
        has one; without it nothing is known to move. ``bend`` (B, 4, H/8, W/8) goes with it where the
        configuration says so: x and y by which things half-way lie beside the straight line, as the pair
        before tells, then as the pair after does; zeros where that is not known.
        """
        pair = torch.stack([first["f32"], second["f32"]]).flatten(0, 1)
        carried = iter(self._carried_names())
        keep = "ssm" in self.config.carry
        names = [next(carried) if keep else None for _ in range(sum(self.config.blocks))]
        states = [last.get(name) if name else None for name in names]
        coarse = self.config.blocks[1]
        pair, finals = self.lgs32(pair, states[:coarse])
        middle = torch.stack([first["f16"], second["f16"]]).flatten(0, 1) + enlarge(self.down(pair), 2)
        middle, more = self.lgs16(middle, states[coarse:])
        prior = None
        if "flow" in self.config.carry and "flow" in last:
            prior = shrink(last["flow"], 2) * 0.5
        seen = hint = None
        if self.choice is not None:
            start = first["f8"].new_zeros(found_shape(first["f8"])) if start is None else start
            if self.config.bend and bend is None:
                bend = torch.zeros_like(start)
            seen = seen_along(start, bend, first["f8"], second["f8"], self._warp)
            hint = shrink(start, 2) * 0.5
        found16 = self._still(self.scale16(*middle.unflatten(0, (2, -1)).unbind(0), prior, hint))
        found8 = onto_finer(found16)
        trunk = self.scale8(first["f8"], second["f8"], found8, seen, self._small(first, second, 8))
        found8 = found8 + self.head8(trunk).float()
        if self.choice is not None and start is not None:
            flow = self.choice(trunk, found8[:, :FLOW], start)
            if bend is not None:
                flow = self.choice.bent(trunk, flow, bend)
            found8 = torch.cat([flow, found8[:, FLOW:]], dim=1)
        found8 = self._still(found8)
        if self.rest is not None:
            pair8 = first["f8"], second["f8"]
            resting = self.rest.of_pair(trunk, pair8, seen, start, bend)
            found8 = torch.cat([found8, resting], dim=1)
        state = {"flow": found8[:, :FLOW], "hidden": found8[:, FLOW:]}
        if self.far is not None:
            state |= self.far(first["far"], second["far"])
        state.update({name: value for name, value in zip(names, [*finals, *more], strict=True) if name})
        return state, found16

    def interpolate(
        self, first: State, second: State, motion: State, t: Tensor, times: int = 4
    ) -> tuple[Tensor, Tensor]:
        """t (B, 1) in (0, 1) -> the frame at that time, not clipped; flow and mask of level 4, for training.

        ``times`` is how much larger the images are than level 4; training also gives them at half size.
        """
        known, trunk, keep = self._aimed(first, second, motion, t, times)
        if isinstance(self.refine, QuarterRefine):
            refined = self.refine(trunk).float()
            mask = torch.sigmoid(known[:, FLOW:] + refined[:, 3:])
            one, other = self._fetch(first, second, known, times)
            blend = other + enlarge(mask, times) * (one - other)
            return blend + enlarge(refined[:, :3], times), known
        if isinstance(self.refine, PatchRefine):
            return self.shown(first["image"], second["image"], known, trunk, keep, times), known
        one, other = self._fetch(first, second, known, times)
        logit = enlarge(known[:, FLOW:], times)
        blend = other + torch.sigmoid(logit) * (one - other)
        refined = self.refine(torch.cat([one, other, blend], dim=1), trunk)
        share = torch.sigmoid(logit + refined[:, 3:])
        return other + share * (one - other) + refined[:, :3], known

    def shown(
        self,
        first: Tensor,
        second: Tensor,
        known: Tensor,
        trunk: Tensor,
        keep: Tensor | None,
        times: int = 4,
    ) -> Tensor:
        """Both frames (B, 3, H, W), and what ``interpolate`` aims by -> the frame, not clipped.

        That is flow and mask ``known`` (B, 5, H/4, W/4), the ``trunk`` of level 4, and the share that a place
        keeps (B, 1, H/4, W/4).
        """
        one, other = self._fetch({"image": first}, {"image": second}, known, times)
        return self._blended(one, other, known[:, FLOW:], trunk, keep, times)

    def _aimed(
        self, first: State, second: State, motion: State, t: Tensor, times: int
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Flow and mask of the frame at t (B, 5, H/4, W/4), what they were made of, and what is kept of them.

        That is the share (B, 1, H/4, W/4) of its motion that a place keeps; None where all keep it.
        """
        found = retime(torch.cat([motion["flow"], motion["hidden"]], dim=1), t, self._warp)
        found = onto_finer(found)
        count = FLOW + 1 + self.config.hidden
        found, resting = found[:, :count], found[:, count:]
        when = t.view(-1, 1, 1, 1).expand(-1, 1, found.shape[2], found.shape[3])
        trunk = self.scale4(first["f4"], second["f4"], found, when, self._small(first, second, times))
        known = self._still(found[:, : FLOW + 1] + self.head4(trunk).float())
        if self.rest is None:
            return known, trunk, None
        rests = self.rest.of_frame(resting, trunk, first["f4"], second["f4"])
        if self.pick is not None:
            far = retime(torch.cat([motion["far"], motion["far_mask"]], dim=1), t, self._warp)
            known, trunk, more, _ = self.pick(trunk, known, far, first["f4"], second["f4"])
            rests = rests + more
        keep = 1.0 - torch.sigmoid(rests)
        return at_rest(known, keep, t), trunk, keep

    def _blended(
        self, one: Tensor, other: Tensor, logit: Tensor, trunk: Tensor, keep: Tensor | None, times: int
    ) -> Tensor:
        """Both warped frames (B, 3, H, W), mask and trunk of level 4 -> the frame, by patches.

        ``keep`` is the share of what is mended that a place keeps, as it does of its motion.
        """
        assert isinstance(self.refine, PatchRefine)
        near, looked = self.refine(trunk, one, other, folded=self._for_graphs)
        if keep is not None:
            near, looked = near * keep, looked * keep
        near = torch.cat([near[:, :3], logit + near[:, 3:]], dim=1).float()
        if self._for_graphs:
            refined = functional.pixel_shuffle(looked + enlarge_in_patches(near, times), times)
        else:
            refined = enlarge(near, times) + functional.pixel_shuffle(looked, times).float()
        return other + torch.sigmoid(refined[:, 3:]) * (one - other) + refined[:, :3]

    def _still(self, found: Tensor) -> Tensor:
        """What a scale found, its flows left out where the configuration has none."""
        if self.config.flow:
            return found
        return torch.cat([torch.zeros_like(found[:, :FLOW]), found[:, FLOW:]], dim=1)

    def _small(self, first: State, second: State, times: int) -> tuple[Tensor, Tensor] | None:
        """Both images, so many times as small, where images are warped in place of features."""
        if self.config.warp != "images":
            return None
        return shrink(first["image"], times) - 0.5, shrink(second["image"], times) - 0.5

    def _fetch(self, first: State, second: State, known: Tensor, times: int) -> tuple[Tensor, Tensor]:
        """Both images, warped by the flows at their size."""
        flows = (known[:, :2], known[:, 2:FLOW])
        one, other = (enlarge(flow * float(times), times) for flow in flows)
        return self._warp(first["image"], one), self._warp(second["image"], other)

    def forward(
        self,
        first: Tensor,
        second: Tensor,
        t: Tensor,
        start: Tensor | None = None,
        bend: Tensor | None = None,
    ) -> Tensor:
        """Two frames and a time (B, 1) -> the frame at that time, without anything carried."""
        ones, others = self.encode(first), self.encode(second)
        state, _ = self.motion(ones, others, {}, start, bend)
        return self.interpolate(ones, others, state, t)[0].clamp(0.0, 1.0)

    def _carried_names(self) -> list[str]:
        """The SSM states that go from pair to pair, level 32 first."""
        return [f"lgs.{index}.ssm" for index in range(sum(self.config.blocks))]

    def functions(self) -> dict[str, Any]:
        """The named functions of the spec, as callables over named tensors and a state."""
        parts = {
            "aim": self._aim_function,
            "mend": self._mend_function,
            "blend": self._blend_function,  # as mend, for bundles that were made before it
        }
        return {
            "encode": self._encode_function,
            "encode_fine": self._encode_fine_function,
            "motion": self._motion_function,
            "interpolate": self._interpolate_function,
            **(parts if self._in_parts else {}),
        }

    @property
    def _in_parts(self) -> bool:
        """Whether frames can be warped between two functions."""
        return isinstance(self.refine, PatchRefine) and self.config.warp == "features"

    def _encode_function(self, inputs: State, state: State) -> tuple[State, State]:
        return {}, {f"second.{name}": value for name, value in self.encode(inputs["image"]).items()}

    def _encode_fine_function(self, inputs: State, state: State) -> tuple[State, State]:
        image = inputs["image"]
        stage: nn.Module = self.encoder.stages[0]
        return {}, {"second.image": image, "second.f4": stage(image - 0.5)}

    def _aim_function(self, inputs: State, state: State) -> tuple[State, State]:
        pair = part(state, "first"), part(state, "second")
        known, trunk, keep = self._aimed(*pair, part(state, "motion"), inputs["t"], LEVELS[0])
        flow = known[:, :FLOW] * float(LEVELS[0])
        told = {"flow": flow, "mask": known[:, FLOW:], "trunk": trunk}
        return told if keep is None else {**told, "keep": keep}, {}

    def _blend_function(self, inputs: State, state: State) -> tuple[State, State]:
        one, other, mask, trunk = (inputs[name] for name in ("one", "other", "mask", "trunk"))
        image = self._blended(one, other, mask, trunk, inputs.get("keep"), LEVELS[0])
        return {"image": image.clamp(0.0, 1.0)}, {}

    def _mend_function(self, inputs: State, state: State) -> tuple[State, State]:
        """What is added to the blended frames, and the first one's share of them, as patches of level 4.

        That is (B, 48, H/4, W/4) and (B, 16, H/4, W/4), of which ``pixel_shuffle`` makes pictures.
        """
        assert isinstance(self.refine, PatchRefine)
        one, other, mask, trunk = (inputs[name] for name in ("one", "other", "mask", "trunk"))
        near, *looked = self.refine.in_parts(trunk, one, other)
        if "keep" in inputs:
            near, looked = near * inputs["keep"], [part * inputs["keep"] for part in looked]
        times = LEVELS[0]
        residual = looked[0] + enlarge_in_patches(near[:, :3], times)
        logit = looked[1] + enlarge_in_patches(mask + near[:, 3:], times)
        return {"residual": residual, "share": torch.sigmoid(logit)}, {}

    def _motion_function(self, inputs: State, state: State) -> tuple[State, State]:
        pair = part(state, "first"), part(state, "second")
        found, _ = self.motion(*pair, part(state, "motion"), inputs.get("flow"), inputs.get("bend"))
        return {}, {f"motion.{name}": value for name, value in found.items()}

    def _interpolate_function(self, inputs: State, state: State) -> tuple[State, State]:
        image, _ = self.interpolate(
            part(state, "first"), part(state, "second"), part(state, "motion"), inputs["t"]
        )
        return {"image": image.clamp(0.0, 1.0)}, {}

    def spec(self, name: str) -> ModelSpec:
        """Everything that a runtime must know of this model."""
        return spec_of(self.config, name, self._carried_names(), self._in_parts)


def found_shape(features: Tensor) -> tuple[int, ...]:
    """The shape of a pair of flows on the grid of some features."""
    return (features.shape[0], FLOW, *features.shape[2:])


def part(state: State, owner: str) -> State:
    """The tensors of one owner (first, second or motion), without its name before theirs."""
    return {name[len(owner) + 1 :]: value for name, value in state.items() if name.startswith(f"{owner}.")}
