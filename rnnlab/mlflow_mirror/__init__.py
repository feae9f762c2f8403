"""Mirroring of run folders to MLflow."""
