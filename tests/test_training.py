"""The training loop compared with a hand-written loop, and its behaviour after failures."""

from collections import defaultdict
from dataclasses import replace
from functools import partial
from itertools import islice
from math import log

import numpy as np
import pytest

from rnnlab.arrays import copy_params
from rnnlab.cells import LSTM, Vanilla
from rnnlab.clipping import Clipping
from rnnlab.diagnostics import (
    Measurement,
    Probe,
    Schedule,
    Spikes,
    lag_curves_of,
    ln_lag_curves,
    measure_lag_curves,
    measure_norms,
    measure_parameters,
)
from rnnlab.initial_states import Zero
from rnnlab.initializers import Init, Initializer
from rnnlab.model import Batch, Model
from rnnlab.optimizers import SGD, Adam
from rnnlab.readout import Readout
from rnnlab.records import FirstNonFinite
from rnnlab.tasks import CharLM
from rnnlab.training import Trainer
from rnnlab.workspace import Workspace
from tests.oracles.cases import NORMAL
from tests.tasks.texts import VERSES, random_text

H, TIME, BATCH, STEPS = 10, 8, 4, 45

SILENT = Probe({}, examples=3, length=None, seed=0, spike_factor=None)
WHEN = Schedule(dense=3, per_decade=4, every=None, on_spike=False)
SCHEDULED = {step for step in range(STEPS) if WHEN.due(step, WHEN.points(STEPS))} | {STEPS}
PROBE = replace(
    SILENT,
    measurements={
        "norms": Measurement(measure_norms, WHEN),
        "parameters": Measurement(measure_parameters, WHEN),
        "lag_curves": Measurement(partial(measure_lag_curves, targets=("last",)), WHEN),
    },
)
CELLS = {
    "tanh": lambda size: Vanilla(size, H, "tanh", bias=True),
    "relu": lambda size: Vanilla(size, H, "relu", bias=True),
    "lstm": lambda size: LSTM(size, H, "tanh", bias=True, forget_bias=1.0),
}


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """The text is so short that the streams restart several times in STEPS steps."""
    path = tmp_path_factory.mktemp("text") / "verses.txt"
    path.write_text(VERSES, encoding="utf-8")
    return CharLM(TIME, BATCH, str(path), True, "every", held_out=0.2, sample_length=0, temperature=1.0)


def make(task, cell="tanh", reduction="mean", **choices):
    model = Model(
        CELLS[cell](task.input_size),
        Readout(H, task.output_size, bias=True),
        Zero(),
        "cross_entropy",
        reduction,
    )
    defaults = {
        "optimizer": Adam(0.01, 0.9, 0.999, 1e-8),
        "clipping": Clipping(1.0, "norm"),
        "probe": SILENT,
        "steps": STEPS,
        "val_every": None,
        "stop_when_solved": False,
    }
    return Trainer(model, task, **defaults | choices)


def draw(trainer, dtype=np.float32, seed=1, init=NORMAL):
    return trainer.model.init_params(np.random.default_rng(seed), init, dtype)


def run(trainer, dtype=np.float32, **options):
    """Return the records and the trained parameters."""
    params = draw(trainer, dtype, **options)
    return list(trainer.train(params, np.random.default_rng(2))), params


def by_hand(trainer, dtype=np.float32, carry=lambda batch: batch.continues):
    """Return the parameters after step-by-step training without a workspace."""
    params, model, carried = draw(trainer, dtype), trainer.model, None
    state = trainer.optimizer.init(params)
    for step in range(trainer.steps):
        batch = trainer.task.batch(np.random.default_rng(2), step)
        tape = model.forward(params, batch, carried if carry(batch) else None)
        grads, _ = model.backward(params, tape)
        trainer.clipping.apply(grads)
        trainer.optimizer.update(params, grads, state)
        carried = tape.cell.final_states()
    return params


def same(one, other):
    return set(one) == set(other) and all(np.array_equal(one[name], other[name]) for name in one)


def values(records, metric):
    return [record.metrics[metric] for record in records if metric in record.metrics]


both_cells = pytest.mark.parametrize("cell", ["tanh", "lstm"])
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@both_cells
@both_dtypes
def test_equals_a_handwritten_loop_bit_for_bit(task, cell, dtype):
    trainer = make(task, cell)
    _, params = run(trainer, dtype)
    assert all(w.dtype == dtype for w in params.values())
    assert same(params, by_hand(trainer, dtype))


