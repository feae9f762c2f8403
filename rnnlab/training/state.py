"""Everything that the next training step depends on.

Training that is continued from a state taken between two steps goes on as if it had never stopped, to
the last bit: weights, optimiser, both generators, the carried hidden state, and what the running
verdicts (spikes, stability, solved) have seen.
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
    """Finds the first step at which the loss, averaged over a window, exceeds `factor` times that of chance.

    Attributes:
        window: Steps of the average.
        factor: What chance is multiplied with.
        since: The step found, or None.
        recent: The last losses.
    """

    window: int
    factor: float
    since: int | None = None
    recent: list[float] = field(default_factory=list)

    def update(self, step: int, loss: float, chance: float) -> None:
        """Take in the loss of a step, and what chance would have had there."""
        self.recent.append(loss)
        del self.recent[: -self.window]
        full = len(self.recent) == self.window
        if self.since is None and full and np.mean(self.recent) > self.factor * chance:
            self.since = step


@dataclass
class TrainingState:
    """Training between two steps; `Trainer.continue_from` changes it in place.

    Attributes:
        params: The parameters.
        optimizer: The optimiser's state.
        batches: Draws the batches.
        starts: Draws the initial states.
        spikes: Has seen the gradient norms so far.
        stability: Has seen the losses so far.
        carried: Final states of the last batch, for one that continues it.
        step: The next step.
        clipped: Steps whose gradient was clipped.
        solved: Whether the task's criterion has been met.
        ended: Whether there is no next step.
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
        """The state as named arrays and as plain data that JSON keeps exactly, for `Trainer.restore`.

        One that has ended has nothing to go on with, and is not taken apart.
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
