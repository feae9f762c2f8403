"""The report of a sweep: one page."""
