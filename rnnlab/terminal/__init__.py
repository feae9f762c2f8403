"""Terminal output and exit codes of commands, and handling of unwritable output."""
