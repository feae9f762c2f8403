"""Inputs and targets of a user, checked and converted to arrays of the network."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnlab.arrays import Array
from rnnlab.interop.source import listed, short
from rnnlab.library.embeddings import look_up
from rnnlab.losses import Loss
from rnnlab.model import Batch

AXES = "tfb"
"""Order of the axes of all arrays: time, features, batch."""
_WORDS = {"t": "time", "f": "features", "b": "batch"}


@dataclass(frozen=True)
class InputLayer:
    """Inputs of a network: features, or symbols with or without an embedding.

    Attributes:
        features: Number X of inputs.
        dtype: Data type of the network.
        embedding: Matrix whose rows are the inputs of symbols, shape (symbols, X); None if symbols are
            one-hot vectors.
        possible: Names of the tensors that may be the embedding of a network without one.
    """

    features: int
    dtype: str
    embedding: Array | None = None
    possible: tuple[str, ...] = ()

    @property
    def symbols(self) -> int:
        """Number of symbols."""
        return self.features if self.embedding is None else len(self.embedding)

    @property
    def hint(self) -> str:
        """Sentence about the tensors that may be the embedding; empty if there are none."""
        if not self.possible:
            return ""
        names, first = listed(self.possible), short(self.possible[0])
        verb, which = "is a matrix", f"embedding='{first}'"
        if len(self.possible) > 1:
            verb, which = "are matrices", f"the right one, such as embedding='{first}',"
        return f"; {names} {verb} with {self.features} columns: pass {which} to look symbols up in it"


def read_batch(x: Any, y: Any, mask: Any, axes: str, inputs: InputLayer, outputs: int) -> tuple[Batch, Loss]:
    """Return a batch with targets, and the loss function that suits the targets.

    Raises:
        ValueError: If an array has the wrong shape, dtype or values.
    """
    sequences, dtype = read_inputs(x, axes, inputs), inputs.dtype
    targets = _array("y", y)
    classes = targets.dtype.kind in "iu"
    if targets.ndim not in (2, 3) or targets.dtype.kind not in "iuf":
        raise ValueError(
            f"y: must be integer classes of shape ({_shape(axes, 'tb')}) or real numbers of shape "
            f"({_shape(axes, 'tfb')}), got {targets.dtype} of shape {targets.shape}"
        )
    targets = _reorder(targets, axes)
    if targets.ndim == 3 and targets.shape[1] != outputs and not classes:
        raise ValueError(
            f"y: has {targets.shape[1]} features in the axes {_shape(axes, 'tfb')}, but the network has "
            f"{outputs} outputs"
        )
    if classes and targets.size and not 0 <= targets.min() <= targets.max() < outputs:
        raise ValueError(
            f"y: has classes from {targets.min()} to {targets.max()}; must be 0 to {outputs - 1}, because "
            f"the network has {outputs} outputs"
        )
    _check_finite("y", targets)
    present = None if mask is None else _read_mask(mask, axes)
    loss: Loss = "cross_entropy" if classes else "squared_error"
    return Batch(sequences, targets if classes else targets.astype(dtype), present), loss


def refuse_mask_without_targets(mask: Any) -> None:
    """Raise ValueError if there is a mask, although there are no targets."""
    if mask is not None:
        raise ValueError("mask: has no effect without targets; pass y as well")


def _read_mask(mask: Any, axes: str) -> Array:
    a = _array("mask", mask)
    if a.ndim != 2 or a.dtype.kind not in "biu":
        shape = _shape(axes, "tb")
        raise ValueError(f"mask: must be booleans of shape ({shape}), got {a.dtype} of shape {a.shape}")
    return _reorder(a.astype(bool), axes)


def read_inputs(x: Any, axes: str, inputs: InputLayer) -> Array:
    """Return inputs as an array (T, X, B) of the network's dtype, or as integer symbols (T, B).

    A single sequence, without the batch axis, becomes a batch of one. With an embedding, symbols become
    vectors; without one, there is a warning if the weights contain a matrix that may be the embedding.

    Raises:
        ValueError: If the array has the wrong shape, dtype or values.
    """
    _check_axes(axes)
    features, dtype = inputs.features, inputs.dtype
    a = _array("x", x)
    symbols = a.dtype.kind in "iu" and a.ndim <= 2
    if a.dtype.kind not in "iufb" or a.ndim not in ((1, 2) if symbols else (2, 3)):
        raise ValueError(f"x: {_expected(axes, features)}, got {a.dtype} of shape {a.shape}")
    if a.ndim == (1 if symbols else 2):
        a = np.expand_dims(a, [axis for axis in axes if axis in ("tb" if symbols else AXES)].index("b"))
    a = _reorder(a, axes)
    if a.size == 0:
        raise ValueError(f"x: {_expected(axes, features)}, got the empty shape {np.shape(x)}")
    if symbols:
        if not 0 <= a.min() <= a.max() < inputs.symbols:
            reason = f"the network has {features} inputs"
            if inputs.embedding is not None:
                reason = f"the embedding has {inputs.symbols} rows"
            raise ValueError(
                f"x: has symbols from {a.min()} to {a.max()}; must be 0 to {inputs.symbols - 1}, because "
                f"{reason}{inputs.hint}"
            )
        if inputs.hint:
            warnings.warn(f"x: integers are read as one-hot vectors{inputs.hint}", UserWarning, stacklevel=4)
        return a if inputs.embedding is None else look_up(inputs.embedding, a)
    if a.shape[1] != features:
        raise ValueError(
            f"x: {_expected(axes, features)}, got shape {np.shape(x)}"
            f"{_suggestion(np.shape(x), axes, features)}"
        )
    _check_finite("x", a)
    with np.errstate(over="ignore"):
        a = a.astype(dtype)
    _check_finite("x", a, f" in {dtype}")
    return a


def _array(name: str, value: Any) -> Array:
    try:
        return np.asarray(value)
    except Exception as error:  # a tensor of another library may raise anything
        reason = " ".join(str(error).split())
        raise ValueError(f"{name}: cannot be converted to a NumPy array ({reason})") from None


def _check_axes(axes: str) -> None:
    if not isinstance(axes, str) or sorted(axes) != sorted(AXES):
        raise ValueError(
            f"axes={axes!r}: must contain each of the letters t (time), f (features) and b (batch) once, "
            "such as 'tfb' or 'btf'"
        )


def _reorder(a: Array, axes: str) -> Array:
    """Return an array with the axes in the order of the network; two axes are time and batch."""
    given = [axis for axis in axes if a.ndim == 3 or axis != "f"]
    return np.ascontiguousarray(a.transpose([given.index(axis) for axis in AXES if axis in given]))


def _check_finite(name: str, a: Array, where: str = "") -> None:
    if a.dtype.kind == "f" and not np.isfinite(a).all():
        t = int(np.argwhere(~np.isfinite(a))[0][0]) + 1
        raise ValueError(f"{name}: contains NaN or infinity{where}, first at time step {t}; must be finite")


def _shape(axes: str, of: str) -> str:
    return ", ".join(_WORDS[axis] for axis in axes if axis in of)


def _expected(axes: str, features: int) -> str:
    vectors = _shape(axes, AXES).replace("features", str(features))
    return f"must have the shape ({vectors}), or ({_shape(axes, 'tb')}) for integer symbols"


def _suggestion(shape: Sequence[int], axes: str, features: int) -> str:
    """Return a question about the order of the axes, if the features are last, as in other libraries."""
    if axes != AXES or len(shape) != 3 or shape[2] != features:
        return ""
    orders = {"btf": "batch, time, features", "tbf": "time, batch, features"}
    questions = []
    for other, words in orders.items():
        order = ", ".join(str(other.index(axis)) for axis in AXES)
        questions.append(f"for ({words}), did you mean x.transpose({order}) or axes={other!r}?")
    return f"; {' '.join(questions)}"
