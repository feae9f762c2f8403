"""Initial states h[0] (and c[0]) of sequences that do not continue an earlier sequence."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar, Protocol

import numpy as np
from annotated_types import Ge, MinLen

from rnnlab.arrays import Array
from rnnlab.user_files import convert_read_errors, user_file


class InitialState(Protocol):
    """Interface of all initial states."""

    learned: ClassVar[bool]
    """True if the initial state is a trainable parameter (H, 1), shared by all sequences."""

    @property
    def digest(self) -> str:
        """Digest of the arrays that were read from a file; empty if the initial state uses no file."""

    def draw(self, state: str, shape: tuple[int, int], rng: np.random.Generator | None) -> Array:
        """Return the initial value of one state, an array (H, B) in float64.

        Raises:
            ValueError: If no initial state of this shape is available, or if the initial state is random and
                `rng` is None.
        """


@dataclass(frozen=True)
class Zero:
    """Zero initial state, s[0] = 0."""

    learned: ClassVar[bool] = False
    digest: ClassVar[str] = ""

    def draw(self, state: str, shape: tuple[int, int], rng: np.random.Generator | None) -> Array:
        """Return zeros."""
        return np.zeros(shape)


@dataclass(frozen=True)
class Normal:
    """Random initial state, s[0] ~ N(0, std²), drawn independently for each sequence.

    Shah, *RNN backpropagation*, calls this distribution the "predefined distribution".
    """

    learned: ClassVar[bool] = False
    digest: ClassVar[str] = ""

    std: Annotated[float, Ge(0)]

    def draw(self, state: str, shape: tuple[int, int], rng: np.random.Generator | None) -> Array:
        """Return independent normal entries."""
        return _normal(self.std, shape, rng)


@dataclass(frozen=True)
class Learned:
    """Learned initial state: a parameter `h_0` (and `c_0`) that is initialised from N(0, std²).

    The gradient is summed over the batch: dL/ds_0 = Σ_b ∂L/∂s[0][:, b].
    """

    learned: ClassVar[bool] = True
    digest: ClassVar[str] = ""

    std: Annotated[float, Ge(0)]

    def draw(self, state: str, shape: tuple[int, int], rng: np.random.Generator | None) -> Array:
        """Return the values of the parameter before training."""
        return _normal(self.std, shape, rng)


@dataclass(frozen=True)
class Given:
    """Initial state from an .npz file with one array (H,) for each state of the cell, `h` (and `c`)."""

    learned: ClassVar[bool] = False

    path: Annotated[str, MinLen(1)]

    def __post_init__(self) -> None:
        _ = self._arrays  # report an unreadable file immediately

    def draw(self, state: str, shape: tuple[int, int], rng: np.random.Generator | None) -> Array:
        """Return the array from the file, repeated for each sequence of the batch."""
        array = self._arrays.get(state)
        if array is None or array.shape != (shape[0],) or not np.isfinite(array).all():
            available = ", ".join(f"{name} {a.dtype} {a.shape}" for name, a in self._arrays.items()) or "none"
            raise ValueError(
                f"path={self.path}: must contain an array {state} of {shape[0]} finite numbers; "
                f"available: {available}"
            )
        return np.repeat(array[:, None], shape[1], axis=1)

    @cached_property
    def digest(self) -> str:
        """Return the first 16 hexadecimal digits of the SHA-256 digest of the arrays."""
        content = b"".join(name.encode() + array.tobytes() for name, array in sorted(self._arrays.items()))
        return hashlib.sha256(content).hexdigest()[:16]

    @cached_property
    def _arrays(self) -> dict[str, Array]:
        with (
            convert_read_errors(self.path, "; must be an .npz file that contains numbers"),
            user_file(self.path).open("rb") as file,
        ):
            if not file.peek(2).startswith(b"PK"):  # NumPy's own message is about pickles
                raise TypeError("not a zip archive")
            with np.load(file, allow_pickle=False) as arrays:
                return {name: _numbers(name, arrays[name]) for name in arrays.files}


def _numbers(name: str, array: Array) -> Array:
    if array.dtype.kind not in "iuf":
        raise TypeError(f"array {name} has dtype {array.dtype} but must contain real numbers")
    return np.asarray(array, np.float64)


def _normal(std: float, shape: tuple[int, int], rng: np.random.Generator | None) -> Array:
    if rng is None:
        raise ValueError("rng=None: a random initial state requires a random number generator")
    return rng.normal(0.0, std, shape)
