"""Networks, runs and sweeps as Python objects; `rnnlab/__init__.pyi` lists the public names."""
