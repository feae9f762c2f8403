"""Measurements of time and memory, against other libraries and against bounds."""
