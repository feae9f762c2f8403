"""Measurements, each a pure function of a snapshot of one training step."""

from rnnlab.diagnostics.contributions import measure_contributions
from rnnlab.diagnostics.first_non_finite import first_non_finite, non_finite_weights
from rnnlab.diagnostics.gain_and_horizon import LagSummary, recorded_regime, regime, summarize_lag_curve
from rnnlab.diagnostics.gates import measure_gates
from rnnlab.diagnostics.gradient_direction import measure_gradient_direction
from rnnlab.diagnostics.jacobians import log_singular_values, measure_jacobians, state_jacobians
from rnnlab.diagnostics.lag_curves import (
    lag_curves_of,
    lag_metrics,
    ln_lag_curves,
    ln_unit_lag_curves,
    measure_lag_curves,
    norms_by_timestep_of,
)
from rnnlab.diagnostics.lyapunov import lyapunov_exponents, measure_lyapunov
from rnnlab.diagnostics.mean_field import MeanField, mean_field
from rnnlab.diagnostics.norms import log_norms_by_timestep, measure_norms
from rnnlab.diagnostics.parameters import measure_parameters
from rnnlab.diagnostics.probe import Measurement, Probe
from rnnlab.diagnostics.requirements import Requirements, Sizes, requires
from rnnlab.diagnostics.schedule import Schedule, Spikes
from rnnlab.diagnostics.snapshot import Measure, Previous, ProbeInputs, Readings, Snapshot
from rnnlab.diagnostics.spectrum import measure_spectrum
from rnnlab.diagnostics.statistics import curves
from rnnlab.diagnostics.theory import measure_theory
from rnnlab.diagnostics.units import measure_units

__all__ = [
    "LagSummary",
    "MeanField",
    "Measure",
    "Measurement",
    "Previous",
    "Probe",
    "ProbeInputs",
    "Readings",
    "Requirements",
    "Schedule",
    "Sizes",
    "Snapshot",
    "Spikes",
    "curves",
    "first_non_finite",
    "lag_curves_of",
    "lag_metrics",
    "ln_lag_curves",
    "ln_unit_lag_curves",
    "log_norms_by_timestep",
    "log_singular_values",
    "lyapunov_exponents",
    "mean_field",
    "measure_contributions",
    "measure_gates",
    "measure_gradient_direction",
    "measure_jacobians",
    "measure_lag_curves",
    "measure_lyapunov",
    "measure_norms",
    "measure_parameters",
    "measure_spectrum",
    "measure_theory",
    "measure_units",
    "non_finite_weights",
    "norms_by_timestep_of",
    "recorded_regime",
    "regime",
    "requires",
    "state_jacobians",
    "summarize_lag_curve",
]
