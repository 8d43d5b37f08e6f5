"""The table of the operators' page: a row for every configuration and form, and figures as claimed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from framestate.export.operator_table import BEGIN, CUT, END, FORMS, in_cuts, overall, put
from framestate.plugins.cases import CONFIGURATIONS, Configuration
from framestate.plugins.forms import forms_of


def cells(checkout: Path) -> dict[tuple[str, str], list[str]]:
    page = (checkout / "docs" / "operators.md").read_text("utf-8")
    table = page.partition(BEGIN)[2].partition(END)[0].strip().splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {(row[0], row[1]): row[2:] for row in rows}


def test_the_page_has_a_row_for_every_configuration_and_form(checkout: Path) -> None:
    assert set(cells(checkout)) == {(case.label, form) for case in CONFIGURATIONS for form in FORMS}


def test_its_figures_are_those_of_exact_forms(checkout: Path) -> None:
    for key, row in cells(checkout).items():
        *spikes, short, long, single = row
        assert all(float(one) <= 1e-5 for one in spikes), key
        assert all(one == "–" or float(one) <= 8e-3 for one in (short, long)), key  # bfloat16's own digits
        assert float(single) <= 1e-4, key


def test_the_table_goes_between_its_marks() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert put(page, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"


@pytest.mark.parametrize("case", CONFIGURATIONS, ids=lambda case: case.label)
def test_calls_one_after_another_are_one(case: Configuration) -> None:
    tensors, form = case.draw(3 * CUT), forms_of(case.operator).chunked
    cut = in_cuts(case, lambda given: case.call(form, given))
    with torch.inference_mode():
        assert overall(cut(tensors), tuple(one.double() for one in case.call(form, tensors))) <= 1e-5
