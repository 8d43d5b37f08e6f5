"""What every runtime checks of a call and of a row, and the words for what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bundles import FunctionSpec, ModelSpec, Size
from ..errors import BundleError, DataError, RuntimeUnavailableError, StateError, StepError
from .protocol import Arrays, DeviceInput, State


def check_inputs(name: str, function: FunctionSpec, inputs: Arrays, size: Size | None = None) -> int:
    """Returns the batch size. Raises DataError unless names, dtypes and shapes are those of the function.

    ``size`` is that of the frames (height, width), for functions whose shapes depend on it; see
    ``check_call``, which finds it and takes the batch from the state where there are no inputs.
    """
    check_names(name, function, inputs)
    expected = {tensor.name: tensor for tensor in function.inputs}
    sizes = [inputs[key].shape[:1] for key in expected]
    batch = sizes[0][0] if sizes and sizes[0] else 1
    if batch < 1:
        raise DataError(f"{name} was given a batch of no rows", "give at least one")
    for key, tensor in expected.items():
        array = inputs[key]
        if array.shape != tensor.concrete(batch, size) or array.dtype != tensor.dtype:
            raise DataError(
                f"input {key!r} of {name} is {array.dtype} {array.shape}",
                f"it takes {tensor.dtype} {tensor.concrete(batch, size)}",
            )
    return batch


def check_names(name: str, function: FunctionSpec, inputs: Arrays) -> None:
    """Raises DataError unless the inputs are NumPy arrays by the function's names, all and no other."""
    expected = {tensor.name for tensor in function.inputs}
    if set(inputs) != expected:
        raise DataError(f"{name} was given inputs {sorted(inputs)}", f"it takes {sorted(expected)}")
    for key, array in inputs.items():
        if not isinstance(array, np.ndarray | DeviceInput):
            raise DataError(f"input {key!r} of {name} is a {type(array).__name__}", "give a NumPy array")


def check_present(name: str, function: FunctionSpec, state: State) -> None:
    """Raises StateError where a state tensor that the function reads is missing."""
    for key in function.reads_state:
        if key not in state:
            raise StateError(
                f"{name} reads state {key!r}, which is not among {sorted(state)}",
                "run the functions that write it first",
            )


def check_state(
    name: str,
    spec: ModelSpec,
    function: FunctionSpec,
    state: State | None,
    batch: int,
    size: Size | None = None,
) -> None:
    """Raises StateError unless all that the function reads is there, by name, with its dtype and shape."""
    given: State = state or {}
    check_present(name, function, given)
    tensors = {tensor.name: tensor for tensor in spec.state}
    for key in function.reads_state:
        shape, dtype = tuple(given[key].shape), given[key].dtype
        known = dtype if isinstance(dtype, np.dtype) else str(dtype).removeprefix("torch.")
        if shape != tensors[key].concrete(batch, size) or known != tensors[key].dtype:
            raise StateError(
                f"state {key!r} of {name} is {known} {shape}",
                f"it must be {tensors[key].dtype} {tensors[key].concrete(batch, size)}",
            )


def check_call(
    name: str, spec: ModelSpec, function: FunctionSpec, inputs: Arrays, state: State | None
) -> int:
    """Returns the batch size of a call after checking inputs and state, as their checks do.

    The size of the frames, where shapes depend on it, is read from the first tensor that tells it, inputs
    before state; all others must agree. A function without inputs takes its batch size from the state.

    Raises DataError or StateError.
    """
    check_names(name, function, inputs)
    check_present(name, function, state or {})
    size = frame_size(name, spec, function, inputs, state or {})
    batch = check_inputs(name, function, inputs, size)
    if not function.inputs:
        batch = state_batch(spec, function, state or {})
    check_state(name, spec, function, state, batch, size)
    return batch


def frame_size(
    name: str, spec: ModelSpec, function: FunctionSpec, inputs: Arrays, state: State
) -> Size | None:
    """Height and width of the frames of a call; None where no shape of the function depends on them.

    Raises DataError for a size that the function cannot take.
    """
    states = {tensor.name: tensor for tensor in spec.state}
    used = [(tensor, inputs.get(tensor.name)) for tensor in function.inputs]
    used += [(states[key], state.get(key)) for key in function.reads_state]
    unsized = [(tensor, value) for tensor, value in used if not tensor.is_sized]
    if not unsized:
        return None
    height = width = None
    for tensor, value in unsized:
        if value is not None:
            tall, wide = tensor.size_in(tuple(value.shape))
            height = tall if height is None else height
            width = wide if width is None else width
    size = (height or 0, width or 0)
    given = [*function.outputs, *(states[key] for key in function.writes_state)]
    try:
        for tensor in [*given, *(tensor for tensor, _ in unsized)]:
            tensor.concrete(1, size)
    except BundleError as error:
        raise DataError(f"{name} was given what it cannot take: {error.problem}", error.remedy) from error
    return size


def state_batch(spec: ModelSpec, function: FunctionSpec, state: State) -> int:
    """Rows of the first state tensor that is there; 1 without any."""
    for tensor in spec.state:
        axis = tensor.batch_axis
        if tensor.name in function.reads_state and tensor.name in state and axis is not None:
            shape = tuple(state[tensor.name].shape)
            if len(shape) == len(tensor.shape):
                return max(1, int(shape[axis]))
    return 1


def sized_spec(spec: ModelSpec, size: Size | None) -> ModelSpec:
    """The spec for frames of one size, as rows of state need it.

    Raises BundleError: the spec depends on the size of the frames, and none is given or it does not fit.
    """
    if size is not None:
        return spec.sized(*size)
    if not spec.is_sized:
        raise BundleError(
            f"the state of {spec.name!r} depends on the size of the frames", "Give size=(height, width)."
        )
    return spec


def check_open(runtime: str, functions: Mapping[str, Any]) -> None:
    """Raises RuntimeUnavailableError for a runtime that has been closed: it has no functions any more."""
    if not functions:
        raise RuntimeUnavailableError(f"this {runtime} runtime was closed", "open the bundle again")


def check_row(spec: ModelSpec, arrays: Arrays) -> None:
    """Raises StateError unless ``arrays`` is exactly one row of the spec's state."""
    tensors = {tensor.name: tensor for tensor in spec.state}
    if set(arrays) != set(tensors):
        raise StateError(
            f"a state row has tensors {sorted(arrays)}", f"model {spec.name!r} has {sorted(tensors)}"
        )
    for key, tensor in tensors.items():
        if arrays[key].shape != tensor.concrete(1)[1:] or arrays[key].dtype != tensor.dtype:
            raise StateError(
                f"state {key!r} is {arrays[key].dtype} {arrays[key].shape}",
                f"model {spec.name!r} has {tensor.dtype} {tensor.concrete(1)[1:]}",
            )


def check_finite(name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Raises StepError, naming the tensor, when a result holds NaN or infinity."""
    for key, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise not_finite(name, key)


def not_finite(name: str, key: str) -> StepError:
    """The error for NaN or infinity in the tensor ``key`` that the function ``name`` gave."""
    return StepError(
        f"{name} gave numbers that are not finite in {key!r}",
        "the session keeps its last good state; check the input, or another runtime or precision",
    )
