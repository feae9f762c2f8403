"""Compiled loops over time; only this package imports Numba, which is optional.

`source` writes the loops of a cell from its traced equations, `loops` compiles them, and `store` keeps the
results in the user's cache. The loops call the functions of `elementary`, `scaling` and `reductions`, and BLAS
functions that `blas_functions` loads.
"""
