"""When to measure."""

import numpy as np


def probe_steps(steps: int, dense: int, per_decade: int) -> frozenset[int]:
    """Steps out of 0 … steps-1 at which to measure: dense at first, then evenly in the logarithm.

    Args:
        steps: Length of the run.
        dense: How many of the first steps are all measured.
        per_decade: Measurements for each tenfold of the step after that; 0 for none.

    Returns:
        The steps, always with the first and the last one.
    """
    chosen = {0, steps - 1} | set(range(min(dense, steps)))
    if per_decade:
        start = max(dense, 1)
        decades = np.log10(max(steps, start) / start)
        points = start * 10 ** (np.arange(int(decades * per_decade) + 1) / per_decade)
        chosen |= {int(step) for step in np.round(points) if step < steps}
    return frozenset(chosen)
