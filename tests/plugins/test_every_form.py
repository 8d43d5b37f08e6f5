"""Every form of every operator: exact, without steps, alone, beside a huge step, in halves, for long."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from framestate.plugins.cases import CONFIGURATIONS, SPIKE_STEP, Configuration, doubled, error_by_step
from framestate.plugins.forms import FORMS, forms_of
from framestate.plugins.operators import reference_operators
from torch import Tensor

PYTORCH = ("reference", "chunked", "portable")
"""The columns of the table that run in PyTorch alone; graphs are run in ``test_spiked_graphs``."""
SPIKES = (1e3, 1e5, 1e6)

each_form = pytest.mark.parametrize("form", PYTORCH)
each_configuration = pytest.mark.parametrize("case", CONFIGURATIONS, ids=lambda case: case.label)


def wanted(case: Configuration, tensors: dict[str, Tensor]) -> tuple[Tensor, ...]:
    return case.call(forms_of(case.operator).reference, doubled(tensors))


def found(case: Configuration, form: str, tensors: dict[str, Tensor], **options: Any) -> tuple[Tensor, ...]:
    return case.call(getattr(forms_of(case.operator), form), tensors, **options)


def test_every_operator_has_a_configuration_and_a_field() -> None:
    names = {row.operator for row in FORMS}
    assert {case.operator for case in CONFIGURATIONS} == names
    assert all(callable(getattr(reference_operators(), name)) for name in names)


@each_configuration
@each_form
@pytest.mark.parametrize("time", [0, 1, 16, 17, 65, 100])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_form_is_its_equation(case: Configuration, form: str, time: int, batch: int) -> None:
    """Chunks of 16, 32 and 64 steps that divide T and that do not; no steps at all hand the state on."""
    tensors = doubled(case.draw(time, B=batch, seed=time))
    outputs = found(case, form, tensors)
    assert error_by_step(outputs, wanted(case, tensors)) <= 1e-9
    if time == 0:
        assert all(
            torch.equal(one, tensors[name]) for one, name in zip(outputs[1:], case.states, strict=True)
        )


@each_configuration
@each_form
def test_cuts_change_nothing(case: Configuration, form: str) -> None:
    tensors = doubled(case.draw(50, B=2))
    state = {name: tensors[name] for name in case.states}
    ys = []
    for part in (slice(0, 7), slice(7, 7), slice(7, 8), slice(8, 50)):
        piece = {name: tensors[name][:, part] if name in case.timed else tensors[name] for name in tensors}
        y, *finals = found(case, form, piece | state)
        state = dict(zip(case.states, finals, strict=True))
        ys.append(y)
    assert error_by_step((torch.cat(ys, dim=1), *state.values()), wanted(case, tensors)) <= 1e-9


@each_configuration
@each_form
@pytest.mark.parametrize("spike", SPIKES)
def test_a_huge_step_takes_no_digits_from_the_others(case: Configuration, form: str, spike: float) -> None:
    tensors = case.draw(256, spike=spike)
    assert error_by_step(found(case, form, tensors), wanted(case, tensors)) <= 1e-5


@pytest.mark.parametrize("case", [one for one in CONFIGURATIONS if one.shuts], ids=lambda case: case.label)
@each_form
def test_a_gate_that_is_shut_forgets_everything_and_spoils_nothing(case: Configuration, form: str) -> None:
    """A decay of zero has the logarithm -inf: a memory that is emptied, as minGRU's is when its gate is 1."""
    tensors = case.draw(40, spike=math.inf)
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in tensors.items()}
    outputs = found(case, form, leaves)
    detached = tuple(output.detach() for output in outputs)
    assert error_by_step(detached, wanted(case, tensors)) <= 1e-5
    sum(output.sum() for output in outputs).backward()  # type: ignore[union-attr]
    assert all(torch.isfinite(leaf.grad).all() for leaf in leaves.values() if leaf.grad is not None)


@each_configuration
@each_form
def test_whole_numbers_come_in_and_fractions_come_out(case: Configuration, form: str) -> None:
    tensors = case.draw(5)
    first = next(iter(tensors))
    tensors[first] = (10 * tensors[first]).round()
    whole = found(case, form, tensors | {first: tensors[first].long()})
    assert all(torch.equal(one, other) for one, other in zip(whole, found(case, form, tensors), strict=True))


