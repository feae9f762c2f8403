"""The format of run folders; this package does not import MLflow."""