@both_cells
def test_the_state_is_carried_and_started_anew_with_the_streams(task, cell):
    """The hand-written loop's result when the state is never carried over or never reset."""
    trainer = make(task, cell)
    assert any(not task.batch(np.random.default_rng(0), step).continues for step in range(1, STEPS))
    _, params = run(trainer)
    assert not same(params, by_hand(trainer, carry=lambda batch: False))
    assert not same(params, by_hand(trainer, carry=lambda batch: True))


@both_cells
def test_the_same_seed_gives_a_bit_identical_run(task, cell):
    trainer = make(task, cell, probe=PROBE, val_every=10)
    (first, params), (second, again) = run(trainer), run(trainer)
    assert same(params, again)
    assert [record.metrics for record in first] == [record.metrics for record in second]
    for one, other in zip(first, second, strict=True):
        for curve, same_curve in zip(one.gradients, other.gradients, strict=True):
            for name, value in vars(curve).items():
                np.testing.assert_array_equal(value, getattr(same_curve, name))
    assert not same(params, run(trainer, seed=3)[1])


@both_cells
@both_dtypes
def test_measuring_does_not_change_the_run(task, cell, dtype):
    bare, bare_params = run(make(task, cell), dtype)
    measured, params = run(make(task, cell, probe=PROBE, val_every=7), dtype)
    assert same(params, bare_params)
    assert values(measured, "train/loss") == values(bare, "train/loss")
    assert not any(record.gradients for record in bare)


@both_cells
def test_a_record_belongs_to_the_network_before_its_update(task, cell):
    trainer = make(task, cell, probe=PROBE)
    params = draw(trainer)
    training = trainer.train(params, np.random.default_rng(2))
    probe_batch = task.probe_batch(np.random.default_rng(PROBE.seed), PROBE.examples, TIME)
    before, carried = copy_params(params), None
    for record in islice(training, 3):
        batch = task.batch(np.random.default_rng(2), record.step)
        tape = trainer.model.forward(before, batch, carried)
        grads, deltas = trainer.model.backward(before, tape)
        by_lag = lag_curves_of(ln_lag_curves(trainer.model, before, probe_batch))
        found = {(curve.quantity, curve.axis): curve.log10_gmean for curve in record.gradients}
        for curve in by_lag:
            np.testing.assert_array_equal(found[curve.quantity, "lag"], curve.log10_gmean)
        norms = np.sqrt((deltas.total["h"].astype(np.float64) ** 2).sum(axis=1)) * BATCH
        np.testing.assert_allclose(found["h", "timestep"], np.log10(norms).mean(axis=1), rtol=1e-5, atol=1e-5)
        assert record.metrics["train/loss"] == tape.loss
        for name, grad in grads.items():
            assert record.metrics[f"grad_norm/{name}"] == pytest.approx(np.linalg.norm(grad), rel=1e-5)
            update = np.linalg.norm(params[name] - before[name]) / np.linalg.norm(before[name])
            assert record.metrics[f"update_ratio/{name}"] == pytest.approx(update, rel=1e-4)
        before, carried = copy_params(params), tape.cell.final_states()


@both_cells
def test_the_final_record_belongs_to_the_final_network(task, cell):
    """It uses the last batch again and draws nothing: all earlier records are those of a longer run."""
    trainer = make(task, cell, probe=PROBE)
    records, params = run(trainer)
    final = records[-1]
    assert final.step == STEPS and not any(name.startswith("update_ratio") for name in final.metrics)
    probe_batch = task.probe_batch(np.random.default_rng(PROBE.seed), PROBE.examples, TIME)
    expected = lag_curves_of(ln_lag_curves(trainer.model, params, probe_batch))
    found = {(curve.quantity, curve.axis): curve for curve in final.gradients}
    for curve in expected:
        np.testing.assert_array_equal(found[curve.quantity, "lag"].log10_gmean, curve.log10_gmean)
    longer, _ = run(replace(trainer, steps=STEPS + 1))
    assert values(longer, "train/loss")[:-1] == values(records, "train/loss")
    last = longer[STEPS - 1]
    assert {curve.quantity for curve in final.gradients} >= {curve.quantity for curve in last.gradients}


