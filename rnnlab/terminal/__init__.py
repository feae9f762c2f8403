"""Terminal output of commands, lost output streams, and the end of a command."""
