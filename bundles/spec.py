"""What a model is: named functions over inputs and state.

A tracker has ``init`` (template → state) and ``step`` (search → boxes, next state); an interpolator has
``encode`` and ``interpolate``. The state is a list of named tensors of fixed size, so a frame costs the same
however long the session has run. These types say nothing about *how* a function is run: that is what
``runtimes/`` is for.

Everything here is frozen, validates itself when it is made, and goes to JSON and back without loss.
``config`` and ``preprocess`` are copied when a spec is made, so nobody else holds on to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..errors import BundleError
from .fields import JSON, Fields, plain_table
from .tensor import BATCH, Dim, Size, TensorSpec, check_name, check_unique

__all__ = [
    "BATCH",
    "JSON",
    "Dim",
    "FunctionSpec",
    "ModelSpec",
    "Size",
    "TensorSpec",
    "past_name",
    "present_name",
]


def past_name(state_name: str) -> str:
    """The name under which a function reads the state tensor ``state_name``."""
    return "past_state." + state_name


def present_name(state_name: str) -> str:
    """The name under which a function writes the state tensor ``state_name``."""
    return "present_state." + state_name


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """A pure function of a model: inputs and past state in, outputs and present state out.

    Attributes:
        inputs: what the caller hands over, in order.
        outputs: what the caller gets, in order.
        reads_state: names of the state tensors it reads (as ``past_state.<name>``).
        writes_state: names of the state tensors it writes (as ``present_state.<name>``).

    Raises:
        BundleError: two tensors of one side share a name, or it gives nothing at all.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    reads_state: tuple[str, ...] = ()
    writes_state: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_unique([tensor.name for tensor in self.inputs], "the inputs of a function")
        check_unique([tensor.name for tensor in self.outputs], "the outputs of a function")
        check_unique(self.reads_state, "reads_state of a function")
        check_unique(self.writes_state, "writes_state of a function")
        if not self.outputs and not self.writes_state:
            raise BundleError("a function has no outputs and writes no state", "Declare what it gives.")

    def to_json(self) -> dict[str, JSON]:
        """A JSON object that :meth:`from_json` reads back."""
        return {
            "inputs": [tensor.to_json() for tensor in self.inputs],
            "outputs": [tensor.to_json() for tensor in self.outputs],
            "reads_state": list(self.reads_state),
            "writes_state": list(self.writes_state),
        }

    @classmethod
    def from_json(cls, data: object, where: str = "function") -> FunctionSpec:
        """Read what :meth:`to_json` wrote; ``where`` says in an error which function it was."""
        fields = Fields(data, where)
        spec = cls(
            inputs=_tensors(fields, "inputs"),
            outputs=_tensors(fields, "outputs"),
            reads_state=fields.texts("reads_state"),
            writes_state=fields.texts("writes_state"),
        )
        fields.done()
        return spec


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Everything a runtime or a task has to know of a model, apart from its weights.

    Attributes:
        name: how the model is called, such as ``tracker-nano``.
        task: what it does, such as ``tracking`` or ``interpolation``.
        architecture: the name under which ``models/`` builds it.
        config: the architecture's own settings (JSON).
        preprocess: how a task prepares its inputs (JSON), such as crop factors and sizes.
        functions: by name.
        state: the state tensors of one session, each with ``"batch"`` in its shape.

    Raises:
        BundleError: a name is not allowed or stands twice, a function names a state tensor that is missing, a
            state tensor has no batch axis, or ``config`` or ``preprocess`` is not JSON.
    """

    name: str
    task: str
    architecture: str
    config: Mapping[str, JSON]
    preprocess: Mapping[str, JSON]
    functions: Mapping[str, FunctionSpec]
    state: tuple[TensorSpec, ...]

    def __post_init__(self) -> None:
        for what in ("name", "task", "architecture"):
            check_name(getattr(self, what), f"the {what} of a model")
        for what in ("config", "preprocess"):
            object.__setattr__(self, what, plain_table(getattr(self, what), what))
        object.__setattr__(self, "functions", dict(self.functions))
        if not self.functions:
            raise BundleError(f"model {self.name!r} has no functions", "Declare at least one.")
        known = [tensor.name for tensor in self.state]
        check_unique(known, f"the state of model {self.name!r}")
        for tensor in self.state:
            if tensor.batch_axis is None:
                raise BundleError(
                    f"state tensor {tensor.name!r} has shape {tensor.shape!r}, which has no 'batch' axis",
                    "Give every state tensor a batch axis: each session owns one row.",
                )
        for name, function in self.functions.items():
            check_name(name, "the name of a function")
            for state_name in (*function.reads_state, *function.writes_state):
                if state_name not in known:
                    raise BundleError(
                        f"function {name!r} names the state tensor {state_name!r}, which the model lacks",
                        f"Use one of: {', '.join(known) or 'none declared'}.",
                    )

    @property
    def state_bytes(self) -> int:
        """Bytes of state that one session owns.

        Raises:
            BundleError: they depend on the size of the frames; ask ``sized(height, width)``.
        """
        return sum(tensor.bytes_per_row for tensor in self.state)

    @property
    def fixed_state_bytes(self) -> int | None:
        """Bytes of state that one session owns; None where they depend on the size of the frames."""
        return self.state_bytes if all(tensor.is_sized for tensor in self.state) else None

    @property
    def is_sized(self) -> bool:
        """Whether no tensor's shape depends on the size of the frames."""
        tensors = [*self.state]
        for function in self.functions.values():
            tensors += [*function.inputs, *function.outputs]
        return all(tensor.is_sized for tensor in tensors)

    def sized(self, height: int, width: int) -> ModelSpec:
        """The same model for frames of one size, in pixels: every ``"height/8"`` and the like is a number.

        Raises:
            BundleError: the size does not divide as a tensor asks.
        """
        size = (height, width)
        functions = {
            name: replace(
                function,
                inputs=tuple(tensor.sized(size) for tensor in function.inputs),
                outputs=tuple(tensor.sized(size) for tensor in function.outputs),
            )
            for name, function in self.functions.items()
        }
        return replace(self, functions=functions, state=tuple(tensor.sized(size) for tensor in self.state))

    def function(self, name: str) -> FunctionSpec:
        """The function called ``name``.

        Raises:
            BundleError: the model has no such function.
        """
        if name not in self.functions:
            raise BundleError(
                f"model {self.name!r} has no function {name!r}", f"Use one of: {', '.join(self.functions)}."
            )
        return self.functions[name]

    def to_json(self) -> dict[str, JSON]:
        """A JSON object that :meth:`from_json` reads back."""
        return {
            "name": self.name,
            "task": self.task,
            "architecture": self.architecture,
            "config": plain_table(self.config, "config"),
            "preprocess": plain_table(self.preprocess, "preprocess"),
            "functions": {name: function.to_json() for name, function in self.functions.items()},
            "state": [tensor.to_json() for tensor in self.state],
        }

    @classmethod
    def from_json(cls, data: object) -> ModelSpec:
        """Read what :meth:`to_json` wrote.

        Raises:
            BundleError: a field is missing, unknown, of the wrong type, or breaks a rule of this class.
        """
        fields = Fields(data, "spec")
        functions = fields.table("functions")
        spec = cls(
            name=fields.text("name"),
            task=fields.text("task"),
            architecture=fields.text("architecture"),
            config=fields.table("config"),
            preprocess=fields.table("preprocess"),
            functions={
                name: FunctionSpec.from_json(function, f"spec.functions[{name!r}]")
                for name, function in functions.items()
            },
            state=_tensors(fields, "state"),
        )
        fields.done()
        return spec


def _tensors(fields: Fields, key: str) -> tuple[TensorSpec, ...]:
    entries = enumerate(fields.array(key))
    return tuple(TensorSpec.from_json(entry, f"{fields.where}.{key}[{index}]") for index, entry in entries)
