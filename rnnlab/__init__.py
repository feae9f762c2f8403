"""Gradients through time in recurrent networks: train, measure, track, compare."""

__version__ = "0.1.0"
