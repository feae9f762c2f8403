"""Compiled loops over time; only this package imports Numba, which is optional.

`source` writes the loops of a cell from its traced equations, `update_source` writes clipping and the update
of an optimiser, `loops` compiles them, and `store` keeps the results in the user's cache. The loops call the
functions of `elementary`, `scaling`, `reductions` and, for products, those that `blas_functions` loads.
"""
