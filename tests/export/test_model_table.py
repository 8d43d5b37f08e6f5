"""The table of systems: operations counted by hand, and a page that says what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from framestate.errors import DataError, OptionError
from framestate.export.flops import Tally, count_flops
from framestate.export.model_measures import Line, measure
from framestate.export.model_table import BEGIN, END, main, read_lines, size, table, write_table
from framestate.models.artrack_mamba_v2 import ArtrackMambaV2, ArtrackMambaV2Config
from framestate.models.systems import SYSTEMS, System
from framestate.plugins import Operators, eager_operators
from torch import nn

SMALL: dict[str, Any] = {
    "template_size": 32, "search_size": 64, "dim": 16, "layers": 2, "states": 8, "head_channels": 8,
    "attention_heads": 2, "bins": 40, "history": 2, "redraw_dim": 8, "redraw_layers": 1, "redraw_heads": 2,
}  # fmt: skip


def build(mixer: str, **options: Any) -> Any:
    config = ArtrackMambaV2Config(**SMALL, mixer=mixer, **options)  # type: ignore[arg-type]
    return lambda operators: ArtrackMambaV2(config, operators)


def test_operations_are_those_counted_by_hand() -> None:
    """Tokens 4 + 16 + 8 + 5 = 33, inner 32, rank 1, 8 states; two layers, both directions."""
    make = build("mamba1")
    spec = make(eager_operators()).spec("t")
    total, scans = count_flops(make, spec, ("step",))
    tokens, inner, taps = 33, 32, 4
    assert scans == 2 * 2 * (7 * tokens * inner * 8 + 2 * tokens * inner * taps)
    per_layer = 2 * tokens * (16 * 2 * inner + inner * 16) + 2 * 2 * tokens * (inner * (1 + 16) + inner)
    patches = 2 * 16 * 16 * 3 * 256
    words = 2 * 4 * 16 * 80 + 2 * (16 * 16 + 16)
    attention = 2 * 2 * 4 * 4 * 8
    redraw = 2 * 4 * (16 * 8 + 8 * 24 + 8 * 8 + 2 * 8 * 32 + 8 * 768) + attention + 2 * 4 * 768 * 16
    assert total - scans == 2 * per_layer + patches + words + redraw


@pytest.mark.parametrize("mixer", ["mamba1", "mamba2"])
@torch.no_grad()
def test_counting_operators_give_the_shapes_of_real_ones(mixer: str) -> None:
    make = build(mixer, temporal="carry")
    shapes = []
    for operators in (eager_operators(), Tally().operators):
        model = make(operators).eval()
        state = model.init(torch.zeros(1, 3, 32, 32))
        outputs, written = model.step(
            torch.zeros(1, 3, 64, 64), torch.zeros(1, 8, dtype=torch.int64), torch.ones(1), state
        )
        shapes.append({name: value.shape for name, value in {**state, **outputs, **written}.items()})
    assert shapes[0] == shapes[1]


class Scanner(nn.Module):
    """Nothing but an mLSTM scan."""

    def __init__(self, operators: Operators) -> None:
        super().__init__()
        self.operators = operators

    def forward(self, keys: int, values: int) -> Any:
        q, v = torch.zeros(1, 5, 2, keys), torch.zeros(1, 5, 2, values)
        gates = torch.zeros(1, 5, 2)
        return self.operators.mlstm_scan(q, q, v, gates, gates)


def test_an_mlstm_is_counted_with_its_normaliser() -> None:
    tally = Tally()
    found, expected = Scanner(tally.operators)(3, 7), Scanner(eager_operators())(3, 7)
    assert found[0].shape == expected[0].shape
    assert [part.shape for part in found[1]] == [part.shape for part in expected[1]]
    assert tally.count == 5 * 5 * 2 * (3 * 7 + 3)


def test_a_system_is_measured_as_it_is() -> None:
    system = System("t", "artrack_mamba_v2", "small", 0, changes={**SMALL, "mixer": "mamba2"})
    line = measure(system, 2, dialects=("ort",), frames=2)
    model = system.build(eager_operators())
    assert line.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert line.state_bytes == system.spec(model).state_bytes
    assert line.eager_ms is not None
    assert line.eager_ms > 0
    assert line.onnx_ms is not None
    assert line.onnx_ms > 0
    assert line.portable_ms is None
    assert line.frames == 2
    assert line.max_rel is not None
    assert 0 < line.max_rel < 1e-4
    assert line.export_s is not None


def test_a_page_gets_its_table_and_keeps_its_words(tmp_path: Path) -> None:
    lines = [
        Line("a", "one", 1_500_000, 2**20, 1.234, 0.25, 3.0, None, 7.0, 2.4e-6, 5, 11.0),
        Line("b", "two", 10, 0, 0.1, 0.0),
    ]
    page = tmp_path / "models.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_table(page, lines, "a machine")
    text = page.read_text()
    assert "| `a` | one | 1.50 M | 1.00 MiB | 1.23 (25%) | 3.0 | not run | 7.0 | 2e-06 (5) | 11.0 |" in text
    assert f"| `b` | two | 0.00 M | none | 0.10 (0%) |{' not run |' * 5}" in text
    assert text.startswith("before")
    assert text.endswith("after\n")
    assert "old" not in text
    write_table(page, lines, "a machine")
    assert page.read_text() == text
    page.write_text("no place")
    with pytest.raises(DataError):
        write_table(page, lines, "a machine")


def test_small_states_are_told_in_bytes() -> None:
    assert [size(0), size(40), size(2**21)] == ["none", "40 bytes", "2.00 MiB"]


def test_the_shipped_page_holds_what_was_measured(checkout: Path) -> None:
    lines = read_lines(checkout / "docs" / "models.json")
    assert set(lines) <= {system.name for system in SYSTEMS}
    ordered = [lines[system.name] for system in SYSTEMS if system.name in lines]
    assert table(ordered) in (checkout / "docs" / "models.md").read_text()
    assert json.loads((checkout / "docs" / "models.json").read_text())["machine"]


def test_an_unknown_system_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no system nothing"):
        main(["nothing", "--docs", str(tmp_path)])
