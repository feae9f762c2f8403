"""Tests of the solved criterion at each validation, and of early stopping."""

from dataclasses import replace
from functools import partial
from itertools import takewhile

import numpy as np
import pytest

from rnnlab.diagnostics import Measurement, Schedule, measure_lag_curves
from rnnlab.tasks import Digits, EmbeddedReber, Latch
from tests.test_training import SILENT, STEPS, draw, make, same

EVERY = 25
LATCH = Latch(6, 16, length_range=None, validation_examples=100, information=2, noise_std=0.2)


@pytest.fixture(scope="module")
def trainer():
    return make(LATCH, steps=300, val_every=EVERY)


def run(trainer):
    params = draw(trainer)
    return list(trainer.train(params, np.random.default_rng(2))), params


@pytest.fixture(scope="module")
def records(trainer):
    return run(trainer)[0]


def first_solved(records):
    return next(r.step for r in records if r.metrics.get("val/error_rate") == 0)


def test_every_validation_has_a_baseline_and_a_verdict(records):
    validated = [record.metrics for record in records if "val/loss" in record.metrics]
    assert len(validated) == 300 // EVERY + 1
    assert {metrics["val/baseline"] for metrics in validated} == {0.5}
    for metrics in validated:
        assert metrics["val/solved"] == float(metrics["val/error_rate"] < 0.01)
    assert validated[0]["val/solved"] == 0 and validated[-1]["val/solved"] == 1


def test_the_first_solved_step_is_reported_once(records):
    reported = {r.step: r.metrics["steps_to_solve"] for r in records if "steps_to_solve" in r.metrics}
    step = first_solved(records)
    assert 0 < step < 300 and reported == {step: step}


def test_early_stopping_changes_no_earlier_step(trainer, records):
    stopped, params = run(replace(trainer, stop_when_solved=True))
    step = first_solved(records)
    assert [record.step for record in stopped] == list(range(step + 1))
    before = list(takewhile(lambda record: record.step < step, records))
    assert [r.metrics for r in stopped[:-1]] == [r.metrics for r in before]
    assert stopped[-1].metrics == records[step].metrics
    assert same(params, run(make(LATCH, steps=step))[1])


def test_the_solved_network_is_measured_before_the_end(trainer):
    when = Schedule(dense=1, per_decade=None, every=None, on_spike=False)
    curves = Measurement(partial(measure_lag_curves, targets=("last",)), when)
    probe = replace(SILENT, measurements={"lag_curves": curves})
    stopped, params = run(replace(trainer, stop_when_solved=True, probe=probe))
    assert [r.step for r in stopped if r.gradients] == [0, stopped[-1].step]
    model, inputs = trainer.model, trainer.probe_inputs()
    tape = model.forward(params, inputs.batch)
    (h,) = (curve for curve in stopped[-1].gradients if curve.quantity == "h")
    at_last = np.linalg.norm(params["W_hy"].T @ tape.d_outputs, axis=0)
    np.testing.assert_allclose(h.mean[0], at_last.mean(), rtol=1e-5)


def test_the_task_may_be_solved_at_the_last_step(records):
    step = first_solved(records)
    closing = run(make(LATCH, steps=step))[0][-1]
    assert (closing.step, closing.metrics["steps_to_solve"]) == (step, step)
    assert "steps_to_solve" not in run(make(LATCH, steps=2))[0][-1].metrics


def test_a_non_finite_loss_is_not_solved(trainer):
    params = draw(trainer)
    params["W_hy"][...] = np.nan
    with np.errstate(all="ignore"):
        metrics = trainer.validate(params)
    assert metrics["val/loss"] is None and metrics["val/solved"] == 0 and metrics["val/error_rate"] == 1


def test_uninformative_outputs_have_the_chance_loss(trainer):
    params = draw(trainer)
    params["W_hy"][...], params["b_y"][...] = 0, 0
    assert trainer.validate(params)["val/loss"] == pytest.approx(LATCH.chance("cross_entropy"), rel=1e-6)


def test_short_sequences_are_concatenated():
    digits = Digits(8, 4, "rows", permuted=False, validation_examples=397)
    long = make(digits, steps=STEPS).probe_inputs().long(20)
    some = digits.probe_batch(np.random.default_rng(0), 3, 8)
    assert long.x.shape == (20, 8, 1)
    np.testing.assert_array_equal(long.x[..., 0], np.concatenate(some.x.transpose(2, 0, 1))[:20])
    reber = EmbeddedReber(20, 4, train_examples=20, validation_examples=20)
    assert make(reber, steps=STEPS).probe_inputs().long(50).x.shape == (50, 1)
