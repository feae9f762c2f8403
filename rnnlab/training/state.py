"""The training state: all data on which the next training step depends.

The state consists of weights, optimiser state, both random generators, the carried hidden state, the two
detectors and the solved flag. Training resumed from a state between two steps is bit-identical to training
without interruption.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from rnnlab.arrays import Array, Params
from rnnlab.cells import States
from rnnlab.diagnostics import Spikes
from rnnlab.optimizers import State


@dataclass
class Stability:
    """Detector of the first step at which the mean loss of a window exceeds a multiple of the chance level.

    Attributes:
        window: Number of steps in the window.
        factor: Multiple of the chance-level loss that marks instability.
        since: First unstable step, or None.
        recent: Losses of the last steps.
    """

    window: int
    factor: float
    since: int | None = None
    recent: list[float] = field(default_factory=list)

    def update(self, step: int, loss: float, chance: float) -> None:
        """Add the loss of a step and compare the window with the chance-level loss at that step."""
        self.recent.append(loss)
        del self.recent[: -self.window]
        full = len(self.recent) == self.window
        if self.since is None and full and np.mean(self.recent) > self.factor * chance:
            self.since = step


@dataclass
class TrainingState:
    """State of training between two steps, which `Trainer.continue_from` changes in place.

    Attributes:
        params: Parameters.
        optimizer: State of the optimiser.
        batches: Random generator for the batches.
        starts: Random generator for the initial states.
        spikes: Spike detector, updated with every gradient norm.
        stability: Instability detector, updated with every loss.
        carried: Final states of the last batch, used as initial states by a batch that continues its
            sequences.
        step: Number of the next step.
        clipped: Number of steps with a clipped gradient.
        solved: True once the task's criterion has been met.
        ended: True if training has ended and has no next step.
    """

    params: Params
    optimizer: State
    batches: np.random.Generator
    starts: np.random.Generator
    spikes: Spikes
    stability: Stability
    carried: States | None = None
    step: int = 0
    clipped: int = 0
    solved: bool = False
    ended: bool = False

    def to_parts(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the state as named arrays and as plain data that JSON stores exactly, for `Trainer.restore`.

        Call this method only while `ended` is False.
        """
        assert not self.ended
        arrays = {
            f"{part}/{name}": array
            for part in ("params", "optimizer", "carried")
            for name, array in (getattr(self, part) or {}).items()
        }
        plain = {
            "batches": self.batches.bit_generator.state,
            "starts": self.starts.bit_generator.state,
            "spikes": asdict(self.spikes),
            "stability": asdict(self.stability),
            "step": self.step,
            "clipped": self.clipped,
            "solved": self.solved,
        }
        return arrays, plain
