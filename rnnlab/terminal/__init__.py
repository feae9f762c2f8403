"""Terminal output of commands, including output that cannot be written, and exit of the process."""
