"""Cosine of successive gradients, and the requirements that measurements declare."""

from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from rnnlab.app.config.build import build
from rnnlab.app.config.compose import compose_plan
from rnnlab.app.config.validation import InvalidConfig
from rnnlab.arrays import copy_params
from rnnlab.diagnostics import (
    Measurement,
    Previous,
    Probe,
    Readings,
    Schedule,
    Sizes,
    Snapshot,
    measure_gradient_direction,
    requires,
)
from rnnlab.initializers import Init, Initializer
from rnnlab.paths import conf_dir
from rnnlab.records import COSINE_TO_PREVIOUS
from rnnlab.training.memory_estimate import memory_needed
from tests.oracles.cases import build as build_case
from tests.oracles.cases import every_cell
from tests.oracles.snapshots import snapshot_of

INIT = Init(*(Initializer("normal", 0.8) for _ in range(3)))
ALWAYS = Schedule(dense=0, per_decade=0, every=1, on_spike=False)


def cosine(snapshot, previous):
    states = snapshot.tape.cell.final_states()
    measured = measure_gradient_direction(replace(snapshot, previous=Previous(previous, states)))
    return measured.metrics[COSINE_TO_PREVIOUS]


def trainer_of(*overrides):
    (job,) = compose_plan(conf_dir(), overrides, multirun=False).jobs
    return build(job.config).trainer


def test_the_cosine_is_that_of_the_joined_vectors():
    snapshot = snapshot_of(build_case(every_cell()[0]))
    rng = np.random.default_rng(0)
    other = {name: rng.standard_normal(a.shape) for name, a in snapshot.grads.items()}
    a, b = (np.concatenate([grads[name].ravel() for name in other]) for grads in (snapshot.grads, other))
    assert cosine(snapshot, other) == pytest.approx(a @ b / np.sqrt((a @ a) * (b @ b)), rel=1e-12)
    tiny = {name: 1e-200 * array for name, array in other.items()}
    assert cosine(snapshot, tiny) == pytest.approx(cosine(snapshot, other), rel=1e-12)
    assert cosine(snapshot, {name: -array for name, array in snapshot.grads.items()}) == pytest.approx(-1)
    assert cosine(snapshot, {name: 0 * array for name, array in other.items()}) is None
    assert measure_gradient_direction(snapshot).metrics == {COSINE_TO_PREVIOUS: None}


def test_a_run_compares_each_gradient_with_the_one_before():
    """The reference measures the gradients of each step on its own, before clipping."""
    trainer = trainer_of(
        "steps=6", "seq_len=12", "clip=0.01", "hidden_size=5", "probe=none", "+measurement=gradient_direction"
    )
    kept = []

    def keep(snapshot: Snapshot) -> Readings:
        kept.append((snapshot.step, copy_params(snapshot.grads), snapshot.updates))
        return Readings()

    measurements = {
        "direction": Measurement(measure_gradient_direction, ALWAYS),
        "keep": Measurement(keep, ALWAYS),
    }
    trainer = replace(trainer, probe=replace(trainer.probe, measurements=measurements))
    params = trainer.model.init_params(np.random.default_rng(0), INIT, np.float64)
    records = list(trainer.train(params, np.random.default_rng(1)))
    assert [step for step, *_ in kept] == list(range(7)) == [record.step for record in records]
    found = [record.metrics[COSINE_TO_PREVIOUS] for record in records]
    assert found[0] is None and found[-1] is None
    for (_, before, _), (step, grads, _) in pairwise(kept[:-1]):
        a, b = (np.concatenate([g[name].ravel() for name in grads]) for g in (before, grads))
        assert found[step] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), rel=1e-12)


def test_gradients_are_kept_only_for_a_measurement_that_reads_them():
    trainer = trainer_of("steps=3", "seq_len=12", "hidden_size=5", "probe=none")
    assert not trainer.probe.needs_previous
    state = trainer.begin(
        trainer.model.init_params(np.random.default_rng(0), INIT, np.float64), np.random.default_rng(1)
    )
    next(trainer.continue_from(state))
    assert state.gradients is None and not any(name.startswith("gradients") for name in state.to_parts()[0])


def test_declared_memory_and_targets_count():
    def bytes_of_own(sizes: Sizes, size: int) -> int:
        return size * sizes.examples + sizes.forward(1, 1)

    @requires(memory=bytes_of_own)
    def measure_own(snapshot: Snapshot, *, size: int) -> Readings:
        return Readings()

    trainer = trainer_of("probe=light")
    own = Measurement(partial(measure_own, size=1000), ALWAYS)
    larger = replace(
        trainer, probe=replace(trainer.probe, measurements={**trainer.probe.measurements, "own": own})
    )
    added = memory_needed(larger, "float32")["probe"] - memory_needed(trainer, "float32")["probe"]
    assert 1000 * trainer.probe.examples < added < 1100 * trainer.probe.examples + 100_000
    with pytest.raises(InvalidConfig, match=r"probe.measurements.lag_curves.targets=\(?\[?3"):
        trainer_of("task=adding", "seq_len=20", "probe.measurements.lag_curves.targets=[3]")


def test_a_measurement_without_declarations_needs_nothing():
    measurement = Measurement(lambda snapshot: Readings(), ALWAYS)
    assert not measurement.needs_previous and measurement.targets == ()
    assert measurement.memory(Sizes(None, 4, lambda examples, time: 10**9)) == 0
    assert not Probe({"own": measurement}, 4, None, 0, None).needs_previous
