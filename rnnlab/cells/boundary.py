"""What a cell refuses, and how it says so: the argument, what was expected, what came."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnlab.arrays import Array
from rnnlab.cells.weights import is_symbols

# The complex one is for derivatives by complex steps; users train in the other two.
DTYPES = (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.complex128))


def check_params(params: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> np.dtype[Any]:
    """Raise a ValueError unless all parameters are there, of these shapes and of one dtype; return that."""
    missing = [name for name in shapes if name not in params]
    if missing:
        raise ValueError(f"params: expected {', '.join(shapes)}, got {', '.join(params) or 'none'}")
    dtype = np.dtype(params["W_hh"].dtype)
    if dtype not in DTYPES:
        raise ValueError(f"params['W_hh']: expected float32 or float64, got {dtype}")
    for name, shape in shapes.items():
        check_array(f"params[{name!r}]", params[name], shape, dtype)
    return dtype


def check_array(name: str, array: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raise a ValueError unless an array has this shape and dtype."""
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(
            f"{name}: expected {dtype} of shape {shape}, got {array.dtype} of shape {array.shape}"
        )


def check_states(
    name: str,
    states: Mapping[str, Array],
    names: Sequence[str],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
) -> None:
    """Raise a ValueError unless these are a cell's states, each of this shape and dtype."""
    if set(states) != set(names):
        raise ValueError(f"{name}: expected the states {list(names)}, got {sorted(states)}")
    for state in names:
        check_array(f"{name}[{state!r}]", states[state], shape, dtype)


def check_inputs(x: Array, input_size: int, dtype: np.dtype[Any]) -> None:
    """Raise a ValueError unless x is a sequence of vectors or symbols."""
    _check(x, input_size, dtype, ("time",))


def check_step_input(x: Array, input_size: int, dtype: np.dtype[Any]) -> None:
    """Raise a ValueError unless x is one time step of vectors or symbols."""
    _check(x, input_size, dtype, ())


def _check(x: Array, input_size: int, dtype: np.dtype[Any], leading: tuple[str, ...]) -> None:
    symbols = is_symbols(x) and x.ndim == len(leading) + 1
    vectors = x.ndim == len(leading) + 2 and x.shape[-2] == input_size and x.dtype == dtype
    if not symbols and not vectors:
        raise ValueError(
            f"x: expected integer symbols of shape ({', '.join((*leading, 'batch'))}"
            f"{'' if leading else ','}) or {dtype} vectors of shape "
            f"({', '.join((*leading, str(input_size), 'batch'))}), got {x.dtype} of shape {x.shape}"
        )
    if x.size == 0:
        counted = "time step and one example" if leading else "example"
        raise ValueError(f"x: expected at least one {counted}, got shape {x.shape}")
    if symbols and (x.min() < 0 or x.max() >= input_size):
        raise ValueError(f"x: symbols must lie in [0, {input_size}), got values from {x.min()} to {x.max()}")
