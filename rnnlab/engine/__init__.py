"""The loops over time that all cells share.

A cell states its equations; this package derives the passes over a sequence from them. `declarations` lists
what the loops read from a cell, `trace` calls the equations with the symbols of `symbols`, `plan` orders the
resulting operations, and `forward_loop` and `backward_loop` (with `adjoint_loop`) execute them. `step_loop`
runs cells that give single time steps instead. `updates` derives clipping and the update of an optimiser from
their equations in the same way.
"""
