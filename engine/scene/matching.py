"""Who is who: detections and targets in pairs, at the least cost of all together."""

from __future__ import annotations

import lap
import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


def pairs(costs: Numbers, most: float) -> list[tuple[int, int]]:
    """Rows and columns in pairs, so that the sum of the costs is least (Jonker and Volgenant 1987).

    Args:
        costs: (N, M); what is not finite is no pair.
        most: a pair may cost; dearer ones stay alone.
    """
    if not costs.size:
        return []
    held = np.where(np.isfinite(costs), costs, 1e6)
    _, partners, _ = lap.lapjv(np.ascontiguousarray(held), extend_cost=True, cost_limit=most)
    return [(row, int(one)) for row, one in enumerate(partners) if one >= 0 and costs[row, one] <= most]
