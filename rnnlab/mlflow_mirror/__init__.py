"""MLflow tracking as a mirror of run folders."""
