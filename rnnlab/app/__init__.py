"""The command line: composes configurations with Hydra, checks every job and starts the runs."""
