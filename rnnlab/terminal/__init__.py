"""Terminal output of commands, handling of lost output streams, and the process exit."""
