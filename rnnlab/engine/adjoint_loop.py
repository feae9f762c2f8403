"""Loop of the backward pass over the time steps, with or without scaling of the adjoints.

Where an example has no loss, its adjoints are scaled (see `rnnlab.engine.exponents`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rnnlab.arrays import Array
from rnnlab.engine.exponents import LOWEST, TARGET, align, rescale, unscale
from rnnlab.workspace import Calls

FIRST_CHECK, LAST_CHECK = 4, 16
"""Number of time steps between two checks of the scale of the adjoints, at first and at most."""
PRECISE = -100
"""Binary exponent of the largest element below which smaller elements may have lost digits in float32."""
SAFE_DECAY = 45
"""Number of binary orders of magnitude by which an adjoint may shrink between two checks."""


@dataclass(frozen=True)
class AdjointLoop:
    """Loop over the time steps of the backward pass, from the last to the first.

    Attributes:
        of_step: Calls of each time step; the first adds the immediate gradient if `adds_loss` is True.
        boundary: Adjoints of the states, shape (T+1, …, B); those of the initial states end unscaled.
        has_loss: True where an example has a loss, shape (T, B).
        adds_loss: True if the output is a state.
    """

    of_step: Callable[[int], Calls]
    boundary: list[Array]
    has_loss: Array
    adds_loss: bool

    def run(self) -> None:
        """Run the loop without scaling."""
        for t in range(len(self.has_loss) - 1, -1, -1):
            for function, arguments in self.of_step(t):
                function(*arguments)

    def run_with_exponents(self, e: Array, e_exponents: Array) -> Array:
        """Run the loop for scaled immediate gradients and return the exponents by time step, shape (T, B).

        In each time step, the adjoints and e[t] are brought to the larger of their two exponents, then added.
        """
        time, batch = self.has_loss.shape
        exponents, scale = np.zeros((time, batch), np.int32), np.zeros(batch, np.int32)
        for t in range(time - 1, -1, -1):
            parts = [part[t + 1] for part in self.boundary]
            scale = align(parts, scale, e[t], e_exponents[t], self.has_loss[t])
            exponents[t] = scale
            for function, arguments in self.of_step(t):
                function(*arguments)
            rescale([part[t] for part in self.boundary], scale)
        unscale([part[0] for part in self.boundary], scale, np.ones(batch, bool))
        return exponents

    def run_scaled(self, check_every: int) -> Array | None:
        """Run the loop and return the exponents by time step, shape (T, B).

        The result is None if the adjoint of an example became 0, non-finite or too small for all its digits
        between two checks. The cause may be a change of scale that only checks at every time step can follow.
        """
        time, batch = self.has_loss.shape
        exponents = np.zeros((time, batch), np.int32)
        scale, level = np.zeros(batch, np.int32), np.full(batch, TARGET)
        alive, fresh = np.zeros(batch, bool), np.zeros(batch, bool)
        interval = countdown = min(FIRST_CHECK, check_every)
        any_loss = np.asarray(self.has_loss.any(axis=1))
        for t in range(time - 1, -1, -1):
            if any_loss[t]:
                if scale.any():
                    unscale([part[t + 1] for part in self.boundary], scale, self.has_loss[t])
                fresh |= self.has_loss[t]
            exponents[t] = scale
            skip = int(self.adds_loss and not any_loss[t])
            for function, arguments in self.of_step(t)[skip:]:
                function(*arguments)
            countdown -= 1
            if countdown <= 0 and t and not self.has_loss[t - 1].all():
                size, usable = rescale([part[t] for part in self.boundary], scale)
                is_lost = ~usable | (size < PRECISE)
                if check_every > 1 and ((alive | fresh) & is_lost).any():
                    return None
                decay = np.where(alive & ~fresh & usable, level - size, 0).max()
                interval = countdown = int(np.clip(SAFE_DECAY * interval // max(decay, 1), 1, check_every))
                level, alive, fresh = np.where(size < LOWEST, TARGET, size), usable, np.zeros(batch, bool)
        unscale([part[0] for part in self.boundary], scale, np.ones(batch, bool))
        return exponents
