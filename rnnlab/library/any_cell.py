"""Lag curves of any differentiable step function, with vector-Jacobian products of its framework.

    s[t] = f(s[t-1], x[t])        λ[t-1] = (∂f/∂s)ᵀ λ[t]        g(k) = ‖λ[T-k]‖

The gradient moves back one time step at a time. After each step it is scaled by a power of two, and the
logarithm of the scale is stored, so the curve neither underflows nor overflows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnlab.arrays import Array
from rnnlab.diagnostics.lag_curves import UNIT_DRAWS
from rnnlab.library.curves import UNIT_LOSS, LagCurve
from rnnlab.norms import norm

Pull = Callable[[int, list[Array]], list[Array]]
"""Function of a time step t = 1 … T and gradients λ[t] of each part of the state, each of shape (draws, …).

It returns the gradients λ[t-1], of the same shapes.
"""


@dataclass(frozen=True)
class Parts:
    """Parts of a state that have gradients.

    Attributes:
        names: Name of each part, `` if the state is a single array.
        shapes: Shape of each part.
        dtypes: Data type of each part.
        batch_axis: Axis of the sequences in each part; None if the state belongs to one sequence.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[Any, ...]
    batch_axis: int | None

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError("state: has no array of floating-point numbers")
        if self.batch_axis is None:
            return
        axis = self.batch_axis
        if any(not -len(shape) <= axis < len(shape) for shape in self.shapes):
            raise ValueError(f"batch_axis={axis}: the shapes of the state are {_listed(self.shapes)}")
        if len({shape[axis] for shape in self.shapes}) > 1:
            raise ValueError(
                f"batch_axis={axis}: the parts of the state must have the same size there, "
                f"got {_listed(self.shapes)}"
            )

    @property
    def examples(self) -> int:
        """Number of sequences."""
        return 1 if self.batch_axis is None else self.shapes[0][self.batch_axis]

    def columns(self, part: int, values: Array) -> Array:
        """Return gradients of one part, (draws, …), as an array (features, draws · examples)."""
        if self.batch_axis is None:
            return values.reshape(len(values), -1).T
        axis = self.batch_axis % len(self.shapes[part]) + 1
        moved = np.moveaxis(values, axis, 1)
        return moved.reshape(len(values) * self.examples, -1).T

    def scaled(self, part: int, values: Array, exponents: Array) -> Array:
        """Multiply gradients of one part by 2^exponents, given for each draw and example."""
        shape = [len(values)] + [1] * len(self.shapes[part])
        if self.batch_axis is not None:
            shape[self.batch_axis % len(self.shapes[part]) + 1] = self.examples
        return np.asarray(np.ldexp(values, exponents.reshape(shape)))

    def unit_vectors(self, seed: int, on: str | None) -> list[Array]:
        """Return random unit vectors on the state, or on one part of it, the same for all examples."""
        if on is not None and on not in self.names:
            raise ValueError(f"on={on!r}: must be one of {', '.join(map(repr, self.names))}")
        rng, axis = np.random.default_rng(seed), self.batch_axis
        own = [shape if axis is None else _without(shape, axis) for shape in self.shapes]
        chosen = [on is None or name == on for name in self.names]
        sizes = [int(np.prod(shape)) * is_chosen for shape, is_chosen in zip(own, chosen, strict=True)]
        drawn: list[list[Array]] = [[] for _ in self.names]
        for _ in range(UNIT_DRAWS):
            w = rng.standard_normal((sum(sizes), 1))[:, 0]
            pieces = np.split(w / norm(w), np.cumsum(sizes)[:-1])
            for part, (shape, piece) in enumerate(zip(own, pieces, strict=True)):
                value = piece.reshape(shape) if chosen[part] else np.zeros(shape)
                if axis is not None:
                    value = np.repeat(np.expand_dims(value, axis), self.examples, axis)
                drawn[part].append(value)
        return [np.stack(values).astype(kind) for values, kind in zip(drawn, self.dtypes, strict=True)]


def lag_curve_of(
    parts: Parts, pull: Pull, time: int, start: Sequence[Array], loss: str, name: str
) -> LagCurve:
    """Backpropagate gradients of the final state through all time steps, and return the lag curve.

    Args:
        parts: Parts of the state.
        pull: Vector-Jacobian product of one time step.
        time: Number T of time steps.
        start: Gradients λ[T], each of shape (draws, …).
        loss: Name of the loss.
        name: Name of the cell.
    """
    draws, gradients = len(start[0]), list(start)
    exponents = np.zeros(draws * parts.examples, np.int64)
    names = ["state", *(f"state.{part}" for part in parts.names if len(parts.names) > 1)]
    logs: dict[str, list[Array]] = {quantity: [] for quantity in names}
    with np.errstate(all="ignore"):
        for t in range(time, 0, -1):
            columns = [parts.columns(i, values) for i, values in enumerate(gradients)]
            norms = [norm(part, axis=0) if len(part) else np.zeros(len(exponents)) for part in columns]
            found = [norm(np.stack(norms), axis=0), *(norms if len(norms) > 1 else ())]
            for quantity, values in zip(names, found, strict=True):
                logs[quantity].append(np.log(values) + exponents * np.log(2))
            if t == 1:
                break
            largest = np.max([np.abs(part).max(axis=0, initial=0.0) for part in columns], axis=0)
            shift = np.frexp(np.where(np.isfinite(largest), largest, 0.0))[1]
            gradients = [parts.scaled(i, values, -shift) for i, values in enumerate(gradients)]
            exponents = exponents + shift
            gradients = pull(t, gradients)
        means = {
            quantity: np.stack(values).reshape(time, draws, -1).mean(axis=1)
            for quantity, values in logs.items()
        }
    return LagCurve.from_logs(means, name, loss, cell=name)


def loss_name(loss: Callable[..., Any] | None) -> str:
    """Return the value of the column `loss`."""
    return UNIT_LOSS if loss is None else getattr(loss, "__name__", "own").strip("<>")


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    axis %= len(shape)
    return shape[:axis] + shape[axis + 1 :]


def _listed(shapes: Sequence[tuple[int, ...]]) -> str:
    return ", ".join(map(str, shapes))
