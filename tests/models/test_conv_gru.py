"""The convolutional GRU cell: its equation, its state, and its graph."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from framestate.models.conv_gru import ConvGruCell
from torch import Tensor


def cell(kernel: int = 3) -> ConvGruCell:
    torch.manual_seed(0)
    return ConvGruCell(3, 4, kernel).eval()


def frames(count: int) -> Tensor:
    return torch.randn(count, 2, 3, 5, 7, generator=torch.Generator().manual_seed(1))


def test_a_cell_of_one_by_one_is_pytorchs_gru() -> None:
    """Its z keeps the old where ours takes the new, and it resets after its product: here r is 1."""
    one = cell(1)
    gru = torch.nn.GRUCell(3, 4)
    assert one.gates.bias is not None
    assert one.candidate.bias is not None
    with torch.no_grad():
        one.gates.bias[4:] = 50.0  # r = 1
        one.gates.weight[4:] = 0.0
        update, new = one.gates.weight[:4, :, 0, 0], one.candidate.weight[:, :, 0, 0]
        gru.weight_ih.copy_(torch.cat([torch.zeros(4, 3), -update[:, :3], new[:, :3]]))
        gru.weight_hh.copy_(torch.cat([torch.zeros(4, 4), -update[:, 3:], new[:, 3:]]))
        gru.bias_ih.copy_(torch.cat([torch.full((4,), 50.0), -one.gates.bias[:4], one.candidate.bias]))
        gru.bias_hh.zero_()
        state = None
        expected = torch.zeros(2 * 5 * 7, 4)
        for x in frames(4):
            state = one(x, state)
            expected = gru(x.permute(0, 2, 3, 1).reshape(-1, 3), expected)
        assert state is not None
        assert torch.allclose(state.permute(0, 2, 3, 1).reshape(-1, 4), expected, atol=1e-6)


def test_no_state_is_a_state_of_zeros_and_rows_are_apart() -> None:
    one, x = cell(), frames(1)[0]
    with torch.no_grad():
        assert torch.equal(one(x), one(x, torch.zeros(2, 4, 5, 7)))
        assert torch.allclose(one(x)[1:], one(x[1:]), atol=1e-6)


def test_its_state_stays_float32_in_halves() -> None:
    one, exact = cell().bfloat16(), cell()
    state = kept = None
    with torch.no_grad():
        for x in frames(300):
            state, kept = one(x.bfloat16(), state), exact(x, kept)
    assert state is not None
    assert kept is not None
    assert state.dtype == torch.float32
    assert float((state - kept).abs().max()) < 0.05


def test_gradients_reach_the_first_frame() -> None:
    one, xs = cell().double(), frames(3).double().requires_grad_()
    state = None
    for x in xs:
        state = one(x, state)
    assert state is not None
    state.sum().backward()
    assert xs.grad is not None
    assert float(xs.grad[0].abs().max()) > 1e-4


def test_its_graph_is_the_cell_at_any_size(tmp_path: Path) -> None:
    one, x = cell(), frames(1)[0]
    state = torch.randn(2, 4, 5, 7, generator=torch.Generator().manual_seed(2))
    batch, rows, columns = (torch.export.Dim(name, min=1, max=64) for name in ("batch", "rows", "columns"))
    axes = {0: batch, 2: rows, 3: columns}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            one, (x, state), dynamo=True, opset_version=20, verbose=False, dynamic_shapes=(axes, axes)
        )
    assert program is not None
    program.save(tmp_path / "cell.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "cell.onnx", providers=["CPUExecutionProvider"])
    for shape in ((2, 5, 7), (1, 8, 3)):
        x, state = torch.randn(shape[0], 3, *shape[1:]), torch.randn(shape[0], 4, *shape[1:])
        names = [value.name for value in session.get_inputs()]
        (found,) = session.run(None, dict(zip(names, (x.numpy(), state.numpy()), strict=True)))
        with torch.no_grad():
            assert np.abs(np.asarray(found) - one(x, state).numpy()).max() <= 1e-5


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match="kernel is 4; it must be odd"):
        ConvGruCell(3, 4, 4)
