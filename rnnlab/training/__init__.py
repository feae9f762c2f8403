"""Training loop, and the training state from which training can be resumed."""

from rnnlab.training.engines import ENGINES, Engine, RequestedEngine, choose_engine, loops_of, obstacle
from rnnlab.training.memory_estimate import memory_needed
from rnnlab.training.state import Stability, TrainingState
from rnnlab.training.state_validation import ImpossibleState
from rnnlab.training.trainer import UNSTABLE_FACTOR, UNSTABLE_WINDOW, Trainer

__all__ = [
    "ENGINES",
    "UNSTABLE_FACTOR",
    "UNSTABLE_WINDOW",
    "Engine",
    "ImpossibleState",
    "RequestedEngine",
    "Stability",
    "Trainer",
    "TrainingState",
    "choose_engine",
    "loops_of",
    "memory_needed",
    "obstacle",
]
