"""Gradients through time in networks of PyTorch: a probe for a training loop, and lag curves of any cell.

The module imports the installed torch when a function is called.
"""

from rnnlab.torch.any_cell import lag_curve
from rnnlab.torch.probe import Probe, watch

__all__ = ["Probe", "lag_curve", "watch"]
