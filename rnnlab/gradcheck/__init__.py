"""Gradient checks: hand-derived gradients against numerical derivatives, in float64.

`check_model` checks a whole network, `check_cell` a cell alone, one of your own for instance, and
`check_gradients` any function. `python -m rnnlab.gradcheck` checks what a command line describes.
"""

from rnnlab.gradcheck.checks import TOLERANCE, GradientCheck, check_gradients
from rnnlab.gradcheck.networks import check_cell, check_model

__all__ = ["TOLERANCE", "GradientCheck", "check_cell", "check_gradients", "check_model"]
