"""Gradient checks: hand-derived gradients compared with numerical derivatives in float64.

`check_model` checks an entire network, `check_cell` a single cell (including user-defined cells), and
`check_gradients` any function. The command `python -m rnnlab.gradcheck` checks the networks specified by its
arguments.
"""

from rnnlab.gradcheck.checks import TOLERANCE, GradientCheck, check_gradients
from rnnlab.gradcheck.networks import check_cell, check_model

__all__ = ["TOLERANCE", "GradientCheck", "check_cell", "check_gradients", "check_model"]
