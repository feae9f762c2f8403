"""Figures drawn from data frames of runs."""
