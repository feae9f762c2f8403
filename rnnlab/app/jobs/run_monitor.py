"""Computation of the outcome and summary of a run from its step records."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnlab.diagnostics import recorded_regime
from rnnlab.metric_table import is_in_summary
from rnnlab.records import GRAD_NORM, LOSS, NORM_QUANTILES, Outcome, StepRecord

STEPS_BEFORE = 20
"""Number of steps before divergence for which the summary stores the loss and gradient norm."""


@dataclass
class RunMonitor:
    """State of a run, updated with each step record."""

    unstable_since: int | None = None
    non_finite: dict[str, Any] | None = None
    latest: dict[str, float | None] = field(default_factory=dict)
    norms: list[float] = field(default_factory=list)
    before: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=STEPS_BEFORE))

    def update(self, record: StepRecord) -> None:
        """Update the state with one step record."""
        self.unstable_since = record.unstable_since
        if record.non_finite is not None:
            self.non_finite = {"step": record.step, **vars(record.non_finite), "before": list(self.before)}
        elif (norm := record.metrics.get(GRAD_NORM)) is not None:
            self.norms.append(norm)
            self.before.append({"step": record.step, LOSS: record.metrics[LOSS], GRAD_NORM: norm})
        self.latest |= record.metrics  # None overwrites an earlier value

    @property
    def outcome(self) -> Outcome:
        """Outcome of the run if no further records follow."""
        if self.non_finite is not None:
            return "diverged"
        return "finished" if self.unstable_since is None else "unstable"

    def summary(self, differs_since: int | None) -> dict[str, Any]:
        """Return the latest metrics of the run and the steps at which the run became unstable or diverged."""
        summary: dict[str, Any] = {key: value for key, value in self.latest.items() if is_in_summary(key)}
        if self.norms:
            quantiles = np.quantile(self.norms, list(NORM_QUANTILES.values())).tolist()
            summary |= dict(zip(NORM_QUANTILES, quantiles, strict=True))
        summary["regime"] = recorded_regime(self.latest)
        summary["unstable_since"] = self.unstable_since
        summary["diverged_at"] = self.non_finite
        if differs_since is not None:
            summary["differs_since"] = differs_since
        return summary
