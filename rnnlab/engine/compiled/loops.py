"""Compiled loops of gated cells, made by Numba from generated source."""

import math
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numba import njit

from rnnlab.engine.compiled import elementary, scaling
from rnnlab.engine.compiled.source import backward_source, forward_source
from rnnlab.engine.declarations import Declarations
from rnnlab.engine.plan import Name

llvm.set_option("", "-runtime-memory-check-threshold=1000")  # fused loops use a dozen arrays
_NUMBER = re.compile(r"number\(([^()]*)\)")
_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))

Loop = tuple[Callable[..., object], Sequence[Name]]
"""A compiled loop and the names of its arrays."""


class CompiledLoops:
    """Compiled loops by cell and data type; each is compiled when it is first used."""

    def forward(self, cell: Declarations, symbols: bool, dtype: np.dtype[Any]) -> Loop | None:
        """Return the loop `forward(T, n, *arrays)`; None if the data type has no compiled form."""
        if dtype not in _DTYPES:
            return None
        text, names = forward_source(cell, symbols)
        return _compiled(text, "forward", dtype.name), names

    def backward(self, cell: Declarations, dtype: np.dtype[Any]) -> Loop | None:
        """Return the loop `backward(T, n, B, first, scaled, has_loss, exponents, e, *arrays)`, or None."""
        if dtype not in _DTYPES:
            return None
        text, names = backward_source(cell)
        return _compiled(text, "backward", dtype.name), names


@cache
def _compiled(text: str, name: str, dtype: str) -> Callable[..., object]:
    kind = np.dtype(dtype).type
    constants: dict[str, Any] = {}

    def constant(match: re.Match[str]) -> str:
        key = f"C{len(constants)}"
        constants[key] = kind(float(match.group(1)))
        return key

    text = _NUMBER.sub(constant, text)
    namespace = {
        "np": np,
        "HALF": kind(0.5),
        "tanh": elementary.tanh32 if dtype == "float32" else math.tanh,
        **{key: vars(elementary)[key] for key in ("relu", "positive")},
        **{key: value for key, value in vars(scaling).items() if not key.startswith("_")},
        **constants,
    }
    exec(compile(text, f"<rnnlab {name}>", "exec"), namespace)
    compiled: Callable[..., object] = njit(**elementary.OPTIONS)(namespace[name])
    return compiled
