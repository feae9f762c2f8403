"""Gradient clipping.

By global norm (R. Pascanu, T. Mikolov & Y. Bengio, *On the difficulty of training recurrent neural
networks*, 2013): g ← g · min(1, θ/‖g‖₂), the norm over all parameters together.
By value (as in M. Kumar, *RNN Derivatives and Code sample*): every element to [-θ, θ].
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from rnnlab.arrays import Params, copy_params
from rnnlab.norms import global_norm


@dataclass(frozen=True)
class ClipReport:
    """What clipping did to one gradient.

    Attributes:
        norm: Global norm before.
        norm_clipped: Global norm after.
        clipped: Whether anything changed.
        coefficient: Factor applied by norm clipping, 1 if unclipped; None for clipping by value.
        fraction: Fraction of the elements clipped by value; None for clipping by norm.
        cosine: Of the angle between the gradient before and after; 1 by norm, which keeps its direction.
    """

    norm: float
    norm_clipped: float
    clipped: bool
    coefficient: float | None = None
    fraction: float | None = None
    cosine: float = 1.0


@dataclass(frozen=True)
class Clipping:
    """Clipping at a threshold θ; None leaves gradients as they are and still reports their norm."""

    threshold: float | None
    mode: Literal["norm", "value"]

    def apply(self, grads: Params, norm: float | None = None) -> ClipReport:
        """Clip `grads` in place and say what was done; `norm` is their global norm where it is known."""
        before = global_norm(grads.values()) if norm is None else norm
        if self.threshold is None or not np.isfinite(before):  # what is broken stays, to be found
            return self._untouched(before)
        if self.mode == "norm":
            return self._by_norm(grads, self.threshold, before)
        return self._by_value(grads, self.threshold, before)

    def _untouched(self, norm: float) -> ClipReport:
        if self.mode == "norm":
            return ClipReport(norm, norm, False, coefficient=1.0)
        return ClipReport(norm, norm, False, fraction=0.0)

    def _by_norm(self, grads: Params, threshold: float, before: float) -> ClipReport:
        if before <= threshold:
            return self._untouched(before)
        coefficient = threshold / before
        for grad in grads.values():
            grad *= coefficient
        return ClipReport(before, global_norm(grads.values()), True, coefficient=coefficient)

    def _by_value(self, grads: Params, threshold: float, before: float) -> ClipReport:
        outside = sum(int(np.count_nonzero(np.abs(grad) > threshold)) for grad in grads.values())
        if outside == 0:
            return self._untouched(before)
        raw = copy_params(grads)
        for grad in grads.values():
            np.clip(grad, -threshold, threshold, out=grad)
        after = global_norm(grads.values())
        share = outside / sum(grad.size for grad in grads.values())
        # Of unit vectors, so that no product of large gradients overflows.
        cosine = sum(float(np.vdot(raw[name] / before, grad / after)) for name, grad in grads.items())
        return ClipReport(before, after, True, fraction=share, cosine=cosine)
