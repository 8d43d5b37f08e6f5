"""How many servers the sessions need: slots in use over the slots that each has"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

TARGET = 0.7
"""Share of the slots that should be in use: the rest is for what comes while a server starts."""
USED, TOTAL = "slots_used", "slots_total"


def servers_needed(used: float, slots_each: float, target: float = TARGET) -> int:
    """The least number of servers of which no more than ``target`` of the slots are in use; 1 or more."""
    if slots_each <= 0:
        return 1
    return max(1, math.ceil(used / (slots_each * target) - 1e-9))


class BySlots:
    """Ray Serve's autoscaling policy: by the slots in use, as every replica reports them.

    Serve applies the bounds and delays of the deployment's ``autoscaling_config`` to the answer. As long as
    nobody has reported, the number stays as it is.

    Args:
        target: share of the slots that should be in use.
    """

    def __init__(self, target: float = TARGET) -> None:
        self._target = target

    def __call__(self, context: Any) -> tuple[int, dict[str, Any]]:
        """The number of replicas, and no state."""
        reports: Mapping[str, Mapping[Any, float]] = context.aggregated_metrics or {}
        used, total = reports.get(USED) or {}, reports.get(TOTAL) or {}
        if not total:
            return context.target_num_replicas, {}
        slots_each = sum(total.values()) / len(total)
        return servers_needed(sum(used.values()), slots_each, self._target), {}
