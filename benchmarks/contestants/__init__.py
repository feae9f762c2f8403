"""What is compared: one training step on one batch, by each way of making it.

A contestant is made for a `Shape` and called for a step: forward, backward, clipping by global norm, Adam.
"""

from benchmarks.contestants.shapes import SHAPES, Shape

__all__ = ["SHAPES", "Shape"]
