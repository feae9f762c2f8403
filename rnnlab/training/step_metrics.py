"""Metrics of a training step: loss, gradient norms, effect of clipping, and clip rate."""

from rnnlab.clipping import ClipReport
from rnnlab.model import Tape
from rnnlab.records import (
    CLIP_COEFFICIENT,
    CLIP_COSINE,
    CLIP_RATE,
    CLIPPED,
    CLIPPED_FRACTION,
    GRAD_NORM,
    GRAD_NORM_CLIPPED,
    LOSS,
    finite_or_none,
)


def step_metrics(tape: Tape, report: ClipReport, step: int, clipped_steps: int) -> dict[str, float | None]:
    """Return the metrics of one training step.

    Args:
        tape: Tape recorded by the forward pass of the step.
        report: Effect of clipping on the gradient.
        step: Index of the training step, starting from 0.
        clipped_steps: Number of training steps with a clipped gradient, from step 0 to `step` inclusive.
    """
    metrics: dict[str, float | None] = {
        LOSS: tape.loss,
        GRAD_NORM: report.norm,
        GRAD_NORM_CLIPPED: report.norm_clipped,
        CLIP_COEFFICIENT: report.coefficient,
        CLIPPED_FRACTION: report.fraction,
        CLIP_COSINE: report.cosine,
        CLIPPED: float(report.clipped),
        CLIP_RATE: clipped_steps / (step + 1),
    }
    return {name: finite_or_none(value) for name, value in metrics.items() if value is not None}
