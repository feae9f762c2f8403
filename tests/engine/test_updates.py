"""Clipping and the update agree between the engines."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlab.arrays import copy_params
from rnnlab.clipping import Clipping
from rnnlab.engine.updates import norm_of_gradients, trace_elements
from rnnlab.norms import global_norm
from rnnlab.optimizers import SGD, AdaGrad, Adam, RMSProp
from rnnlab.workspace import Workspace

pytest.importorskip("numba")

from rnnlab.engine.compiled.loops import CompiledLoops

OPTIMIZERS: list[Any] = [
    lambda lr, decay: SGD(lr, 0.0),
    SGD,
    lambda lr, decay: AdaGrad(lr, 1e-8),
    lambda lr, decay: RMSProp(lr, decay, 1e-6),
    lambda lr, decay: Adam(lr, decay / 2, decay, 1e-8),
]
SHAPES = {"W": (5, 7), "b": (5, 1)}
LOOPS = CompiledLoops()


def run(
    optimizer: Any, clipping: Clipping, seed: int, dtype: type, workspace: Workspace | None
) -> tuple[dict[str, np.ndarray], list[Any]]:
    """Return weights and moments after a few updates in float64, and the reports of clipping."""
    rng = np.random.default_rng(seed)
    params = {
        name: rng.standard_normal(shape).astype(np.float32).astype(dtype) for name, shape in SHAPES.items()
    }
    state, reports = optimizer.init(params), []
    for _ in range(5):
        size = 10.0 ** rng.integers(-3, 2)
        grads = {
            name: (size * rng.standard_normal(w.shape)).astype(np.float32).astype(dtype)
            for name, w in params.items()
        }
        reports.append(clipping.apply(grads, workspace=workspace))
        optimizer.update(params, grads, state, workspace)
    return {name: a.astype(np.float64) for name, a in (params | state).items()}, reports


@given(
    st.sampled_from(OPTIMIZERS),
    st.floats(1e-5, 1.0),
    st.floats(0.5, 0.9999),
    st.sampled_from(["norm", "value"]),
    st.one_of(st.none(), st.floats(1e-4, 20.0)),
    st.integers(0, 2**32),
)
@settings(max_examples=60)
def test_the_compiled_update_agrees_with_numpys(
    make: Any, lr: float, decay: float, mode: Any, threshold: float | None, seed: int
) -> None:
    optimizer, clipping, compiled = make(lr, decay), Clipping(threshold, mode), Workspace(LOOPS)
    true, reports = run(optimizer, clipping, seed, np.float64, None)
    if isinstance(optimizer, Adam):  # every module that is compiled takes half a second
        found, found_reports = run(optimizer, clipping, seed, np.float64, compiled)
        for name, array in true.items():
            assert np.linalg.norm(found[name] - array) <= 1e-12 * np.linalg.norm(array), name
        for one, two in zip(reports, found_reports, strict=True):
            numbers, right = ([-1.0 if v is None else v for v in vars(r).values()] for r in (two, one))
            assert numbers == pytest.approx(right, rel=1e-12)
    narrow, _ = run(optimizer, clipping, seed, np.float32, None)
    found, _ = run(optimizer, clipping, seed, np.float32, compiled)
    for name, array in true.items():
        size = np.linalg.norm(array) or 1.0
        of_numpy, own = (np.linalg.norm(other[name] - array) / size for other in (narrow, found))
        assert own <= max(2e-6, 2 * of_numpy), name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e-40, 1.0, 1e30, 1e36])
def test_the_compiled_norm_neither_underflows_nor_overflows(size: float, dtype: type) -> None:
    grads = {"a": np.full((3, 1), size, dtype), "b": np.full((1, 13), -size, dtype)}
    expected = global_norm(a.astype(np.float64) for a in grads.values())
    assert norm_of_gradients(grads, Workspace(LOOPS)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("mode", ["norm", "value"])
def test_non_finite_gradients_stay_detectable(mode: Any, value: float) -> None:
    grads = {name: np.ones(shape, np.float32) for name, shape in SHAPES.items()}
    grads["W"][2, 3] = value
    before, compiled = copy_params(grads), Workspace(LOOPS)
    with np.errstate(all="ignore"):
        report = Clipping(0.5, mode).apply(grads, workspace=compiled)
        params = {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}
        optimizer = Adam(0.1, 0.9, 0.999, 1e-8)
        overflowing = optimizer.update(params, grads, optimizer.init(params), compiled)
    assert not np.isfinite(report.norm) and not report.clipped
    for name in grads:
        np.testing.assert_array_equal(grads[name], before[name])
    assert overflowing == "W" and not any(w.any() for w in params.values())


@pytest.mark.parametrize("workspace", [None, Workspace(LOOPS)], ids=["numpy", "compiled"])
def test_large_steps_are_refused_only_if_a_weight_overflows(workspace: Workspace | None) -> None:
    params = {"W": np.full((2, 3), -3e38, np.float32), "b": np.ones((2, 1), np.float32)}
    grads = {"W": np.full((2, 3), -1e38, np.float32), "b": np.zeros((2, 1), np.float32)}
    assert SGD(1.0, 0.0).update(params, grads, {}, workspace) is None
    np.testing.assert_allclose(params["W"], -2e38, rtol=1e-6)
    with np.errstate(over="ignore"):
        assert SGD(3.0, 0.0).update(params, {**grads, "W": -3 * grads["W"]}, {}, workspace) == "W"
    np.testing.assert_allclose(params["W"], -2e38, rtol=1e-6)


def test_weights_of_other_memory_layouts_are_updated_in_place() -> None:
    optimizer, compiled = SGD(0.5, 0.0), Workspace(LOOPS)
    for weights in (np.ones((5, 7), np.float32), np.ones((7, 5), np.float32).T):  # other arrays each time
        grads = {
            "W": np.asfortranarray(np.arange(35, dtype=np.float32).reshape(5, 7)),
            "b": np.ones((5, 1), "f"),
        }
        params = {"W": weights, "b": np.zeros((5, 1), np.float32)}
        report = Clipping(1.0, "value").apply(grads, workspace=compiled)
        optimizer.update(params, grads, {}, compiled)
        assert report.fraction == 33 / 40 and (weights[1:] == 0.5).all() and weights[0, 0] == 1
        assert (params["b"] == -0.5).all()


def test_a_moment_overwritten_before_its_last_use_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^m: may only be used once, for its own new value$"):
        trace_elements(lambda g, m: (m + g, m), ("g", "m"), (), ("m", "step"))


@dataclass(frozen=True)
class Directed(SGD):
    """An optimiser of a user, with a Boolean key and a literal number in its equation."""

    ascends: bool = False

    def equations(self, g: Any, *moments: Any) -> Any:
        """Return the step: half of the gradient, or its negative."""
        return (-0.5 if self.ascends else 0.5) * g


@pytest.mark.parametrize("ascends", [False, True])
def test_non_numeric_keys_determine_the_equations(ascends: bool) -> None:
    for workspace in (None, Workspace(LOOPS)):
        params = {"W": np.zeros((2, 3), np.float32)}
        Directed(1.0, 0.0, ascends=ascends).update(params, {"W": np.ones((2, 3), "f")}, {}, workspace)
        assert (params["W"] == (0.5 if ascends else -0.5)).all()
