"""Run folders and MLflow runs as pandas data frames."""
