"""Documentation pages, and the modules that generate their tables."""
