import numpy as np
import pytest

from rnnlab.cells import GRU, LSTM, Vanilla
from rnnlab.initializers import Constant, Init, Initializer, Normal, Uniform, draw_gates
from rnnlab.readout import Readout

H = 200


def draw(kind, gain, rows=H, columns=H, hidden_size=H, seed=0):
    return Initializer(kind, gain).draw(np.random.default_rng(seed), rows, columns, hidden_size)


@pytest.mark.parametrize("gain", [0.5, 1.5])
def test_normal_has_variance_gain_squared_over_hidden_size(gain):
    w = draw("normal", gain)
    assert w.std() == pytest.approx(gain / np.sqrt(H), rel=0.02)
    assert w.mean() == pytest.approx(0, abs=0.002)
    assert np.abs(w).max() > 3 * gain / np.sqrt(H)  # tails, unlike the uniform distribution


@pytest.mark.parametrize("gain", [0.5, 1.5])
def test_uniform_fills_its_bounds(gain):
    w, bound = draw("uniform", gain), gain / np.sqrt(H)
    assert bound * 0.999 < w.max() <= bound
    assert -bound <= w.min() < -bound * 0.999
    assert w.std() == pytest.approx(bound / np.sqrt(3), rel=0.02)


def test_scale_depends_on_the_hidden_size_and_not_on_the_shape():
    assert draw("normal", 1.0, rows=300, columns=50, hidden_size=25).std() == pytest.approx(0.2, rel=0.02)
    assert draw("uniform", 1.0, rows=300, columns=50, hidden_size=25).max() == pytest.approx(0.2, rel=0.01)


@pytest.mark.parametrize(("rows", "columns"), [(300, 50), (50, 300)])
def test_fan_in_has_variance_gain_squared_over_columns(rows, columns):
    w = draw("fan_in", 1.5, rows, columns, hidden_size=25)
    assert w.std() == pytest.approx(1.5 / np.sqrt(columns), rel=0.02)
    assert np.abs(w).max() == pytest.approx(1.5 * np.sqrt(3 / columns), rel=0.001)  # uniform


@pytest.mark.parametrize(("rows", "columns"), [(30, 30), (30, 7), (7, 30)])
def test_orthogonal_has_orthonormal_rows_or_columns(rows, columns):
    w = draw("orthogonal", 1.3, rows, columns)
    assert w.shape == (rows, columns)
    gram = w.T @ w if rows >= columns else w @ w.T
    np.testing.assert_allclose(gram, 1.3**2 * np.eye(min(rows, columns)), atol=1e-13)


def test_orthogonal_is_uniform_over_the_group():
    """Without the sign correction, the diagonal of Q from QR is hardly ever positive."""
    rng = np.random.default_rng(0)
    corner = [Initializer("orthogonal", 1.0).draw(rng, 3, 3, 3)[0, 0] for _ in range(400)]
    assert np.mean(corner) == pytest.approx(0, abs=0.1)


def test_initializers_of_single_parameters():
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(Constant(0.9).draw(rng, 3, 1, 3), np.full((3, 1), 0.9))
    uniform = Uniform(-3.0, -1.0).draw(rng, 4000, 1, 4000)
    assert -3 <= uniform.min() < -2.99 and -1.01 < uniform.max() <= -1
    normal = Normal(2.0, 0.5).draw(rng, 4000, 1, 4000)
    assert (normal.mean(), normal.std()) == pytest.approx((2.0, 0.5), rel=0.05)


def test_identity_and_zero():
    np.testing.assert_array_equal(draw("identity", 0.5, 4, 4), 0.5 * np.eye(4))
    assert not draw("zero", 3.0).any()


@pytest.mark.parametrize("kind", ["uniform", "normal", "orthogonal"])
def test_is_drawn_from_the_generator_alone(kind):
    np.testing.assert_array_equal(draw(kind, 1.0, seed=1), draw(kind, 1.0, seed=1))
    assert (draw(kind, 1.0, seed=1) != draw(kind, 1.0, seed=2)).any()


def test_each_gate_is_drawn_by_itself():
    blocks = draw_gates(Initializer("orthogonal", 1.0), np.random.default_rng(0), 4, 5, 5, 5).reshape(4, 5, 5)
    for k in range(4):
        np.testing.assert_allclose(blocks[k] @ blocks[k].T, np.eye(5), atol=1e-13)
        assert not np.allclose(blocks[k], blocks[k - 1])
    eyes = draw_gates(Initializer("identity", 2.0), np.random.default_rng(0), 4, 3, 3, 3)
    np.testing.assert_array_equal(eyes, np.tile(2 * np.eye(3), (4, 1)))


INIT = Init(Initializer("orthogonal", 1.0), Initializer("normal", 0.3), Initializer("zero", 1.0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("gates", [1, 3, 4])
def test_cells_draw_their_parameters(gates, bias, dtype):
    cells = {1: Vanilla(7, 5, "tanh", bias=bias), 4: LSTM(7, 5, "tanh", bias=bias, forget_bias=0.0)}
    cell = cells.get(gates) or GRU(7, 5, bias=bias, reset_after=True)
    params = cell.init_params(np.random.default_rng(0), INIT, dtype)
    shapes = {"W_xh": (gates * 5, 7), "W_hh": (gates * 5, 5)} | ({"b_h": (gates * 5, 1)} if bias else {})
    if gates == 3 and bias:
        shapes["b_hn"] = (5, 1)
    assert {name: w.shape for name, w in params.items()} == shapes
    assert all(w.dtype == dtype for w in params.values())
    block = params["W_hh"][:5].astype(np.float64)
    np.testing.assert_allclose(block @ block.T, np.eye(5), atol=1e-6)  # W_hh's own initialiser
    assert params["W_xh"].any()


def test_forget_bias_is_added_to_the_forget_gate_alone():
    init = Init(*[Initializer("normal", 1.0)] * 3)
    cells = [LSTM(7, 5, "tanh", bias=True, forget_bias=forget_bias) for forget_bias in (0.0, 2.5)]
    plain, shifted = (cell.init_params(np.random.default_rng(0), init, np.float64) for cell in cells)
    f = cells[0].gate_names.index("f")
    expected = np.zeros((4, 5, 1))
    expected[f] = 2.5
    np.testing.assert_allclose((shifted["b_h"] - plain["b_h"]).reshape(4, 5, 1), expected, atol=1e-15)
    for name in ("W_xh", "W_hh"):
        np.testing.assert_array_equal(shifted[name], plain[name])


def test_forget_bias_needs_a_bias():
    with pytest.raises(ValueError, match=r"forget_bias=1\.0: must be 0 for a cell without biases"):
        LSTM(7, 5, "tanh", bias=False, forget_bias=1.0)


@pytest.mark.parametrize("bias", [True, False])
def test_readout_is_drawn_as_a_linear_layer(bias):
    params = Readout(H, 50, bias).init_params(np.random.default_rng(0), np.float32)
    shapes = {"W_hy": (50, H)} | ({"b_y": (50, 1)} if bias else {})
    assert {name: w.shape for name, w in params.items()} == shapes
    assert 0.999 / np.sqrt(H) < np.abs(params["W_hy"]).max() <= 1.0001 / np.sqrt(H)
    assert params["W_hy"].dtype == np.float32
