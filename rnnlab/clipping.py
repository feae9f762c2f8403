"""Gradient clipping by global norm or by value, and metrics of its effect, such as the clip rate.

Clipping by global norm scales all gradients: g ← g · min(1, θ/‖g‖₂), where ‖g‖₂ is the norm over all
parameters. Clipping by value limits every element to [-θ, θ].

References:
    Pascanu, Mikolov & Bengio (2013), *On the difficulty of training recurrent neural networks*, for clipping
    by global norm.
    Kumar, *RNN Derivatives and Code sample*, for clipping by value.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from rnnlab.arrays import Params
from rnnlab.engine.updates import limit_gradients, norm_of_gradients, scale_gradients
from rnnlab.records import (
    CLIP_COEFFICIENT,
    CLIP_COSINE,
    CLIP_RATE,
    CLIPPED,
    CLIPPED_FRACTION,
    GRAD_NORM,
    GRAD_NORM_CLIPPED,
    finite_or_none,
)
from rnnlab.workspace import Workspace


@dataclass(frozen=True)
class ClipReport:
    """Effect of clipping on one gradient.

    Attributes:
        norm: Global norm before clipping.
        norm_clipped: Global norm after clipping.
        clipped: True if clipping changed any element of the gradient.
        coefficient: Clip coefficient, the factor by which clipping by norm scales the gradient (1 if not
            clipped); None for clipping by value.
        fraction: Fraction of gradient elements changed by clipping; None for clipping by norm.
        cosine: Cosine of the angle between the gradients before and after clipping; 1 for clipping by norm.
    """

    norm: float
    norm_clipped: float
    clipped: bool
    coefficient: float | None = None
    fraction: float | None = None
    cosine: float = 1.0


@dataclass(frozen=True)
class Clipping:
    """Gradient clipping at a threshold θ; if the threshold is None, only the gradient norm is reported."""

    threshold: float | None
    mode: Literal["norm", "value"]

    def apply(
        self, grads: Params, norm: float | None = None, workspace: Workspace | None = None
    ) -> ClipReport:
        """Clip `grads` in place and return a report.

        Args:
            grads: Gradients.
            norm: Global norm if known, otherwise None.
            workspace: Selects the engine; None for NumPy.
        """
        before = norm_of_gradients(grads, workspace) if norm is None else norm
        if self.threshold is None or not np.isfinite(before):  # keep non-finite values detectable
            return self._unclipped(before)
        if self.mode == "norm":
            return self._by_norm(grads, self.threshold, before, workspace)
        return self._by_value(grads, self.threshold, before, workspace)

    def _unclipped(self, norm: float) -> ClipReport:
        if self.mode == "norm":
            return ClipReport(norm, norm, False, coefficient=1.0)
        return ClipReport(norm, norm, False, fraction=0.0)

    def _by_norm(
        self, grads: Params, threshold: float, before: float, workspace: Workspace | None
    ) -> ClipReport:
        if before <= threshold:
            return self._unclipped(before)
        coefficient = threshold / before
        after = scale_gradients(grads, coefficient, workspace)
        return ClipReport(before, after, True, coefficient=coefficient)

    def _by_value(
        self, grads: Params, threshold: float, before: float, workspace: Workspace | None
    ) -> ClipReport:
        outside, after, cosine = limit_gradients(grads, threshold, before, workspace)
        if outside == 0:
            return self._unclipped(before)
        share = outside / sum(grad.size for grad in grads.values())
        return ClipReport(before, after, True, fraction=share, cosine=cosine)


def clip_metrics(report: ClipReport, clipped_steps: int, steps: int) -> dict[str, float | None]:
    """Return the metrics of one clipped gradient.

    Args:
        report: Effect of clipping on the gradient of the latest training step.
        clipped_steps: Number of training steps with a clipped gradient so far, including the latest.
        steps: Number of training steps so far, including the latest.
    """
    metrics: dict[str, float | None] = {
        GRAD_NORM: report.norm,
        GRAD_NORM_CLIPPED: report.norm_clipped,
        CLIP_COEFFICIENT: report.coefficient,
        CLIPPED_FRACTION: report.fraction,
        CLIP_COSINE: report.cosine,
        CLIPPED: float(report.clipped),
        CLIP_RATE: clipped_steps / steps,
    }
    return {name: finite_or_none(value) for name, value in metrics.items() if value is not None}
