"""Tasks: sources of batches, one a file."""

from rnnlab.tasks.base import Task
from rnnlab.tasks.char_lm import CharLM

__all__ = ["CharLM", "Task"]
