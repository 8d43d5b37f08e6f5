"""The remembered check of a call: as strict as the full one, with the same words."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from framestate.errors import DataError, StateError
from framestate.runtimes import Arrays, DeviceInput, Runtime, checker
from framestate.runtimes.checker import Checker
from framestate.runtimes.checks import check_call
from framestate.runtimes.host_store import HostStateStore

from .test_contract import started, step
from .test_frame_sizes import SPEC, zeros


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The functions whose calls were checked in full."""
    full: list[str] = []

    def check(name: str, *given: Any) -> int:
        full.append(name)
        return check_call(name, *given)

    monkeypatch.setattr(checker, "check_call", check)
    return full


def test_a_call_like_a_good_one_is_not_derived_again(monkeypatch: pytest.MonkeyPatch) -> None:
    full, check = counted(monkeypatch), Checker(SPEC)
    for _ in range(3):
        for batch, height, width in ((1, 12, 20), (2, 12, 20), (1, 8, 8)):
            good = check("encode", {"image": zeros(batch, 3, height, width)}, None)
            assert (good.batch, good.size) == (batch, (height, width))
            moved = {"motion.flow": zeros(batch, 4, height // 2, width // 2)}
            good = check("interpolate", {"t": zeros(batch, 1)}, moved)
            assert (good.batch, good.size) == (batch, (height, width))
    assert sorted(full) == 3 * ["encode"] + 3 * ["interpolate"]


def test_what_is_remembered_is_bounded_and_may_be_forgotten() -> None:
    check = Checker(SPEC)
    for batch in [*range(1, 40), 1]:
        assert check("encode", {"image": zeros(batch, 3, 4, 4)}, None).batch == batch
    assert len(check._good["encode"]) == checker.REMEMBERED


def outcome(way: Callable[[], int]) -> int | str:
    """A batch size, or the words of the error."""
    try:
        return way()
    except (DataError, StateError) as error:
        return f"{type(error).__name__}: {error}"


CHANGES: list[tuple[str, Any]] = [
    ("image", None),
    ("image", [0.0]),
    ("image", zeros(1, 3, 12, 24)),
    ("image", zeros(2, 3, 12, 20)),
    ("image", zeros(1, 3, 12, 20).astype(np.float64)),
    ("other", zeros(1)),
    ("first.features", None),
    ("first.features", zeros(1, 8, 3, 6)),
    ("first.features", zeros(2, 8, 3, 5)),
    ("second.features", zeros(1, 8, 3, 5).astype(np.float16)),
]


@pytest.mark.parametrize(("name", "value"), CHANGES)
@pytest.mark.parametrize("function", ["encode", "motion", "interpolate"])
def test_a_changed_call_is_judged_as_ever(function: str, name: str, value: Any) -> None:
    """After a good call, whatever is changed comes out as it does of the full check, word for word."""
    described = SPEC.function(function)
    state: dict[str, Any] = HostStateStore(SPEC.sized(12, 20), 1).read([0])  # type: ignore[assignment]
    check = Checker(SPEC)
    given: dict[str, Any] = {one.name: zeros(*one.concrete(1, (12, 20))) for one in described.inputs}
    check(function, given, state)
    target = state if "." in name else given
    if value is None:
        target.pop(name, None)
    else:
        target[name] = value
    remembered = outcome(lambda: check(function, given, state).batch)
    assert remembered == outcome(lambda: check_call(function, SPEC, described, given, state))


def test_an_input_on_the_device_is_one_like_it_on_the_host() -> None:
    check, image = Checker(SPEC), zeros(1, 3, 12, 20)
    given: Any = {"image": DeviceInput(None, image.shape, image.dtype)}
    assert check("encode", {"image": image}, None) is check("encode", given, None)
    given = {"image": DeviceInput(None, (1, 3, 12), image.dtype)}
    with pytest.raises(DataError):
        check("encode", given, None)


def test_threads_share_what_is_remembered() -> None:
    check = Checker(SPEC)

    def ask(batch: int) -> bool:
        batch = 1 + batch % 20
        return check("encode", {"image": zeros(batch, 3, 4, 4)}, None).batch == batch

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(2000)))


def test_every_runtime_remembers(runtime: Runtime, crops: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    full, store = counted(monkeypatch), started(runtime, crops)
    del full[:]
    zero = {one.name: np.zeros(one.concrete(3), one.dtype) for one in runtime.spec.function("step").inputs}
    for rows in ([0, 1, 2], [2, 0, 1], [0, 1, 2]):
        step(runtime, zero, store.read(rows))
    assert full == ["step"]
