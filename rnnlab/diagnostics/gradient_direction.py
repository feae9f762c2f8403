"""Change in the direction of the gradient from one training step to the next."""

from collections.abc import Mapping

import numpy as np

from rnnlab.arrays import Array
from rnnlab.diagnostics.requirements import requires
from rnnlab.diagnostics.snapshot import Readings, Snapshot
from rnnlab.norms import global_norm
from rnnlab.records import COSINE_TO_PREVIOUS


@requires(previous=True)
def measure_gradient_direction(snapshot: Snapshot) -> Readings:
    """Measure `grad/cosine_to_previous`, the cosine of the angle between successive gradients.

        cos(g[s], g[s-1]) = ⟨g[s], g[s-1]⟩ / (‖g[s]‖ ‖g[s-1]‖)        g[s]: gradient of training step s

    Both gradients contain all parameters and are taken before clipping. The value is close to 0 if the noise
    of the batches dominates, and negative if the update of step s-1 went beyond the minimum along g[s-1]. It
    is None in the first training step, after the last update, and if a gradient is 0 or not finite.
    """
    cosine = None
    if snapshot.previous is not None:
        cosine = cosine_between(snapshot.grads, snapshot.previous.grads)
    return Readings(metrics={COSINE_TO_PREVIOUS: cosine})


def cosine_between(one: Mapping[str, Array], two: Mapping[str, Array]) -> float | None:
    """Return the cosine of the angle between two sets of arrays; None if a norm is 0 or not finite."""
    norms = global_norm(one.values()), global_norm(two.values())
    if not all(np.isfinite(norm) and norm > 0 for norm in norms):
        return None
    parts = ((one[name] / norms[0], two[name] / norms[1]) for name in one)
    return float(sum(np.sum(a * b, dtype=np.float64) for a, b in parts))
