"""Command-line application that composes configurations with Hydra, checks every job and starts the runs."""
