"""From tracked runs to pandas frames and figures. Needs no training code."""

from rnnlab.analysis.figures import draw_time_heatmap
from rnnlab.analysis.frames import IncompleteRuns, load_gradients, load_metrics, load_runs
from rnnlab.analysis.phase_diagram import draw_phase_diagram
from rnnlab.analysis.sources import MLflowRuns
from rnnlab.analysis.style import CELL_COLORS
from rnnlab.analysis.sweep_curves import draw_lag_curves, draw_losses
from rnnlab.analysis.sweep_figures import draw_clipping, draw_gain, draw_horizon, draw_solved

__all__ = [
    "CELL_COLORS",
    "IncompleteRuns",
    "MLflowRuns",
    "draw_clipping",
    "draw_gain",
    "draw_horizon",
    "draw_lag_curves",
    "draw_losses",
    "draw_phase_diagram",
    "draw_solved",
    "draw_time_heatmap",
    "load_gradients",
    "load_metrics",
    "load_runs",
]
