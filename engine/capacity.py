"""How many sessions fit: a share of the free memory, over what a session needs."""

from __future__ import annotations

from dataclasses import dataclass

from ..bundles import ModelSpec
from ..errors import CapacityError, OptionError, RuntimeUnavailableError
from ..runtimes import free_memory

SHARE = 0.5
"""Of the free memory that sessions may take."""
LARGEST = 256
"""No more sessions than this unless a number is given: rows are allocated at once."""
FRAME_BYTES = 1920 * 1080 * 3
HOST_BYTES = 64 * 1024
"""Filter, queue, futures and clock of a session, rounded up generously."""
SLOT_BYTES = 128
"""Of a free slot in the process: its number, twice, and its places in two collections."""
QUEUED = 4
_FULL_HD = (1024, 2048)  # about that, and even in every multiple of a model


@dataclass(frozen=True)
class Capacity:
    """A number of sessions and where it comes from.

    Attributes:
        sessions: that can be open at once.
        state_bytes: of one session on the runtime's device.
        host_bytes: of one session in the process: its memory and its queued frames.
        reason: one sentence, to be printed.
    """

    sessions: int
    state_bytes: int
    host_bytes: int
    reason: str


def choose_capacity(
    spec: ModelSpec,
    device: str,
    *,
    rows: bool = True,
    given: int | None = None,
    share: float = SHARE,
    queue: int = QUEUED,
    frame_bytes: int = FRAME_BYTES,
) -> Capacity:
    """The capacity of an engine.

    Args:
        spec: the model.
        device: where its state lives: ``cpu`` or ``cuda``.
        rows: whether its sessions keep state in rows; without, what depends on the frames is reckoned at
            full HD.
        given: the number to take, if there is one.
        share: of the free memory that sessions may take.
        queue: frames that wait in a session, at most; one more is in a step.
        frame_bytes: of a frame; 1920 x 1080 unless more is known.

    Raises:
        OptionError: ``given`` is below 1, or ``share`` is not in (0, 1].
        CapacityError: not even one session fits, or the states of as many as ``given``.
    """
    if given is not None and given < 1:
        raise OptionError(f"capacity is {given}", "give at least 1 session")
    if not 0 < share <= 1:
        raise OptionError(f"the share of memory is {share}", "give a number above 0, up to 1")
    sized = spec if spec.is_sized else spec.sized(*_FULL_HD)
    state, host = (
        sized.state_bytes if rows or not spec.is_sized else 0,
        HOST_BYTES + (queue + 1) * frame_bytes,
    )
    needs = {"cpu": state + host} if device == "cpu" else {"cpu": host, device: state}
    if given is not None:
        check_given(given, state if rows else 0, device)  # what is allocated at once
        return Capacity(given, state, host, f"{given} sessions, as asked for")
    free = {where: free_memory(where) for where in needs}
    fits = {where: int(share * free[where]) // max(1, needs[where]) for where in needs}
    tightest = min(fits, key=lambda where: fits[where])
    if fits[tightest] < 1:
        raise CapacityError(
            f"a session needs {size(needs[tightest])} on {tightest}, where {size(free[tightest])} are free",
            "free some memory, shorten the queues, or give a capacity",
        )
    sessions = min(fits[tightest], LARGEST)
    limit = (
        f"{share:.0%} of the {size(free[tightest])} free on {tightest}, at {size(needs[tightest])} each"
        if sessions < LARGEST
        else f"the most unless more are asked for; {fits[tightest]} would fit in {share:.0%} of the memory"
    )
    return Capacity(sessions, state, host, f"{sessions} sessions: {limit}")


def check_given(sessions: int, state: int, device: str) -> None:
    """Raises CapacityError where the states of so many sessions are larger than the memory that is free."""
    try:
        free = free_memory(device)
    except RuntimeUnavailableError:  # nothing tells, and a number was asked for
        return
    needs = sessions * (state + SLOT_BYTES)
    if needs > free:
        raise CapacityError(
            f"{sessions} sessions of {size(state)} of state each need {size(needs)} on {device}, where "
            f"{size(free)} are free",
            "give a smaller number, or use a model with less state",
        )


def size(count: int) -> str:
    """Bytes in a readable unit."""
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"
