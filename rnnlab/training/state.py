"""Training state: all data on which the next training step depends.

The training state consists of the parameters, the optimiser state, two random number generators, the hidden
state carried between batches, the last gradients if a measurement compares them with the next, the spike and
instability detectors, and the solved flag. The results of training that resumes from a saved state are
bit-identical to those of uninterrupted training.
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
    """Detector of the first step at which the mean recent loss exceeds a multiple of the chance-level loss.

    Attributes:
        window: Number of recent losses that are averaged.
        factor: Multiple of the chance-level loss above which training counts as unstable.
        since: First unstable training step, or None if no training step was unstable.
        recent: Losses of the most recent training steps.
    """

    window: int
    factor: float
    since: int | None = None
    recent: list[float] = field(default_factory=list)

    def update(self, step: int, loss: float, chance: float) -> None:
        """Record the loss of a training step and compare the mean recent loss with the chance-level loss."""
        self.recent.append(loss)
        del self.recent[: -self.window]
        if self.since is not None or len(self.recent) < self.window:
            return
        limit = self.factor * chance  # the mean, which takes longer, is at most the maximum
        if max(self.recent) >= limit and np.mean(self.recent) > limit:
            self.since = step


@dataclass
class TrainingState:
    """Training state between two steps; `Trainer.continue_from` modifies it in place.

    Attributes:
        params: Parameters of the network.
        optimizer: State of the optimiser.
        batches: Random number generator for the batches.
        starts: Random number generator for the initial hidden states.
        spikes: Spike detector, updated with every gradient norm.
        stability: Instability detector, updated with every loss.
        carried: Final hidden states of the most recent batch, used as the initial states of a batch that
            continues the same sequences.
        gradients: Gradients of the most recent training step before clipping; None unless a measurement
            compares successive training steps.
        engine: Engine that computed the state; no other engine can continue it bit-identically.
        step: Index of the next training step.
        clipped: Number of training steps with a clipped gradient.
        solved: True once the task's success criterion has been met.
        ended: True if training has ended.
        is_closing: True after the last training step: the final record depends on the last batch, which the
            saved state does not contain, so the state cannot be saved any more.
    """

    params: Params
    optimizer: State
    batches: np.random.Generator
    starts: np.random.Generator
    spikes: Spikes
    stability: Stability
    carried: States | None = None
    gradients: Params | None = None
    engine: str = "numpy"
    step: int = 0
    clipped: int = 0
    solved: bool = False
    ended: bool = False
    is_closing: bool = False

    def to_parts(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the arrays of the training state and its other entries, which JSON can represent exactly.

        `Trainer.restore` accepts both parts. This method must not be called after the last training step.
        """
        assert not (self.ended or self.is_closing)
        arrays = {
            f"{part}/{name}": array
            for part in ("params", "optimizer", "carried", "gradients")
            for name, array in (getattr(self, part) or {}).items()
        }
        plain = {
            "batches": self.batches.bit_generator.state,
            "starts": self.starts.bit_generator.state,
            "spikes": asdict(self.spikes),
            "stability": asdict(self.stability),
            "engine": self.engine,
            "step": self.step,
            "clipped": self.clipped,
            "solved": self.solved,
        }
        return arrays, plain
