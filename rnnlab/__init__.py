"""Gradients through time in recurrent networks: training, measurement, tracking and comparison."""

__version__ = "0.1.0"
