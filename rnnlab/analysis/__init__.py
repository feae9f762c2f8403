"""Data frames and figures of tracked runs, independent of the training code."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rnnlab.analysis.frames.load import IncompleteRuns, load_gradients, load_metrics, load_runs
from rnnlab.analysis.frames.sources import MLflowRuns

if TYPE_CHECKING:
    from rnnlab.analysis.figures.layers import draw_layer_curves, draw_layer_heatmap, draw_unit_heatmap
    from rnnlab.analysis.figures.phase_diagram import draw_phase_diagram
    from rnnlab.analysis.figures.single_run import draw_time_heatmap
    from rnnlab.analysis.figures.style import CELL_COLORS
    from rnnlab.analysis.figures.sweep_curves import draw_lag_curves, draw_losses
    from rnnlab.analysis.figures.sweep_scalars import draw_clipping, draw_gain, draw_horizon, draw_solved

__all__ = [
    "CELL_COLORS",
    "IncompleteRuns",
    "MLflowRuns",
    "draw_clipping",
    "draw_gain",
    "draw_horizon",
    "draw_lag_curves",
    "draw_layer_curves",
    "draw_layer_heatmap",
    "draw_losses",
    "draw_phase_diagram",
    "draw_solved",
    "draw_time_heatmap",
    "draw_unit_heatmap",
    "load_gradients",
    "load_metrics",
    "load_runs",
]
_FIGURES = {
    "layers": ("draw_layer_curves", "draw_layer_heatmap", "draw_unit_heatmap"),
    "single_run": ("draw_time_heatmap",),
    "phase_diagram": ("draw_phase_diagram",),
    "style": ("CELL_COLORS",),
    "sweep_curves": ("draw_lag_curves", "draw_losses"),
    "sweep_scalars": ("draw_clipping", "draw_gain", "draw_horizon", "draw_solved"),
}


def __getattr__(name: str) -> Any:
    """Import a figure function on first use, so that commands that draw no figures do not load seaborn."""
    for module, names in _FIGURES.items():
        if name in names:
            return getattr(import_module(f"rnnlab.analysis.figures.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
