"""Run folder format, with readers and writers that do not import MLflow."""
