"""Functions of the equations: the same on arrays, on traced symbols and in compiled loops."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rnnlab.arrays import copy_params
from rnnlab.cells import (
    absolute,
    cos,
    exp,
    log,
    log1p,
    maximum,
    positive,
    relu,
    sigmoid,
    sin,
    softplus,
    sqrt,
    tanh,
)
from rnnlab.engine.plan import compile_values
from rnnlab.engine.symbols import Adjoint, Value
from rnnlab.gradcheck.derivatives import complex_step
from rnnlab.workspace import Workspace
from tests.cells.log_space import CELLS, LinearUnits, LogMinGRU
from tests.cells.own import B, H, T, X, params_of

FUNCTIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "exp": (exp, exp),
    "log": (lambda z: log(absolute(z) + 1), lambda z: (2 * positive(z) - 1) / (absolute(z) + 1)),
    "log1p": (lambda z: log1p(z * z), lambda z: 2 * z / (1 + z * z)),
    "sqrt": (lambda z: sqrt(1 + z * z), lambda z: z / sqrt(1 + z * z)),
    "absolute": (absolute, lambda z: 2 * positive(z) - 1),
    "sin": (sin, cos),
    "cos": (cos, lambda z: -sin(z)),
    "maximum": (lambda z: maximum(z * z, z + 1), lambda z: 1 + (2 * z - 1) * positive(z * z - z - 1)),
    "maximum of a number": (lambda z: maximum(0.5, z), lambda z: positive(z - 0.5)),
    "softplus": (softplus, sigmoid),
    "relu": (relu, positive),
    "tanh": (tanh, lambda z: 1 - tanh(z) ** 2),
    "power": (lambda z: z**3, lambda z: 3 * z * z),
}
Z = np.array([-700.0, -30.0, -1.7, -0.2, 0.3, 1.1, 2.5, 40.0, 700.0])


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_arrays_and_traced_operations_agree(name: str, dtype: type) -> None:
    function, _ = FUNCTIONS[name]
    z = Z[2:7].astype(dtype) * (1 + (1e-15j if dtype is np.complex128 else 0))
    program = compile_values({"out": function(Value(None, (), "z"))})
    arrays = {f"temporary {i}": np.empty_like(z) for i in range(program.temporaries)}
    arrays |= {"z": z.copy(), "out": np.empty_like(z)}
    program.run(arrays)
    assert arrays["out"].dtype == dtype
    np.testing.assert_array_equal(arrays["out"], function(z))
    np.testing.assert_array_equal(arrays["z"], z)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_complex_steps_give_the_slope(name: str) -> None:
    function, slope = FUNCTIONS[name]
    for z in Z[1:-1]:
        right = slope(np.array(z))
        found = complex_step(lambda step, z=z: complex(function(np.array(z + step))))
        assert found == pytest.approx(float(right), rel=1e-12, abs=1e-15)


def test_softplus_is_right_where_exp_overflows() -> None:
    with np.errstate(all="raise", under="ignore"):
        found = softplus(Z)
    np.testing.assert_allclose(found[[0, 1, -1]], [np.exp(-700), np.exp(-30), 700], rtol=1e-12)


@pytest.mark.parametrize(
    "function", [exp, log, log1p, sqrt, sin, cos, absolute, softplus, lambda a: maximum(a, 0.0)]
)
def test_an_adjoint_has_no_such_function(function: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError):
        function(Adjoint.named("adjoint h"))


def test_the_compiled_exponential_equals_numpys() -> None:
    numba = pytest.importorskip("numba")
    from rnnlab.engine.compiled.elementary import OPTIONS, exp32, larger

    number = np.float32(0.5)

    @numba.njit("void(float32[::1], float32[::1], float32[::1])", **OPTIONS)
    def run(x: Any, out: Any, most: Any) -> None:
        for i in range(len(x)):
            out[i] = exp32(x[i])
            most[i] = larger(x[i], number)

    x = np.linspace(-87, 88.7, 200_001).astype(np.float32)
    x[:8] = np.nan, np.inf, -np.inf, 1000, -1000, 88.73, -103, -95
    found, most = np.empty_like(x), np.empty_like(x)
    run(x, found, most)
    with np.errstate(over="ignore", under="ignore"):
        np.testing.assert_array_equal(found[:8], np.exp(x[:8]))
        right = np.exp(x[8:].astype(np.float64))
    assert np.abs(found[8:] / right - 1).max() < 1.2e-7
    np.testing.assert_array_equal(most, np.maximum(x, number))


@pytest.mark.parametrize("kind", CELLS if os.environ.get("RNNLAB_FUZZ") else [LogMinGRU, LinearUnits])
def test_compiled_loops_agree_in_cells_that_use_them(kind: Any) -> None:
    """`make fuzz` compiles the loops of all cells, those of LogMinGRU for symbols and in float64, too."""
    pytest.importorskip("numba")
    from rnnlab.engine.compiled.loops import CompiledLoops

    cell, rng = kind(X, H, bias=True), np.random.default_rng(0)
    x, e = (rng.standard_normal((T, size, B)).astype(np.float32) for size in (X, H))
    results = []
    for dtype, loops in ((np.float64, None), (np.float32, None), (np.float32, CompiledLoops())):
        params, workspace = copy_params(params_of(cell), dtype), Workspace(loops)
        tape = cell.forward(params, x.astype(dtype), workspace=workspace)
        deltas = cell.backward(params, tape, e.astype(dtype), workspace)
        found = {"outputs": tape.outputs, **deltas.grads}  # the gradient of a stabiliser is 0
        results.append(copy_params(found, np.float64))
    true, by_numpy, compiled = results
    for name, array in true.items():
        size = np.linalg.norm(array) or 1.0
        one, two = (np.linalg.norm(other[name] - array) / size for other in (by_numpy, compiled))
        assert two <= max(4e-7, 3 * one), name
