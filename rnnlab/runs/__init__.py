"""The format of a run's folder; nothing here imports MLflow."""