def test_records_follow_the_schedules(task):
    records, _ = run(make(task, probe=PROBE, val_every=10))
    assert [record.step for record in records] == list(range(STEPS + 1))
    assert {record.step for record in records if record.gradients} == SCHEDULED
    assert {r.step for r in records if "grad/log10_gain" in r.metrics} == SCHEDULED
    assert [r.step for r in records if "val/loss" in r.metrics] == [0, 10, 20, 30, 40, STEPS]
    assert all("train/loss" in record.metrics for record in records[:-1])
    assert "train/loss" not in records[-1].metrics

    only_last, _ = run(make(task))
    assert [r.step for r in only_last if "val/loss" in r.metrics] == [STEPS]


def test_a_spike_of_the_gradient_is_measured(task):
    """The learning rate makes the gradient jump at a step outside the schedule."""
    never = Schedule(dense=0, per_decade=0, every=None, on_spike=False)
    on_spike = replace(never, on_spike=True)
    measurements = {
        "norms": Measurement(measure_norms, on_spike),
        "parameters": Measurement(measure_parameters, never),
    }
    probe = replace(SILENT, measurements=measurements, spike_factor=1.5)
    records, _ = run(make(task, probe=probe, optimizer=SGD(2.0, 0.0), clipping=Clipping(None, "norm")))
    norms = values(records, "grad/norm")
    spikes = Spikes(1.5)
    expected = {step for step, norm in enumerate(norms) if spikes.update(norm)} | {0, STEPS}
    assert {record.step for record in records if record.gradients} == expected
    assert len(expected) > 2
    assert {r.step for r in records if "grad_norm/W_hh" in r.metrics} == {0, STEPS}


def test_a_longer_probe_reaches_beyond_seq_len(task):
    records, _ = run(make(task, probe=replace(PROBE, length=3 * TIME)))
    lags = [curve.index for curve in records[0].gradients if curve.axis == "lag"]
    assert all(len(index) == 3 * TIME for index in lags) and lags


def test_does_not_change_numpys_warnings_between_steps(task):
    before = np.geterr()
    training = make(task).train(draw(make(task)), np.random.default_rng(2))
    next(training)
    between = np.geterr()
    training.close()
    assert between == before


def test_learns_a_predictable_text(tmp_path):
    path = tmp_path / "abc.txt"
    path.write_text("abcd" * 200, encoding="utf-8")
    task = CharLM(TIME, BATCH, str(path), True, "every", held_out=0.2, sample_length=0, temperature=1.0)
    records, _ = run(make(task, "lstm", steps=150))
    assert values(records, "train/loss")[0] > 1.0
    assert records[-1].metrics["val/loss"] < 0.1
    assert all(record.unstable_since is None and record.non_finite is None for record in records)


