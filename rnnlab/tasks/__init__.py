"""Tasks: sources of batches, one a file."""

from rnnlab.tasks.base import Task
from rnnlab.tasks.char_lm import CharLM
from rnnlab.tasks.noise import Noise

__all__ = ["CharLM", "Noise", "Task"]
