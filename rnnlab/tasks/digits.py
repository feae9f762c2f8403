"""Handwritten digits: classify an image that is read pixel by pixel or row by row.

The task is a small version of sequential MNIST.

Each image has 8 × 8 pixels with values from 0 to 16, which are divided by 16. The key `read` selects the
input at each time step: one pixel (T = 64) or one row of eight pixels (T = 8). With `permuted`, the same
random permutation is applied to the pixels of every image. The only target is the digit, at the last time
step.

For validation, `validation_examples` of the 1797 images are held out; the selection is random but fixed. No
success threshold has been published for this task. In rnnlab, the task counts as solved when fewer than 5 %
of the held-out images are misclassified. The baseline always predicts the most frequent digit of the training
part.

References:
    E. Alpaydin & C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine Learning Repository
        (1998).
    Q. V. Le, N. Jaitly & G. E. Hinton, *A Simple Way to Initialize Recurrent Networks of Rectified Linear
        Units* (2015), which introduced pixel-by-pixel MNIST.
"""

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge

from rnnlab.arrays import Array, Params
from rnnlab.losses import Loss
from rnnlab.model import Batch, Model, Tape
from rnnlab.tasks.base import Goal, NamedTask, ValidationSize
from rnnlab.tasks.scores import ACCURACY, ERROR_RATE, wrong_targets

PIXELS, SIDE, LEVELS, CLASSES = 64, 8, 16, 10
SPLIT_SEED = 1998
MAX_ERROR_RATE = 0.05
TIME = {"pixels": PIXELS, "rows": SIDE}


@dataclass(frozen=True)
class Digits(NamedTask):
    """Images of handwritten digits as sequences."""

    seq_len: Annotated[int, Ge(1)]
    batch_size: Annotated[int, Ge(1)]
    read: Literal["pixels", "rows"]
    permuted: bool
    validation_examples: Annotated[int, Ge(1)]

    def __post_init__(self) -> None:
        if self.seq_len != TIME[self.read]:
            raise ValueError(
                f"seq_len={self.seq_len}: must be {TIME[self.read]}, the number of time steps per image with "
                f"read={self.read}"
            )
        images = len(self._data)
        if self.validation_examples >= images:
            raise ValueError(
                f"validation_examples={self.validation_examples}: must be less than {images}, the number of "
                "images"
            )

    @property
    def time(self) -> int:
        """Number of time steps T: 64 for pixels or 8 for rows."""
        return self.seq_len

    @property
    def input_names(self) -> list[str]:
        """Names of the pixels that form the input at one time step."""
        return ["pixel"] if self.read == "pixels" else [f"pixel {column}" for column in range(SIDE)]

    @property
    def output_names(self) -> list[str]:
        """The digits 0 … 9."""
        return [str(digit) for digit in range(CLASSES)]

    @property
    def lag(self) -> int:
        """Lag between the first pixel or row and the last time step."""
        return self.seq_len - 1

    @property
    def mean_square(self) -> None:
        """Always None, because the targets are classes."""
        return None

    def goal(self, loss: Loss) -> Goal:
        """Return the accuracy as the metric; an error rate below 5 % is the success criterion."""
        digits = self._images[1]
        most_frequent = np.bincount(digits[self._train]).argmax()
        return Goal(ACCURACY, float((digits[self._test] == most_frequent).mean()), ERROR_RATE, MAX_ERROR_RATE)

    @cached_property
    def dataset(self) -> dict[str, str]:
        """Name, digest (SHA-256, first 16 hex digits) and source of the images."""
        digest = hashlib.sha256(self._data.tobytes()).hexdigest()[:16]
        return {"name": "digits-8x8", "digest": digest, "source": "UCI Machine Learning Repository"}

    def batch(self, rng: np.random.Generator, step: int) -> Batch:
        """Return a batch of random images from the training part."""
        return self._as_batch(self._train[rng.integers(0, len(self._train), self.batch_size)])

    def probe_batch(self, rng: np.random.Generator, examples: int, length: int) -> Batch:
        """Return a batch of random held-out images."""
        if length != self.seq_len:
            raise ValueError(f"must be {self.seq_len}, the number of time steps per image")
        return self._as_batch(self._test[rng.integers(0, len(self._test), examples)])

    def validation(self) -> Iterator[Batch]:
        """Yield the held-out images in one batch."""
        yield self._as_batch(self._test)

    @property
    def validation_size(self) -> ValidationSize:
        """Size of the validation set, which is a single batch of all held-out images."""
        return ValidationSize(0, self.validation_examples, self.seq_len)

    def scores(self, loss: Loss, batch: Batch, tape: Tape) -> Mapping[str, Array]:
        """Return `val/accuracy` and `val/error_rate`."""
        wrong = wrong_targets(batch, tape)
        return {ACCURACY: ~wrong, ERROR_RATE: wrong}

    def samples(self, model: Model, params: Params, rng: np.random.Generator) -> dict[str, str]:
        """Return an empty dictionary, because the task generates no texts."""
        return {}

    @property
    def _train(self) -> Array:
        return self._order[self.validation_examples :]

    @property
    def _test(self) -> Array:
        return self._order[: self.validation_examples]

    @cached_property
    def _order(self) -> Array:
        return np.random.default_rng(SPLIT_SEED).permutation(len(self._data))

    @cached_property
    def _images(self) -> tuple[Array, Array]:
        """Inputs, shape (T, X, N), and digits, shape (N,), for all N images."""
        pixels = self._data[:, :PIXELS] / LEVELS
        if self.permuted:
            pixels = pixels[:, np.random.default_rng(SPLIT_SEED).permutation(PIXELS)]
        x = pixels.reshape(len(pixels), self.seq_len, self.input_size).transpose(1, 2, 0)
        return np.ascontiguousarray(x), self._data[:, PIXELS]

    @cached_property
    def _data(self) -> Array:
        """Array with one row per image: 64 pixel values and the digit."""
        packed = (files("rnnlab.tasks") / "data" / "digits.csv.gz").read_bytes()
        rows = gzip.decompress(packed).decode().splitlines()
        return np.loadtxt(rows, delimiter=",", dtype=np.int64)

    def _as_batch(self, images: Array) -> Batch:
        x, y = self._images
        return Batch(x[..., images], y[None, images])
