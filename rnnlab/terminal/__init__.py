"""The terminal: what commands print, what happens when nobody reads it, and how a command ends."""
