"""What the pages name is there: files of the repository, and the tests of the plans' table one by one."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from .test_pages import DOCS, PAGES, ROOT, name_of, understood

ELSEWHERE = {"models/nanotrackv3"}
"""Folders of other repositories whose names begin like ours."""
_PATH = re.compile(r"`([\w.*-]+(?:/[\w.*-]+)+)/?`")
_NAMED = re.compile(r"`(?:([\w/]+\.py)::)?(test_\w+)`")
_COMMAND = re.compile(r"`\$ (framestate [^`]+)`")
NOT_RUN = ("needs a GPU", "needs the data set", "need a GPU", "need the data set")


def plans() -> list[list[str]]:
    """The rows of the plans' table, cell by cell, each with its plan's name."""
    table = (DOCS / "models.md").read_text("utf-8").partition("\n| plan |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]
    plan = ""
    for row in rows:
        plan = row[0] = row[0] or plan
    return rows


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_that_a_page_names_are_there(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    for path in set(_PATH.findall(text)) - ELSEWHERE:
        if (ROOT / path.split("/")[0] / "__init__.py").exists() or path.startswith(("tests/", "docs/")):
            assert any(ROOT.glob(path)) or (ROOT / f"{path}.py").exists(), f"{name_of(page)}: {path}"


def test_every_line_of_the_plans_is_filled_in() -> None:
    rows = plans()
    assert {row[0] for row in rows} == {"ARTrackMamba", "Mamba-Small", "RSST", "ViL-Tracker", "Interpolation"}
    for row in rows:
        assert len(row) == 4, row
        assert all(row), row
        shown = row[3]
        assert _NAMED.search(shown) or "`$ " in shown or "](" in shown or any(map(shown.count, NOT_RUN)), row


def test_commands_of_the_plans_can_be_typed() -> None:
    found = [command for row in plans() for cell in row for command in _COMMAND.findall(cell)]
    assert len(found) > 10
    for command in found:
        understood(shlex.split(command.replace("[", "").replace("]", ""))[1:], f"… {command}")


def test_every_test_that_the_plans_name_is_there() -> None:
    for *_, shown in plans():
        file = ""
        for path, name in _NAMED.findall(shown):
            file = path or file
            text = (ROOT / "tests" / file).read_text("utf-8")
            assert f"\ndef {name}(" in text, f"{file}::{name}"
