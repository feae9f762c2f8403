"""Composition and validation of configurations from a command line."""