@each_form
@pytest.mark.parametrize("spike", SPIKES)
def test_what_a_huge_step_writes_is_kept(form: str, spike: float) -> None:
    """Of Mamba-2: Δ multiplies the input too, which is then by far the largest that the state holds."""
    case = next(case for case in CONFIGURATIONS if case.operator == "ssd_scan")
    tensors = case.draw(256, spike=spike)
    tensors["x"][:, SPIKE_STEP] = 1.0
    for one, exact in zip(found(case, form, tensors), wanted(case, tensors), strict=True):
        assert float((one.double() - exact).abs().max() / exact.abs().max()) <= 2e-6


@each_configuration
@pytest.mark.parametrize("form", ["chunked", "portable"])
def test_gradients_beside_a_huge_step(case: Configuration, form: str) -> None:
    """Of the inputs that are no gates, and of rates, which a step of 1e6 multiplies by itself."""

    def gradients(form: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in tensors.items()}
        y, *finals = found(case, form, leaves)
        weights = torch.linspace(0.5, 1.5, y.shape[1], dtype=y.dtype).reshape(
            1, -1, *(1 for _ in y.shape[2:])
        )
        (y * weights).sum().add(sum(final.sum() for final in finals)).backward()
        return {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}

    tensors = case.draw(100, spike=1e6)
    exact = gradients("reference", doubled(tensors))
    for name, gradient in gradients(form, tensors).items():
        assert torch.isfinite(gradient).all(), name
        size = exact[name].abs().max()
        assert float((gradient.double() - exact[name]).abs().max() / size) <= 1e-4, name


@each_configuration
@pytest.mark.parametrize("form", ["chunked", "portable"])
def test_gradients_are_those_of_the_equation(case: Configuration, form: str) -> None:
    tensors = {name: tensor.requires_grad_() for name, tensor in doubled(case.draw(5, H=1, D=2, K=2)).items()}

    def flat(*leaves: Tensor) -> tuple[Tensor, ...]:
        return found(case, form, dict(zip(tensors, leaves, strict=True)))

    assert torch.autograd.gradcheck(flat, tuple(tensors.values()))


@each_configuration
@each_form
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("autocast", [False, True])
def test_halves_are_raised_inside(case: Configuration, form: str, kind: torch.dtype, autocast: bool) -> None:
    """Only y is rounded: to halves where halves came in. Under autocast float32 comes in and stays."""
    tensors = case.draw(300)
    rounded = {name: tensor.to(kind) for name, tensor in tensors.items()}
    limit = 1e-5 if autocast else float(torch.finfo(kind).eps)
    given = tensors if autocast else rounded
    with torch.autocast("cpu", kind, enabled=autocast):
        y, *finals = found(case, form, given)
    assert y.dtype == (torch.float32 if autocast else kind)
    exact, *states = wanted(case, given)
    assert error_by_step((y.float(),), (exact,)) <= limit
    for one, state in zip(finals, states, strict=True):
        keeps_inputs = case.operator == "causal_conv1d"
        assert one.dtype == (given["state"].dtype if keeps_inputs else torch.float32)
        assert float((one.double() - state).abs().max() / state.abs().max()) <= 1e-5


@pytest.mark.slow
@each_configuration
@pytest.mark.parametrize("form", ["chunked", "portable"])
def test_ten_thousand_steps_in_halves(case: Configuration, form: str) -> None:
    tensors = {name: tensor.bfloat16() for name, tensor in case.draw(10_000).items()}
    outputs = found(case, form, tensors)
    exact = wanted(case, tensors)
    assert float((outputs[0].double() - exact[0]).abs().max() / exact[0].abs().max()) <= 4e-3
    for one, state in zip(outputs[1:], exact[1:], strict=True):
        assert float((one.double() - state).abs().max() / state.abs().max()) <= 1e-5


@each_configuration
def test_a_wrong_shape_is_named(case: Configuration) -> None:
    tensors = case.draw(3)
    for name in case.timed:
        if name in ("q", "x", "v"):
            continue
        wrong = tensors | {name: tensors[name][:, :2]}
        for form in PYTORCH:
            with pytest.raises(ValueError, match=rf"^{name} has shape .* it must be"):
                found(case, form, wrong)
