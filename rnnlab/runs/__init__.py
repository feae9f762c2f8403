"""Readers and writers of run folders, independent of MLflow."""
