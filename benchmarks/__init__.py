"""Benchmarks of time and memory, compared with other libraries and with lower bounds."""
