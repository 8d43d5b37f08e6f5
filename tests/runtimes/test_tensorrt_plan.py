"""What plans are for: their keys, the batches they take, and the sizes that are recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from framestate.bundles import Bundle, write_bundle
from framestate.errors import BundleError, OptionError
from framestate.runtimes.tensorrt_plan import FrameRange, PlanKey, graph_sizes, padded_size, plan_key
from hypothesis import given
from hypothesis import strategies as st

KEY = PlanKey("b", "p", "fp32", 1, 8, 64, "11.4.0", "Orin")


def test_every_part_of_a_key_counts() -> None:
    texts = [name for name, value in asdict(KEY).items() if isinstance(value, str)]
    others = [PlanKey(**{**asdict(KEY), name: "other"}) for name in texts]
    others += [replace(KEY, smallest=2), replace(KEY, usual=9), replace(KEY, largest=65)]
    others.append(replace(KEY, frames=(FrameRange.only((32, 32)),)))
    assert len({one.digest for one in (KEY, *others)}) == 1 + len(asdict(KEY))
    assert KEY.digest == replace(KEY).digest
    assert KEY.why_not_here("11.4.0", "Orin") == ""


@pytest.mark.parametrize("batches", [(0, 1, 1), (2, 1, 4), (1, 9, 8), (1, 8, 100_000)])
def test_batches_that_make_no_sense(batches: tuple[int, int, int]) -> None:
    with pytest.raises(OptionError, match="cannot be built"):
        PlanKey("b", "p", "fp32", *batches, "11.4.0", "Orin")


@pytest.mark.parametrize(
    "edit", [lambda key: key.pop("gpu"), lambda key: key.update(usual="8"), lambda key: key.update(more=1),
             lambda key: key.update(largest=True), lambda key: key.update(smallest=0),
             lambda key: key.update(frames=[3])]
)  # fmt: skip
def test_a_broken_key_is_a_broken_bundle(
    plans: Bundle, tmp_path: Path, edit: Callable[[dict[str, Any]], Any]
) -> None:
    key = plan_key(plans).to_json()
    edit(key)
    files: dict[str, Path | bytes] = {name: plans.file(name) for name in plans.files}
    changed = write_bundle(
        tmp_path / "changed", plans.spec, files, provenance={}, metrics={}, parity={"tensorrt": {"key": key}}
    )
    with pytest.raises(BundleError, match=r"broken in|is broken"):
        plan_key(changed)
    with pytest.raises(BundleError, match="does not say what its plans are for"):
        plan_key(replace(changed, manifest={**changed.manifest, "parity": {"tensorrt": 3}}))


@given(st.integers(1, 64), st.integers(0, 200), st.data())
def test_every_batch_has_a_graph_at_most_twice_its_size(least: int, more: int, data: st.DataObject) -> None:
    sizes = graph_sizes(least, least + more)
    assert sizes[0] == least
    assert sizes[-1] == least + more
    assert list(sizes) == sorted(set(sizes))
    rows = data.draw(st.integers(1, least + more))
    found = padded_size(rows, sizes)
    assert rows <= found <= max(2 * rows, least)
