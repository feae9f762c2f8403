"""Joined batches and running means, used by the trainer."""

from dataclasses import dataclass

import numpy as np

from rnnlab.arrays import Array
from rnnlab.model import Batch


def end_to_end(batch: Batch, length: int) -> Batch:
    """Concatenate the sequences of a batch into one sequence of `length` time steps with one target."""
    x, y = (np.moveaxis(a, -1, 0).reshape(-1, *a.shape[1:-1]) for a in (batch.x, batch.y))
    return Batch(x[:length, ..., None], y[-1:, ..., None])


@dataclass
class Mean:
    """Running mean of values from batches that may differ in size."""

    total: float = 0.0
    count: int = 0

    def update(self, values: Array) -> None:
        """Add values."""
        self.total += float(values.sum(dtype=np.float64))
        self.count += values.size

    @property
    def value(self) -> float:
        """Mean of all values."""
        return self.total / self.count
