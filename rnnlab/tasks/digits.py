"""Handwritten digits, read pixel by pixel or row by row: tell which one it is.

The small sibling of sequential MNIST.

An image has 8 × 8 pixels of 0 to 16, here divided by 16. `read` says whether a time step sees one pixel
(T = 64) or one row of eight (T = 8); with `permuted` the pixels come in one random order, the same for all
images. The digit is told at the end.

`validation_examples` of the 1797 images are drawn once, to test. Nobody has published a threshold for this
task; solved is here under 5 % wrong. Who knows nothing tells the digit that was commonest in training.

References:
    E. Alpaydin & C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine Learning Repository
        (1998).
    Q. V. Le, N. Jaitly & G. E. Hinton, *A Simple Way to Initialize Recurrent Networks of Rectified Linear
        Units* (2015), for MNIST read so.
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
    """Images of digits as sequences."""

    seq_len: Annotated[int, Ge(1)]
    batch_size: Annotated[int, Ge(1)]
    read: Literal["pixels", "rows"]
    permuted: bool
    validation_examples: Annotated[int, Ge(1)]

    def __post_init__(self) -> None:
        if self.seq_len != TIME[self.read]:
            raise ValueError(
                f"seq_len={self.seq_len}: must be {TIME[self.read]}, the time steps of an image with "
                f"read={self.read}"
            )
        images = len(self._data)
        if self.validation_examples >= images:
            raise ValueError(
                f"validation_examples={self.validation_examples}: there are {images} images in all"
            )

    @property
    def time(self) -> int:
        """64 or 8."""
        return self.seq_len

    @property
    def input_names(self) -> list[str]:
        """The pixels of a time step."""
        return ["pixel"] if self.read == "pixels" else [f"pixel {column}" for column in range(SIDE)]

    @property
    def output_names(self) -> list[str]:
        """0 … 9."""
        return [str(digit) for digit in range(CLASSES)]

    @property
    def lag(self) -> int:
        """From the end to the first pixel or row."""
        return self.seq_len - 1

    @property
    def mean_square(self) -> None:
        """Targets are classes."""
        return None

    def goal(self, loss: Loss) -> Goal:
        """Share of right digits; under 5 % wrong."""
        digits = self._images[1]
        commonest = np.bincount(digits[self._train]).argmax()
        return Goal(ACCURACY, float((digits[self._test] == commonest).mean()), ERROR_RATE, MAX_ERROR_RATE)

    @cached_property
    def dataset(self) -> dict[str, str]:
        """Name, digest (SHA-256, first 16 hex digits) and source of the images."""
        digest = hashlib.sha256(self._data.tobytes()).hexdigest()[:16]
        return {"name": "digits-8x8", "digest": digest, "source": "UCI Machine Learning Repository"}

    def batch(self, rng: np.random.Generator, step: int) -> Batch:
        """Random images of the training part."""
        return self._as_batch(self._train[rng.integers(0, len(self._train), self.batch_size)])

    def probe_batch(self, rng: np.random.Generator, examples: int, length: int) -> Batch:
        """Random images of the test part."""
        if length != self.seq_len:
            raise ValueError(f"an image has {self.seq_len} time steps, no more and no less")
        return self._as_batch(self._test[rng.integers(0, len(self._test), examples)])

    def validation(self) -> Iterator[Batch]:
        """The test part."""
        yield self._as_batch(self._test)

    @property
    def validation_size(self) -> ValidationSize:
        """The test part, in one batch."""
        return ValidationSize(0, self.validation_examples, self.seq_len)

    def scores(self, loss: Loss, batch: Batch, tape: Tape) -> Mapping[str, Array]:
        """`val/accuracy` and `val/error_rate`."""
        wrong = wrong_targets(batch, tape)
        return {ACCURACY: ~wrong, ERROR_RATE: wrong}

    def samples(self, model: Model, params: Params, rng: np.random.Generator) -> dict[str, str]:
        """Nothing to show."""
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
        """Inputs (T, X, images) and digits (images,)."""
        pixels = self._data[:, :PIXELS] / LEVELS
        if self.permuted:
            pixels = pixels[:, np.random.default_rng(SPLIT_SEED).permutation(PIXELS)]
        x = pixels.reshape(len(pixels), self.seq_len, self.input_size).transpose(1, 2, 0)
        return np.ascontiguousarray(x), self._data[:, PIXELS]

    @cached_property
    def _data(self) -> Array:
        """A row an image: 64 pixels and the digit."""
        packed = (files("rnnlab.tasks") / "data" / "digits.csv.gz").read_bytes()
        rows = gzip.decompress(packed).decode().splitlines()
        return np.loadtxt(rows, delimiter=",", dtype=np.int64)

    def _as_batch(self, some: Array) -> Batch:
        x, y = self._images
        return Batch(x[..., some], y[None, some])
