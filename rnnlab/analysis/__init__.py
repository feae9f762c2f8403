"""From tracked runs to pandas frames and figures. Needs no training code."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rnnlab.analysis.frames import IncompleteRuns, load_gradients, load_metrics, load_runs
from rnnlab.analysis.sources import MLflowRuns

if TYPE_CHECKING:
    from rnnlab.analysis.figures import draw_time_heatmap
    from rnnlab.analysis.phase_diagram import draw_phase_diagram
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
_FIGURES = {
    "figures": ("draw_time_heatmap",),
    "phase_diagram": ("draw_phase_diagram",),
    "style": ("CELL_COLORS",),
    "sweep_curves": ("draw_lag_curves", "draw_losses"),
    "sweep_figures": ("draw_clipping", "draw_gain", "draw_horizon", "draw_solved"),
}


def __getattr__(name: str) -> Any:
    """Figures are imported when they are used: commands that draw none need not wait for seaborn."""
    for module, names in _FIGURES.items():
        if name in names:
            return getattr(import_module(f"rnnlab.analysis.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
