"""Gradients through time of any cell written in JAX. The module imports the installed jax when it is used."""

from rnnlab.jax.any_cell import lag_curve

__all__ = ["lag_curve"]
