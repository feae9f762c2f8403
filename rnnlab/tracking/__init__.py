"""Where runs are kept: their own folder first, MLflow as a mirror of it."""
