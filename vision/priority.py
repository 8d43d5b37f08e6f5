"""Threads keep the priority that they had, whatever a library does to them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def kept_priority() -> Iterator[None]:
    """Gives this thread its scheduling back at the end.

    SVT-AV1 makes the thread that opens it a real-time one where it may (as root, as in a container), which
    then takes a core from everything else on the machine.
    """
    if not hasattr(os, "sched_getscheduler"):  # not on this platform
        yield
        return
    policy, settings = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            with suppress(OSError):  # where it may not be given back, nothing can be done
                os.sched_setscheduler(0, policy, settings)
