"""Measurements: pure functions of tapes and deltas."""

from rnnlab.diagnostics.forensics import first_non_finite
from rnnlab.diagnostics.lag_curves import lag_curves, per_example_lag_curves
from rnnlab.diagnostics.norms import log_norms_by_timestep, norm_curve, norms_by_timestep
from rnnlab.diagnostics.probe import Probe, lag_metrics
from rnnlab.diagnostics.schedule import probe_steps
from rnnlab.diagnostics.summary import LagSummary, regime, summarize_lag_curve

__all__ = [
    "LagSummary",
    "Probe",
    "first_non_finite",
    "lag_curves",
    "lag_metrics",
    "log_norms_by_timestep",
    "norm_curve",
    "norms_by_timestep",
    "per_example_lag_curves",
    "probe_steps",
    "regime",
    "summarize_lag_curve",
]
