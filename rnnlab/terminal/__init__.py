"""Terminal output and exit codes of commands, and handling of output that cannot be written."""
