"""MLflow as a mirror of run folders."""
