"""Groups named with the units they keep, in place of a ratio: how tracker-nano was cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from framestate.bundles import load_bundle
from framestate.errors import OptionError
from framestate.models.pruning.options import PruneOptions
from framestate.models.pruning.rounds import Pruning
from framestate.models.pruning.surgery import open_model

UNITS = (("stem.1", 24), ("head.0", 32), ("*.states", 8), ("*.head.*", 16))


def test_named_groups_keep_as_many_as_told_and_others_all(tmp_path: Path) -> None:
    bundle = load_bundle("tracker-nano")
    model, spec = open_model(bundle), bundle.spec
    options = PruneOptions(method="magnitude", units=UNITS)
    pruned = Pruning(model, spec, None, options, tmp_path).run("less")
    before: dict[str, Any] = dict(spec.config)
    after: dict[str, Any] = dict(pruned.spec.config)
    assert (after["states"], after["head_channels"]) == (8, 16)
    assert list(after["stem_widths"]) == [24 if i == 1 else w for i, w in enumerate(before["stem_widths"])]
    assert list(after["head_widths"]) == [32, list(before["head_widths"])[1]]
    assert all(after[name] == before[name] for name in ("head_dim", "kept_heads", "dim", "layers"))
    assert pruned.spec.state_bytes < spec.state_bytes


@pytest.mark.parametrize(
    ("units", "rounds"), [((("stem.1", 0),), 1), ((("stem.1", 8),), 2)], ids=["none", "rounds"]
)
def test_units_that_cannot_be_kept_are_refused(units: tuple[tuple[str, int], ...], rounds: int) -> None:
    with pytest.raises(OptionError, match=r"units are stem\.1="):
        PruneOptions(method="magnitude", units=units, rounds=rounds)


def test_a_group_that_there_is_not_is_refused(tmp_path: Path) -> None:
    bundle = load_bundle("tracker-nano")
    options = PruneOptions(method="magnitude", units=(("tail.*", 8),))
    with pytest.raises(OptionError, match="no group is called tail"):
        Pruning(open_model(bundle), bundle.spec, None, options, tmp_path)