@pytest.mark.parametrize("streams", [1, 5])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@both_cells
def test_validation_is_the_mean_over_all_held_out_targets(tmp_path, monkeypatch, cell, reduction, streams):
    """Validation in chunks, with one target fewer in the last stream, equals a single pass per stream."""
    monkeypatch.setattr("rnnlab.tasks.char_lm.VALIDATION_STREAM", 599 // streams)
    monkeypatch.setattr("rnnlab.tasks.char_lm.VALIDATION_CHUNK", 50)
    path = tmp_path / "text.txt"
    path.write_text(random_text(1500), encoding="utf-8")
    task = CharLM(TIME, BATCH, str(path), True, "every", held_out=0.4, sample_length=0, temperature=1.0)
    trainer = make(task, cell, reduction)
    params = draw(trainer, np.float64)

    held_out = np.array([task.symbols.index(s) for s in task.text[-600:]])
    length = 600 // streams
    losses = []
    for start in range(0, 599, length):
        stream = held_out[start : start + length + 1, None]
        losses += list(trainer.model.forward(params, Batch(stream[:-1], stream[1:])).losses)
    assert len(losses) == 599

    assert next(task.validation()).x.shape == (50, streams)
    workspaces = defaultdict(Workspace)
    metrics = trainer.validate(params, workspaces)
    assert workspaces, "buffers for the next validation"
    assert metrics["val/loss"] == pytest.approx(np.mean(losses), rel=1e-12)
    assert metrics["val/bpc"] == pytest.approx(np.mean(losses) / log(2), rel=1e-12)


def test_clip_rate_is_the_share_of_steps_clipped_so_far(task):
    norms = values(run(make(task, clipping=Clipping(None, "norm")))[0], "grad/norm")
    records, _ = run(make(task, clipping=Clipping(float(np.median(norms)), "norm")))
    clipped = np.array(values(records, "grad/clipped"))
    assert 0 < clipped.sum() < STEPS  # some, but not all
    np.testing.assert_allclose(
        values(records, "grad/clip_rate"), np.cumsum(clipped) / np.arange(1, STEPS + 1)
    )
    before, after = values(records, "grad/norm"), values(records, "grad/norm_clipped")
    np.testing.assert_array_equal(clipped, np.array(before) > np.median(norms))
    np.testing.assert_allclose(after, np.minimum(before, np.median(norms)), rtol=1e-6)
    assert values(records, "grad/clip_cosine") == [1.0] * STEPS


def test_clip_cosine_is_of_the_gradient_before_and_after(task):
    trainer = make(task, clipping=Clipping(1e-3, "value"), steps=1)
    records, _ = run(trainer)
    params = draw(trainer)
    batch = task.batch(np.random.default_rng(2), 0)
    grads, _ = trainer.model.backward(params, trainer.model.forward(params, batch))
    before = np.concatenate([grad.ravel() for grad in grads.values()])
    after = before.clip(-1e-3, 1e-3)
    expected = before @ after / (np.linalg.norm(before) * np.linalg.norm(after))
    assert values(records, "grad/clip_cosine") == pytest.approx([expected], rel=1e-5)
    assert expected < 0.99


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(
    ("lr", "window", "steps"),
    [(300.0, 50, 60), (300.0, 50, 30), (4.0, 10, 60)],
    ids=["at once", "shorter than the window", "slowly"],
)
def test_a_bounded_network_with_a_loss_above_twice_chance_is_unstable(
    task, monkeypatch, reduction, lr, window, steps
):
    """tanh and softmax stay finite for any weights, so instability shows as a loss of twice chance level."""
    monkeypatch.setattr("rnnlab.training.trainer.UNSTABLE_WINDOW", window)
    targets = TIME if reduction == "sum" else 1  # losses are summed
    choices = {"optimizer": SGD(lr / targets, 0.0), "clipping": Clipping(None, "norm"), "steps": steps}
    records, _ = run(make(task, reduction=reduction, **choices))
    losses = values(records, "train/loss")
    window = min(window, steps)
    unstable = [
        step
        for step in range(window - 1, steps)
        if np.mean(losses[step - window + 1 : step + 1]) > 2 * targets * task.chance("cross_entropy")
    ]
    since = unstable[0]
    assert records[-1].non_finite is None
    assert {r.unstable_since for r in records if r.step < since} <= {None}
    assert {r.unstable_since for r in records if r.step >= since} == {since}


def test_a_sum_over_time_is_not_unstable_for_being_large(task):
    records, _ = run(make(task, reduction="sum"))
    assert min(values(records, "train/loss")) > 2 * task.chance(
        "cross_entropy"
    )  # a mean may not reach this value
    assert {record.unstable_since for record in records} == {None}


IDENTITY = Init(Initializer("identity", 1.0), Initializer("zero", 1.0), Initializer("zero", 1.0))
LINEAR = {"clipping": Clipping(None, "norm"), "optimizer": SGD(0.1, 0.0)}


def linear(task, **choices):
    """A linear network h[t] = W_xh x[t] + W_hh h[t-1] with states that are powers of ten."""
    trainer = make(task, **LINEAR | choices)
    cell = Vanilla(task.input_size, H, "identity", bias=False)
    trainer = replace(trainer, model=replace(trainer.model, cell=cell))
    return trainer, draw(trainer, init=IDENTITY)


def ending(trainer, params):
    """Return the records after checking that only the last record reports an end."""
    before = copy_params(params)
    records = list(trainer.train(params, np.random.default_rng(2)))
    assert all(record.non_finite is None for record in records[:-1])
    if len(records) == 1:
        assert same(params, before)  # no update with non-finite gradients
    return records


def test_a_state_that_overflows_ends_the_run(task):
    """The states are h = 1, 1e10, 1e20, 1e30 and overflow float32 at step 5."""
    trainer, params = linear(task, probe=PROBE)
    params["W_xh"][...] = 1
    params["W_hh"] *= 1e10
    (record,) = ending(trainer, params)
    assert record.non_finite == FirstNonFinite("h", 5)
    assert record.metrics["train/loss"] is None
    assert {curve.quantity for curve in record.gradients} >= {"h", "x"}, "measured where it diverges"


def test_the_step_that_diverges_is_measured_even_if_it_is_not_scheduled(task):
    once = Schedule(dense=0, per_decade=0, every=None, on_spike=False)
    probe = replace(PROBE, measurements={n: replace(m, when=once) for n, m in PROBE.measurements.items()})
    trainer, params = linear(task, probe=probe, optimizer=SGD(1e25, 0.0), clipping=Clipping(None, "norm"))
    records = ending(trainer, params)
    assert len(records) > 1 and records[-1].non_finite is not None
    assert [record.step for record in records if record.gradients] == [0, records[-1].step]


def test_an_update_that_would_make_weights_infinite_ends_the_run_at_its_step(task):
    """The loss and all gradients are finite; the weights before the update are measured and kept."""
    trainer, params = linear(task, probe=PROBE, optimizer=SGD(3e38, 0.0), clipping=Clipping(1e3, "norm"))
    params["W_hy"] *= 100  # the gradient with respect to W_xh is about 100
    right = linear(task, probe=PROBE, steps=1, clipping=Clipping(1e3, "norm"))[0]
    first, *_ = right.train(copy_params(params), np.random.default_rng(2))
    (record,) = ending(trainer, params)
    assert record.step == 0 and record.non_finite == FirstNonFinite("W_xh", None)
    assert record.metrics["train/loss"] == first.metrics["train/loss"] is not None
    names = {curve.quantity for curve in record.gradients}
    assert names >= {"h", "x"} and names <= {curve.quantity for curve in first.gradients}
    found, other = (
        {c.quantity: c.log10_gmean for c in r.gradients if c.axis == "timestep"} for r in (record, first)
    )
    for name, row in found.items():
        np.testing.assert_array_equal(row, other[name], err_msg=name)
    assert all(np.isfinite(w).all() for w in params.values())


def test_a_gradient_that_overflows_ends_the_run(task):
    """With h = 0 throughout, δ grows by 1e12 per step backwards, from about 1e-2 at T to over 1e38 at T - 4."""
    trainer, params = linear(task)
    params["W_hh"] *= 1e12
    (record,) = ending(trainer, params)
    assert record.non_finite == FirstNonFinite("d_h", TIME - 4)
    assert record.metrics["train/loss"] == pytest.approx(task.chance("cross_entropy"), rel=0.1)
    assert record.metrics["grad/norm"] is None


@pytest.mark.parametrize("clipping", [(None, "norm"), (1.0, "norm"), (1.0, "value")])
def test_an_overflowing_parameter_gradient_is_found_with_any_clipping(task, clipping):
    """The values h = (1e20, 0, …), δ = (0, 1e20, …) and the logits are finite, but δ hᵀ is not."""
    trainer, params = linear(task, clipping=Clipping(*clipping))
    params["W_hh"][...] = 0
    params["W_xh"][0] = 1e20
    params["W_hy"][...] = 0
    params["W_hy"][:, 1] = np.linspace(-1e21, 1e21, task.output_size)
    (record,) = ending(trainer, params)
    assert record.non_finite == FirstNonFinite("d_W_hh", None)


def test_an_overflowing_validation_is_reported(task):
    trainer, params = linear(task, steps=1, optimizer=SGD(1e25, 0.0))
    params["W_xh"][...] = 1
    records = ending(trainer, params)
    assert [record.step for record in records] == [0, 1]
    assert records[-1].non_finite == FirstNonFinite("val/loss", None)
    assert records[-1].metrics["val/loss"] is records[-1].metrics["val/bpc"] is None


@pytest.mark.parametrize(
    ("optimizer", "gain"), [(SGD(1e10, 0.0), 1.0), (SGD(0.01, 0.0), 60.0)], ids=["huge lr", "huge gain"]
)
def test_a_relu_network_diverges(task, optimizer, gain):
    trainer = make(
        task, "relu", optimizer=optimizer, clipping=Clipping(None, "norm"), probe=PROBE, val_every=5
    )
    params = draw(trainer, init=replace(NORMAL, W_hh=Initializer("normal", gain)))
    *_, last = records = list(trainer.train(params, np.random.default_rng(2)))
    assert len(records) <= STEPS
    assert last.non_finite is not None
    assert all(r.non_finite is None and None not in _of_training(r).values() for r in records[:-1])
    assert None in _of_training(last).values()


def _of_training(record):
    """Return the loss and norms, which are numbers as long as a run is finite."""
    return {name: record.metrics[name] for name in ("train/loss", "grad/norm", "grad/norm_clipped")}
