import numpy as np
import pytest

from rnnlab.cells import Vanilla
from rnnlab.initial_states import Zero
from rnnlab.model import Model
from rnnlab.readout import Readout
from rnnlab.tasks import Noise
from tests.oracles.cases import NORMAL

TASK = Noise(7, 5, length_range=None, validation_examples=64, features=3, std=2.0, classes=4)


def test_batches_are_normal_numbers_and_one_class_at_the_end():
    rng = np.random.default_rng(0)
    batches = [TASK.batch(rng, step) for step in range(400)]
    x = np.concatenate([batch.x for batch in batches])
    y = np.concatenate([batch.y for batch in batches])
    assert batches[0].x.shape == (7, 3, 5) and batches[0].y.shape == (1, 5)
    assert not any(batch.continues for batch in batches)
    assert x.mean() == pytest.approx(0, abs=0.05) and x.std() == pytest.approx(2.0, abs=0.05)
    assert set(np.unique(y)) == {0, 1, 2, 3}
    assert abs(np.corrcoef(x[:-1, 0, 0], x[1:, 0, 0])[0, 1]) < 0.06


def test_probe_and_validation_are_the_same_every_time():
    one, other = (TASK.probe_batch(np.random.default_rng(3), 2, 20) for _ in range(2))
    assert one.x.shape == (20, 3, 2)
    np.testing.assert_array_equal(one.x, other.x)
    (first,), (second,) = TASK.validation(), TASK.validation()
    np.testing.assert_array_equal(first.x, second.x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_model_uses_the_initial_state_in_its_own_precision(dtype):
    model = Model(Vanilla(3, 6, "tanh", bias=True), Readout(6, 4, bias=True), Zero(), "cross_entropy", "mean")
    params = model.init_params(np.random.default_rng(0), NORMAL, dtype)
    tape = model.forward(params, TASK.batch(np.random.default_rng(1), 0))
    grads, _ = model.backward(params, tape)
    assert tape.cell.x.dtype == dtype
    assert all(grad.dtype == dtype for grad in grads.values())
    assert TASK.chance("cross_entropy") == pytest.approx(np.log(4))
