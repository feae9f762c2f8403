"""Jobs: planned, checked, resumed, run."""
