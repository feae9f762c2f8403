import numpy as np
import pytest

from rnnlab.arrays import copy_params
from rnnlab.optimizers import SGD, AdaGrad, Adam, RMSProp

LR = 0.1
OPTIMIZERS = [
    SGD(LR, momentum=0.0),
    SGD(LR, momentum=0.9),
    AdaGrad(LR, epsilon=1e-8),
    RMSProp(LR, decay=0.95, epsilon=1e-6),
    Adam(LR, beta1=0.9, beta2=0.99, epsilon=1e-6),
]


def run(optimizer, start, gradients):
    """Return the trajectory of one weight under the given gradients."""
    params = {"w": np.array([start])}
    state = optimizer.init(params)
    trajectory = []
    for g in gradients:
        optimizer.update(params, {"w": np.array([g])}, state)
        trajectory.append(float(params["w"][0]))
    return trajectory


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (SGD(0.1, momentum=0.0), [1 - 0.2, 1 - 0.2 + 0.1]),
        (SGD(0.1, momentum=0.5), [1 - 0.1 * 2, 1 - 0.1 * 2 - 0.1 * (0.5 * 2 - 1)]),
        (AdaGrad(0.1, epsilon=5.0), [1 - 0.1 * 2 / 3, 1 - 0.1 * 2 / 3 + 0.1 / np.sqrt(10)]),
        (RMSProp(0.1, decay=0.75, epsilon=1.0), [1 - 0.1 * 2 / 2, 0.9 + 0.1 / (np.sqrt(0.75 + 0.25) + 1)]),
        (
            Adam(0.1, beta1=0.5, beta2=0.75, epsilon=1.0),
            # m̂ = 2, then 0 (m = 1, then 0); v̂ = 4, so the first update is 2 / (2 + 1)
            [1 - 0.1 * 2 / 3, 1 - 0.1 * 2 / 3],
        ),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, list) else "",
)
def test_two_steps_by_hand(optimizer, expected):
    assert run(optimizer, 1.0, [2.0, -1.0]) == pytest.approx(expected, rel=1e-14)


def test_adam_starts_with_a_step_of_the_learning_rate_whatever_the_gradient():
    for g in (1e-3, 1.0, 1e3):
        assert run(Adam(0.1, 0.9, 0.999, 1e-12), 0.0, [g]) == pytest.approx([-0.1])


def test_adagrad_adds_epsilon_inside_the_root():
    assert run(AdaGrad(1.0, epsilon=1e-8), 0.0, [1e-4]) == pytest.approx([-1e-4 / np.sqrt(2e-8)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_updates_in_place_and_does_not_change_gradients(optimizer, dtype):
    params = {"a": np.ones((2, 3), dtype), "b": np.ones(4, dtype)}
    grads = {name: np.full_like(w, 0.5) for name, w in params.items()}
    state = optimizer.init(params)
    arrays = dict(params), dict(state)
    for _ in range(2):
        optimizer.update(params, grads, state)
    for before, after in zip(arrays, (params, state), strict=True):
        assert all(after[name] is before[name] for name in before)
        assert set(after) == set(before)
    for name, w in params.items():
        assert w.dtype == dtype
        assert (w < 1).all()
        np.testing.assert_array_equal(grads[name], 0.5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_params_have_separate_states(optimizer):
    """Two parameters updated together follow the same trajectories as when each is updated separately."""
    rng = np.random.default_rng(0)
    gradients = {"a": rng.standard_normal(5), "b": rng.standard_normal(5)}
    params = {name: np.zeros(1) for name in gradients}
    state = optimizer.init(params)
    for k in range(5):
        optimizer.update(params, {name: g[k : k + 1] for name, g in gradients.items()}, state)
    for name, g in gradients.items():
        assert params[name][0] == run(optimizer, 0.0, g)[-1]


def _torch_optimizer(torch, optimizer, parameters):
    match optimizer:
        case SGD():
            return torch.optim.SGD(parameters, lr=LR, momentum=optimizer.momentum)
        case RMSProp():
            return torch.optim.RMSprop(parameters, lr=LR, alpha=optimizer.decay, eps=optimizer.epsilon)
        case Adam():
            betas = (optimizer.beta1, optimizer.beta2)
            return torch.optim.Adam(parameters, lr=LR, betas=betas, eps=optimizer.epsilon)


# PyTorch's Adagrad has its epsilon outside the root.
@pytest.mark.parametrize("optimizer", [o for o in OPTIMIZERS if not isinstance(o, AdaGrad)], ids=repr)
def test_equals_torch(optimizer):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    params = {"a": rng.standard_normal((3, 2)), "b": rng.standard_normal(4)}
    theirs = {name: torch.from_numpy(w.copy()).requires_grad_() for name, w in params.items()}
    torch_optimizer = _torch_optimizer(torch, optimizer, list(theirs.values()))
    state = optimizer.init(params)
    for _ in range(20):
        grads = {name: rng.standard_normal(w.shape) for name, w in params.items()}
        optimizer.update(params, grads, state)
        for name, w in theirs.items():
            w.grad = torch.from_numpy(grads[name])
        torch_optimizer.step()
        for name, w in theirs.items():
            np.testing.assert_allclose(params[name], w.detach().numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_state_fits_parameters_in_any_order(optimizer):
    rng = np.random.default_rng(0)
    params = {name: rng.normal(size=(2, 3)) for name in "bac"}
    other = {name: params[name].copy() for name in "abc"}
    state, other_state = optimizer.init(params), optimizer.init(params)
    for _ in range(3):
        grads = {name: rng.normal(size=(2, 3)) for name in "cab"}
        optimizer.update(params, grads, state)
        optimizer.update(other, grads, other_state)
    for name, w in params.items():
        np.testing.assert_array_equal(other[name], w)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.inf, np.nan, "overflow"])
def test_an_update_that_would_make_a_weight_non_finite_is_refused(bad, dtype):
    largest = np.finfo(dtype).max
    params = {"b": np.array([-largest, 1.0], dtype), "a": np.ones(3, dtype)}
    before = copy_params(params)
    grads = {"a": np.ones(3, dtype), "b": np.array([largest if bad == "overflow" else bad, 0], dtype)}
    with np.errstate(all="ignore"):
        assert SGD(1.0, 0.0).update(params, grads, {}) == "b"
        for name, w in before.items():
            np.testing.assert_array_equal(params[name], w)
        assert SGD(1.0, 0.0).update(params, grads | {"b": -grads["a"][:2] * dtype(1e20)}, {}) is None
    assert params["a"].tolist() == [0, 0, 0] and np.isfinite(params["b"]).all()
