"""Facts, provenance, resuming and execution of jobs."""
