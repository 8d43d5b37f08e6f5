"""Tracking as a task: predict, crop, step, decode, filter, and now and then a fresh template."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...errors import FrameError, OptionError
from ...runtimes import Arrays, Crop, Parts, Runtime, State
from ...vision import Box, Frame, Image, Piece
from ...wire import Track
from ..inputs import BoxLike, as_box
from ..task import OWN, Call, Next, Own, Steps, Task, call, mix
from .cropping import Cropping
from .decode import open_decoder
from .first_view import Bytes, compact, expand
from .following import Following
from .kalman import Four
from .looks import Looks, Vectors
from .measurement import Measurement
from .memory import TargetMemory
from .options import TrackingOptions
from .trajectory import Vocabulary

STEP, NEAR, INIT, LOOK = "step", "near", "init", "look"


class Tracking(Task[TargetMemory, Track]):
    """Follows what a box holds in the first frame.

    Args:
        runtime: of a tracker; its ``preprocess`` names crops, decoder and the thresholds it was tuned with.
        options: thresholds to use instead.

    Raises:
        BundleError: the model is no tracker, or lacks what one has.
    """

    name = "tracking"
    Memory = TargetMemory
    opens_on_frame = True
    most_bytes = 64 * 1024

    def __init__(self, runtime: Runtime, options: TrackingOptions | None = None) -> None:
        spec = runtime.spec
        self.options = options or TrackingOptions.from_spec(spec)
        self.reference_rate = self.options.reference_rate
        self._runtime, self._spec = runtime, spec
        self._cropping = Cropping(spec)
        self._decoders = {STEP: open_decoder(spec, self.options)}
        if NEAR in spec.functions and self.options.near_speed > 0:
            near = replace(spec, functions={**spec.functions, STEP: spec.function(NEAR)})
            self._decoders[NEAR] = open_decoder(near, self.options)
        step = spec.function(STEP)
        self._carried = frozenset(step.writes_state)
        inputs = {tensor.name: tensor for tensor in step.inputs}
        self._looks = LOOK in spec.functions and self.options.look_every > 0
        self._carries = "carry" in inputs
        self._words = Vocabulary(spec) if "history" in inputs else None
        history = int(inputs["history"].shape[1]) // 4 if "history" in inputs else 0
        self._following = Following(self.options, history)
        template = next((one for one in spec.function(INIT).inputs if one.name == "template"), None)
        several = template is not None and len(template.shape) == 5  # at first all are the same
        self._copies = int(template.shape[1]) if several and template is not None else 1

    def open(self, frame: Frame, box: BoxLike) -> Steps[TargetMemory, Track]:  # type: ignore[override]
        """Starts following what ``box`` (x, y, w, h in pixels) holds in ``frame``.

        Raises BoxError: the box is not finite, is empty, or lies outside the frame.
        """
        region = as_box(box).check(frame.width, frame.height)
        fill = self._cropping.fill(frame.image)
        memory = self._following.start(frame, region, fill)
        view = self._view(memory, frame, region)
        if self.options.refresh_every:
            memory = replace(memory, first_view=compact(view))
        made = yield from call(INIT, self._templates(view), None)
        if self._looks:
            (look,) = yield from self._looked_at(memory, frame, [region])
            memory = replace(memory, looks=Looks.first(look))
        return Next(memory, None, made.state)

    def correct(  # type: ignore[override]
        self,
        memory: TargetMemory,
        box: BoxLike,
        frame: Frame | None = None,
        std: Four | None = None,
        learn: bool = True,
        look: bool = False,
    ) -> Steps[TargetMemory, Track]:
        """Takes somebody's word that the target is in ``box``, x, y, w, h in pixels.

        Args:
            memory: of the session.
            box: in the frame that was answered last, or in ``frame``.
            frame: that one or a later one; without it the template is made in the next frame.
            std: how far off the box may be, in pixels of cx, cy, w, h; None: it is where the target is.
            learn: make the template anew.
            look: then look at ``frame`` around the box, as ``step`` does; nothing is learnt then, and how it
                looks is not compared.

        Raises:
            BoxError: the box is not finite, is empty, or lies outside the frame.
            FrameError: the frame is earlier than the last one, or of another size.
            OptionError: ``look`` without a frame.
        """
        region = as_box(box).check(memory.clock.width, memory.clock.height)
        if frame is not None:
            if not isinstance(frame, Frame):
                raise FrameError(f"{type(frame).__name__} is no Frame", "give the frame with its time")
            memory = self._following.move_on(memory, frame)
        said = frame is None and std is None and learn and memory.renew and memory.box == region
        if not said:  # the same word twice, as after a lost connection, changes nothing
            memory = self._following.correct(memory, region, std)
        if look:
            if frame is None:
                raise OptionError("there is no frame to look at", "give the frame")
            return (yield from self._seen_in(memory, frame, told=True))
        row: State | None = None
        if learn and frame is None:
            memory = replace(memory, renew=True)
        elif learn and frame is not None:
            memory, row = yield from self._learnt(memory, frame, region)
        return Next(memory, Track(region, 1.0, memory.status, memory.clock.index), row)

    def step(self, memory: TargetMemory, frame: Frame) -> Steps[TargetMemory, Track]:
        """Where the target is in the next frame."""
        return self._seen_in(memory, frame, told=False)

    def _seen_in(self, memory: TargetMemory, frame: Frame, *, told: bool) -> Steps[TargetMemory, Track]:
        """``step``; where somebody has ``told`` the place in this frame, looks are not compared."""
        memory, expected, growth = self._following.predict(memory, frame)
        state: State | Own = OWN
        if memory.renew:
            memory, state = yield from self._learnt(memory, frame, expected)
        measured, written, rival = yield from self._look(memory, frame, expected, growth, state)
        look = None if told else (yield from self._compared(memory, frame, measured))
        memory, margin = self._following.looks.looked(memory, measured, look)
        memory = self._following.observe(memory, measured, margin)
        if not told:
            memory = yield from self._learnt_looks(memory, frame, look, rival)
        for elsewhere in self._following.glances(memory):
            measured, _, _ = yield from self._look(memory, frame, elsewhere, 1.0, state)
            there = replace(memory, elsewhere=True)
            look = yield from self._compared(there, frame, measured)
            margin = self._following.looks.margin(there, measured, look)
            memory = self._following.glanced(memory, measured, margin)
            if memory.candidate is not None:
                break
        row = written if isinstance(state, Own) else Parts(state, written)
        if self._following.wants_refresh(memory):
            memory, fresh = yield from self._refreshed(memory, frame)
            row = Parts(row, fresh)
        chance = self.options.chance(memory.score, memory.status)
        return Next(memory, Track(memory.box, chance, memory.status, frame.index), row)

    def restored(self, memory: TargetMemory) -> TargetMemory:
        """See ``Task``."""
        if memory.first_view is not None:
            expand(memory.first_view, self._cropping.template_size)  # refuses what is none
        return self._following.check(memory)

    def distance(self, one: Track, other: Track) -> float:
        """The largest difference of centre or size, in pixels."""
        (ax, ay), (bx, by) = one.box.centre, other.box.centre
        return max(abs(ax - bx), abs(ay - by), abs(one.box.w - other.box.w), abs(one.box.h - other.box.h))

    def template(self, memory: TargetMemory, frame: Frame, box: Box) -> Arrays:
        """The inputs of ``init``: the target's crop, (1, 3, S, S), or (1, T, 3, S, S) of T templates."""
        return self._templates(self._view(memory, frame, box))

    def _learnt(self, memory: TargetMemory, frame: Frame, box: Box) -> Any:
        """A step of its own: the memory, and a whole row, as if the target were given in this frame."""
        view = self._view(memory, frame, box)
        made = yield from call(INIT, self._templates(view), None)
        changes: dict[str, Any] = {"since_refresh": 0, "renew": False}
        if memory.first_view is not None:
            changes |= {"first_view": compact(view), "first_row": None}
        if self._looks:
            (look,) = yield from self._looked_at(memory, frame, [box])
            others = None if memory.looks is None else memory.looks.others
            changes["looks"] = Looks.first(look, others)
        return memory.but(changes), made.state

    def _look(
        self, memory: TargetMemory, frame: Frame, around: Box, growth: float, state: State | Own
    ) -> Any:
        """What the model sees around a box, what it writes of the row, and who else is there."""
        near = NEAR in self._decoders and growth == 1 and self._following.steady(memory)
        function = NEAR if near else STEP
        decode, crop = self._decoders[function], self._cropping.search(around, growth, near)
        inputs: dict[str, Any] = {"search": self._seen(frame.image, crop, memory)}
        inputs |= decode.asks(crop, around)
        if self._carries:
            inputs["carry"] = np.array([self._following.carry(memory)], np.float32)
        if self._words is not None:
            inputs["history"] = self._words.words(memory.recent, crop)[None]
        seen = yield from call(function, inputs, state)
        maps = {name: value[0] for name, value in seen.outputs.items()}
        measured = decode(maps, crop, around)
        return measured, seen.state, lambda target: decode.rival(maps, crop, target)

    def _compared(self, memory: TargetMemory, frame: Frame, measured: Measurement) -> Any:
        """How what was measured looks, (D,), or None where that is not asked."""
        if not self._looks or not self._following.looks.wants_look(memory, measured):
            return None
        return (yield from self._looked_at(memory, frame, [measured.box]))[0]

    def _learnt_looks(
        self,
        memory: TargetMemory,
        frame: Frame,
        look: Vectors | None,
        rival: Callable[[Box], Box | None],
    ) -> Any:
        """The memory after what this frame teaches of how the target and others look."""
        looks = memory.looks
        if looks is None:
            return memory
        if look is not None and self._following.looks.learns_look(memory):
            looks = looks.with_own(look)
        if self._following.looks.learns_others(memory):
            boxes = [box for box in (rival(memory.box), self._following.elsewhere(memory)) if box is not None]
            for other in (yield from self._looked_at(memory, frame, boxes)):
                looks = looks.with_other(other)
        return memory if looks is memory.looks else replace(memory, looks=looks)

    def _looked_at(self, memory: TargetMemory, frame: Frame, boxes: Sequence[Box]) -> Any:
        """How what is in these boxes looks: vectors (D,), made in one batch where the runtime gains by it."""
        calls = [Call(LOOK, self._viewed(memory, frame, box), None) for box in boxes]
        results = (yield calls) if calls else []
        return [np.array(one.outputs["look"][0], np.float32) for one in results]

    def _viewed(self, memory: TargetMemory, frame: Frame, box: Box) -> Arrays:
        crop = self._cropping.look(box)
        return {"crop": self._seen(frame.image, crop, memory)}

    def _refreshed(self, memory: TargetMemory, frame: Frame) -> Any:
        """A step of its own: the first template blended with a fresh one, and the memory that knows of it."""
        first = memory.first_row
        if first is None:
            assert memory.first_view is not None, "without it no refresh is wanted"
            view = expand(memory.first_view, self._cropping.template_size)
            made = yield from call(INIT, self._templates(view), None)
            first = self._only_read(made.state)
        made = yield from call(INIT, self.template(memory, frame, memory.box), None)
        mixed = yield from mix(first, self._only_read(made.state), self.options.refresh_share)
        return replace(memory, since_refresh=0, first_row=first), mixed.state

    def _only_read(self, state: State) -> State:
        """What ``step`` only reads."""
        return {name: state[name] for name in state if name not in self._carried}

    def _seen(self, image: Image, crop: Any, memory: TargetMemory) -> Any:
        """The search crop as ``step`` takes it: made here, or put off until the batch is known."""
        if self._runtime.crops is not None:
            return Crop(self._cropping.piece(image, crop, memory.fill), self._cropping.raw)
        return self._cropping.planes([self._cropping.view(image, crop, memory.fill)])

    def _view(self, memory: TargetMemory, frame: Frame, box: Box) -> Image:
        return self._cropping.view(frame.image, self._cropping.template(box), memory.fill)

    def _templates(self, view: Image | Bytes) -> Arrays:
        if self._runtime.crops is not None and self._copies == 1:
            return {"template": Crop(Piece.ready(view), self._cropping.raw)}  # type: ignore[dict-item]
        planes = self._cropping.planes([view])
        return {"template": planes if self._copies == 1 else np.repeat(planes[:, None], self._copies, 1)}
