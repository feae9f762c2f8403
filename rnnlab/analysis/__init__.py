"""From tracked runs to pandas frames and figures. Needs no training code."""

from rnnlab.analysis.frames import IncompleteRuns, load_gradients, load_metrics, load_runs
from rnnlab.analysis.sources import MLflowRuns

__all__ = ["IncompleteRuns", "MLflowRuns", "load_gradients", "load_metrics", "load_runs"]
