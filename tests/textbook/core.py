"""Networks of rnnlab and numerical derivatives as references for the textbook modules."""

from collections.abc import Callable, Mapping

import numpy as np

from rnnlab.arrays import Array
from rnnlab.cells import Cell, CellDeltas, Vanilla
from rnnlab.gradcheck import check_gradients
from rnnlab.initial_states import Zero
from rnnlab.model import Batch, Model, Tape
from rnnlab.readout import Readout

# All sizes differ. STEPS is τ, s, N and c in the sources; COLUMNS is for sources with a batch.
INPUTS, UNITS, CLASSES, STEPS, COLUMNS = 3, 5, 4, 6, 2


def normal(rng: np.random.Generator, *shape: int) -> Array:
    return rng.normal(0, 0.7, shape)


def network(cell: Cell, classes: int, bias: bool, reduction: str = "sum") -> Model:
    return Model(cell, Readout(cell.hidden_size, classes, bias), Zero(), "cross_entropy", reduction)


def vanilla(bias: bool, reduction: str = "sum") -> Model:
    return network(Vanilla(INPUTS, UNITS, "tanh", bias=bias), CLASSES, bias, reduction)


def columns(x: Array) -> Array:
    """Return one sequence (T, X) as a batch of one, (T, X, 1)."""
    return x[:, :, None]


def run(
    model: Model, params: dict[str, Array], x: Array, y: Array, h0: Array
) -> tuple[Tape, dict[str, Array], CellDeltas]:
    """Run the forward and backward passes of rnnlab for x (T, X, B), y (S, B) and h0 (H, B)."""
    tape = model.forward(params, Batch(x, y), {"h": h0})
    grads, deltas = model.backward(params, tape)
    return tape, grads, deltas


def assert_same(actual: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    assert set(actual) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, rtol=1e-12, atol=1e-14, err_msg=name)


def assert_derivatives(
    function: Callable[[dict[str, Array]], float | complex],
    variables: Mapping[str, Array],
    gradients: Mapping[str, Array],
) -> None:
    """Check each gradient against the numerical derivative of the loss as defined by the source."""
    checks = check_gradients(function, variables, gradients, np.random.default_rng(0))
    assert all(check.passed for check in checks), [check.name for check in checks if not check.passed]
    assert all(check.norm > 0 for check in checks)
