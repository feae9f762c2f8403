"""Validation, provenance, resumption and execution of jobs."""
