"""Figures drawn from the data frames of runs."""
