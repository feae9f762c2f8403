"""Launchers that execute runs: local processes, Slurm and Ray."""
