"""Checks of the arguments of cells and networks; each error reports the expected and actual values."""

from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from rnnlab.arrays import Array
from rnnlab.engine.weights import is_symbols
from rnnlab.workspace import Workspace, all_below

# complex128 is only for complex-step derivatives; training uses float32 or float64.
DTYPES = (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.complex128))


def check_fields(record: Any) -> None:
    """Raise ValueError unless each Literal field has an allowed value and each size is at least 1."""
    for name, hint in get_type_hints(type(record)).items():
        value = getattr(record, name)
        allowed = get_args(hint) if get_origin(hint) is Literal else ()
        if allowed and value not in allowed:
            raise ValueError(f"{name}: expected {' or '.join(map(repr, allowed))}, got {value!r}")
        if name.endswith("_size") and not (isinstance(value, int | np.integer) and value >= 1):
            raise ValueError(f"{name}: must be a positive integer, got {value!r}")


def check_params(params: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> np.dtype[Any]:
    """Check the parameters and return their dtype.

    Raises:
        ValueError: If a parameter is missing or has the wrong shape or dtype.
    """
    name = next(iter(shapes))
    if type(first := params.get(name)) is np.ndarray and (dtype := first.dtype) in DTYPES:
        for name, shape in shapes.items():
            array = params.get(name)
            if type(array) is not np.ndarray or array.shape != shape or array.dtype != dtype:
                break
        else:
            return dtype
    missing = [name for name in shapes if name not in params]
    if missing:
        raise ValueError(f"params: expected {', '.join(shapes)}, got {', '.join(params) or 'none'}")
    found = [params[name].dtype for name in shapes if isinstance(params[name], np.ndarray)]
    known = [dtype for dtype in found if dtype in DTYPES]
    if not known:
        name = next(iter(shapes))
        raise ValueError(f"params[{name!r}]: expected float32 or float64, got {_kind(params[name])}")
    dtype = max(reversed(known), key=known.count)
    for name, shape in shapes.items():
        check_array(f"params[{name!r}]", params[name], shape, dtype)
    return dtype


def check_same_dtype(params: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]], h: Array) -> None:
    """Check the parameters; raise ValueError if their dtype is not that of `h`, from the forward pass."""
    if (dtype := check_params(params, shapes)) != h.dtype:
        raise ValueError(f"params: expected {h.dtype}, as in the forward pass, got {dtype}")


def check_array(name: str, array: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raise ValueError unless the array has the given shape and dtype."""
    if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype != dtype:
        got = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else _kind(array)
        raise ValueError(f"{name}: expected {dtype} of shape {shape}, got {got}")


def check_losses(e: Array, h: Array) -> int:
    """Check the immediate gradients at the last time steps, given the outputs h; return their number."""
    time = len(h)
    outputs = len(e) if isinstance(e, np.ndarray) and e.ndim == 3 and 1 <= len(e) <= time else time
    check_array("e", e, (outputs, *h.shape[1:]), h.dtype)
    return outputs


def _kind(value: object) -> str:
    return str(value.dtype) if isinstance(value, np.ndarray) else f"a {type(value).__name__}"


def check_states(
    name: str,
    states: Mapping[str, Array],
    sizes: Mapping[str, int],
    batch: int,
    dtype: np.dtype[Any],
) -> None:
    """Raise ValueError unless `states` has exactly the names, the sizes, the batch size and the dtype."""
    if not isinstance(states, Mapping) or set(states) != set(sizes):
        got = sorted(states) if isinstance(states, Mapping) else _kind(states)
        raise ValueError(f"{name}: expected the states {list(sizes)}, got {got}")
    for state, size in sizes.items():
        check_array(f"{name}[{state!r}]", states[state], (size, batch), dtype)


def check_inputs(x: Array, input_size: int, dtype: np.dtype[Any], workspace: Workspace) -> None:
    """Raise ValueError unless x is a sequence of vectors or symbols."""
    _check(x, input_size, dtype, ("time",), workspace)


def check_step_input(x: Array, input_size: int, dtype: np.dtype[Any]) -> None:
    """Raise ValueError unless x is one time step of vectors or symbols."""
    _check(x, input_size, dtype, ())


def _check(
    x: Array,
    input_size: int,
    dtype: np.dtype[Any],
    leading: tuple[str, ...],
    workspace: Workspace | None = None,
) -> None:
    symbols = is_symbols(x) and x.ndim == len(leading) + 1
    vectors = x.ndim == len(leading) + 2 and x.shape[-2] == input_size and x.dtype == dtype
    if not symbols and not vectors:
        raise ValueError(
            f"x: expected integer symbols of shape ({', '.join((*leading, 'batch'))}"
            f"{'' if leading else ','}) or {dtype} vectors of shape "
            f"({', '.join((*leading, str(input_size), 'batch'))}), got {x.dtype} of shape {x.shape}"
        )
    if x.size == 0:
        time_step = "time step and one " if leading else ""
        raise ValueError(f"x: expected at least one {time_step}example, got shape {x.shape}")
    if symbols and not all_below(x, input_size, dtype, workspace):
        raise ValueError(f"x: symbols must be in [0, {input_size}), got values from {x.min()} to {x.max()}")
