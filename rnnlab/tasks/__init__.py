"""Tasks, which generate batches of sequences; one task per module."""

from rnnlab.tasks.adding import Adding
from rnnlab.tasks.base import Goal, Task
from rnnlab.tasks.char_lm import CharLM
from rnnlab.tasks.copy_memory import CopyMemory
from rnnlab.tasks.digits import Digits
from rnnlab.tasks.latch import Latch
from rnnlab.tasks.memorization import Memorization
from rnnlab.tasks.multiplication import Multiplication
from rnnlab.tasks.noise import Noise
from rnnlab.tasks.random_permutation import RandomPermutation
from rnnlab.tasks.reber import EmbeddedReber
from rnnlab.tasks.series import Series
from rnnlab.tasks.temporal_order import TemporalOrder

__all__ = [
    "Adding",
    "CharLM",
    "CopyMemory",
    "Digits",
    "EmbeddedReber",
    "Goal",
    "Latch",
    "Memorization",
    "Multiplication",
    "Noise",
    "RandomPermutation",
    "Series",
    "Task",
    "TemporalOrder",
]
