"""Run folders and MLflow runs as pandas frames."""
