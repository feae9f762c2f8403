"""The instrument of a run: what is measured, on which batch, when."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge

from rnnlab.arrays import Params, Workspace
from rnnlab.cells import CellDeltas, CellTape
from rnnlab.diagnostics.lag_curves import lag_curves
from rnnlab.diagnostics.norms import norms_by_timestep
from rnnlab.diagnostics.schedule import probe_steps
from rnnlab.diagnostics.summary import summarize_lag_curve
from rnnlab.model import Batch, Model
from rnnlab.records import NormCurve, by_lag_key


@dataclass(frozen=True)
class Probe:
    """What to record of gradients through time, and when.

    Attributes:
        quantities: `time`: norms at every time step of the training batch's backward pass; `lag`: lag
            curves of the probe batch. Empty records nothing.
        examples: Size of the probe batch.
        seed: Of the probe batch, which is the same at every step of every run.
        dense: How many of the first steps are all recorded.
        per_decade: Recordings for each tenfold of the step after that.
    """

    quantities: tuple[Literal["time", "lag"], ...]
    examples: Annotated[int, Ge(1)]
    seed: Annotated[int, Ge(0)]
    dense: Annotated[int, Ge(0)]
    per_decade: Annotated[int, Ge(0)]

    def steps(self, steps: int) -> frozenset[int]:
        """The steps of a run at which anything is recorded."""
        return probe_steps(steps, self.dense, self.per_decade) if self.quantities else frozenset()

    def measure(
        self,
        model: Model,
        params: Params,
        batch: Batch,
        tape: CellTape,
        deltas: CellDeltas,
        workspace: Workspace | None = None,
    ) -> list[NormCurve]:
        """Measure one training step: its own tape and deltas, and the probe `batch`."""
        curves = []
        if "time" in self.quantities:
            curves += norms_by_timestep(model.cell, tape, deltas)
        if "lag" in self.quantities:
            start_rng = np.random.default_rng(self.seed)  # the same random initial state every time
            curves += lag_curves(model, params, batch, workspace, start_rng)
        return curves


def lag_metrics(
    curves: Sequence[NormCurve], states: Sequence[str], task_lag: int | None
) -> dict[str, float | None]:
    """The lag curves as metrics of a training step: their summary, and each curve at powers of two.

    `…_by_lag/0001` is the level itself, the others are relative to it, all in log10.
    """
    metrics: dict[str, float | None] = {}
    by_quantity = {curve.quantity: curve.log10_gmean for curve in curves if curve.axis == "lag"}
    if by_quantity:
        metrics |= summarize_lag_curve(by_quantity["state"], task_lag).metrics()
    for quantity, log10_g in by_quantity.items():
        if quantity == "state" and len(states) == 1:
            continue  # the same curve as h
        lag = 1
        while lag < len(log10_g):
            value = log10_g[lag] if lag == 1 else log10_g[lag] - log10_g[1]
            metrics[by_lag_key(quantity, lag)] = float(value) if np.isfinite(value) else None
            lag *= 2
    return metrics
