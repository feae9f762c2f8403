"""The command line: the only room that knows Hydra, checks every job first and starts the runs."""
