"""Where a network starts: the initial state h[0] (and c[0]) of a sequence that continues no other."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar, Protocol

import numpy as np
from annotated_types import Ge, MinLen

from rnnlab.arrays import Array
from rnnlab.user_files import convert_read_errors, user_file


class InitialState(Protocol):
    """A choice of the initial state."""

    learned: ClassVar[bool]
    """Whether what is drawn are parameters (H, 1), one for all sequences, that training then changes."""

    @property
    def digest(self) -> str:
        """Of the data that it reads; empty if none."""

    def draw(self, state: str, shape: tuple[int, int], rng: np.random.Generator | None) -> Array:
        """Return one state, (H, B) in float64.

        Raises:
            ValueError: It has no such state or shape, or is random and got no generator.
        """


@dataclass(frozen=True)
class Zero:
    """s[0] = 0."""

    learned: ClassVar[bool] = False
    digest: ClassVar[str] = ""

    def draw(self, state: str, shape: tuple[int, int], rng: np.random.Generator | None) -> Array:
        """Zeros."""
        return np.zeros(shape)


@dataclass(frozen=True)
class Normal:
    """s[0] ~ N(0, std²), drawn anew for every sequence.

    The "predefined distribution" of F. Shah, *RNN backpropagation*.
    """

    learned: ClassVar[bool] = False
    digest: ClassVar[str] = ""

    std: Annotated[float, Ge(0)]

    def draw(self, state: str, shape: tuple[int, int], rng: np.random.Generator | None) -> Array:
        """Independent entries."""
        return _normal(self.std, shape, rng)


@dataclass(frozen=True)
class Learned:
    """s[0] is a parameter, `h_0` (and `c_0`), that starts at N(0, std²); dL/ds_0 = Σ_b ∂L/∂s[0][:, b]."""

    learned: ClassVar[bool] = True
    digest: ClassVar[str] = ""

    std: Annotated[float, Ge(0)]

    def draw(self, state: str, shape: tuple[int, int], rng: np.random.Generator | None) -> Array:
        """Its values before training."""
        return _normal(self.std, shape, rng)


@dataclass(frozen=True)
class Given:
    """s[0] is read from a file: an .npz with an array (H,) for each state of the cell, `h` (and `c`)."""

    learned: ClassVar[bool] = False

    path: Annotated[str, MinLen(1)]

    def __post_init__(self) -> None:
        _ = self._arrays  # a file that cannot be read is told of at once

    def draw(self, state: str, shape: tuple[int, int], rng: np.random.Generator | None) -> Array:
        """The file's array in every column."""
        array = self._arrays.get(state)
        if array is None or array.shape != (shape[0],) or not np.isfinite(array).all():
            held = ", ".join(f"{name} {a.dtype} {a.shape}" for name, a in self._arrays.items()) or "nothing"
            raise ValueError(
                f"path={self.path}: must hold an array {state} of {shape[0]} finite numbers; it holds {held}"
            )
        return np.repeat(array[:, None], shape[1], axis=1)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the arrays, first 16 hex digits."""
        whole = b"".join(name.encode() + array.tobytes() for name, array in sorted(self._arrays.items()))
        return hashlib.sha256(whole).hexdigest()[:16]

    @cached_property
    def _arrays(self) -> dict[str, Array]:
        with (
            convert_read_errors(self.path, "; must be an .npz file of numbers"),
            user_file(self.path).open("rb") as file,
        ):
            if not file.peek(2).startswith(b"PK"):  # numpy would ask whether a pickle is trusted
                raise TypeError("no zip archive")
            with np.load(file, allow_pickle=False) as arrays:
                return {name: _numbers(name, arrays[name]) for name in arrays.files}


def _numbers(name: str, array: Array) -> Array:
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} is {array.dtype}, not real numbers")
    return np.asarray(array, np.float64)


def _normal(std: float, shape: tuple[int, int], rng: np.random.Generator | None) -> Array:
    if rng is None:
        raise ValueError("the initial state is random, so a generator must be given")
    return rng.normal(0.0, std, shape)
