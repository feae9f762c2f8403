"""What makes runs: processes on this machine, Slurm, Ray."""
