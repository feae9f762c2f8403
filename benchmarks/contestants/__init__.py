"""Implementations of one training step on one batch, for comparison.

Each contestant is built for a `Shape`. Each call runs one training step: forward pass, backward pass,
clipping by global norm, and Adam.
"""

from benchmarks.contestants.shapes import SHAPES, Shape

__all__ = ["SHAPES", "Shape"]
