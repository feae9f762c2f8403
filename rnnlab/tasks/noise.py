"""White noise: nothing to learn, a network to be driven.

Inputs are independent standard normal numbers times `std`, with one random class to be told at the end. No
network can do better than guessing; it is for measuring networks as they are drawn, where theory speaks of
inputs without any order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt

from rnnlab.arrays import Params
from rnnlab.losses import Loss, uniform_guess_loss
from rnnlab.model import Batch, Model

VALIDATION_EXAMPLES = 64


@dataclass(frozen=True)
class Noise:
    """Sequences of `features` normal numbers of standard deviation `std`, and one of `classes`."""

    seq_len: Annotated[int, Ge(1)]
    batch_size: Annotated[int, Ge(1)]
    features: Annotated[int, Ge(1)]
    std: Annotated[float, Gt(0)]
    classes: Annotated[int, Ge(2)]

    @property
    def input_size(self) -> int:
        """The number of features."""
        return self.features

    @property
    def output_size(self) -> int:
        """The number of classes."""
        return self.classes

    @property
    def lag(self) -> None:
        """There is nothing to remember."""
        return None

    @property
    def loss(self) -> Loss:
        """Cross-entropy, in nats."""
        return "cross_entropy"

    def baseline(self, loss: Loss) -> float:
        """The loss of guessing all classes alike."""
        return uniform_guess_loss(loss, self.classes)

    @property
    def dataset(self) -> dict[str, str]:
        """It is drawn as it is needed."""
        return {"name": "noise", "digest": "drawn", "source": "normal distribution"}

    def batch(self, rng: np.random.Generator, step: int) -> Batch:
        """New sequences at every step."""
        return self._draw(rng, self.batch_size, self.seq_len)

    def probe_batch(self, rng: np.random.Generator, examples: int, length: int) -> Batch:
        """Sequences of any length."""
        return self._draw(rng, examples, length)

    def validation(self) -> Iterator[Batch]:
        """The same few sequences every time."""
        yield self._draw(np.random.default_rng(0), VALIDATION_EXAMPLES, self.seq_len)

    def validation_metrics(self, value: float, loss: Loss) -> dict[str, float]:
        """Nothing beside the loss."""
        return {}

    def samples(self, model: Model, params: Params, rng: np.random.Generator) -> dict[str, str]:
        """Nothing to show."""
        return {}

    def _draw(self, rng: np.random.Generator, examples: int, length: int) -> Batch:
        x = self.std * rng.standard_normal((length, self.features, examples))
        return Batch(x, rng.integers(0, self.classes, (1, examples)))
