import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlab.diagnostics import Schedule, Spikes
from rnnlab.diagnostics.schedule import SPIKE_WINDOW


def probe_steps(steps, dense, per_decade, every=None):
    schedule = Schedule(dense, per_decade, every, on_spike=False)
    points = schedule.points(steps)
    return {step for step in range(steps) if schedule.due(step, points)}


@given(steps=st.integers(1, 20_000), dense=st.integers(0, 200), per_decade=st.integers(0, 40))
def test_probe_steps_lie_in_the_run_and_include_the_dense_start(steps, dense, per_decade):
    chosen = probe_steps(steps, dense, per_decade)
    assert chosen <= set(range(steps))
    assert 0 in chosen
    assert set(range(min(dense, steps))) <= chosen


@given(dense=st.integers(10, 100), per_decade=st.integers(1, 20))
def test_each_decade_has_its_share(dense, per_decade):
    chosen = probe_steps(dense * 1000, dense, per_decade)
    for start in (dense, 10 * dense, 100 * dense):
        # Rounding may merge points in the first decade if it has hardly more steps than points.
        assert per_decade * 0.8 - 1 <= len(chosen & set(range(start, 10 * start))) <= per_decade + 1


def test_is_even_in_the_logarithm():
    assert sorted(probe_steps(10_001, dense=1, per_decade=1)) == [0, 1, 10, 100, 1000, 10_000]
    assert sorted(probe_steps(1000, dense=10, per_decade=2)) == [*range(10), 10, 32, 100, 316]


@pytest.mark.parametrize(
    ("steps", "dense", "per_decade", "expected"),
    [(1, 0, 0, {0}), (1, 10, 12, {0}), (50, 0, 0, {0}), (5, 3, 0, {0, 1, 2}), (3, 10, 12, {0, 1, 2})],
)
def test_short_runs(steps, dense, per_decade, expected):
    assert probe_steps(steps, dense, per_decade) == expected


def test_every_n_steps():
    assert probe_steps(10, 0, 0, every=4) == {0, 4, 8}
    assert probe_steps(10, 2, 0, every=4) == {0, 1, 4, 8}


def spikes(norms, factor=5.0):
    found = Spikes(factor)
    return [step for step, norm in enumerate(norms) if found.update(norm)]


def test_a_spike_is_far_above_the_running_mean():
    norms = [1.0] * 100
    norms[40], norms[60] = 5.5, 4.5
    assert spikes(norms) == [40]
    assert spikes(norms, factor=4.0) == [40]  # the other comes within a window
    assert spikes(norms, factor=None) == []


def test_spikes_require_a_running_mean():
    assert spikes([1.0] * (Spikes.WARM_UP - 1) + [100.0]) == []
    assert spikes([1.0] * Spikes.WARM_UP + [100.0]) == [Spikes.WARM_UP]


def test_the_detector_pauses_after_a_spike():
    norms = [1.0] * 20 + [100.0] * 3 + [1.0] * SPIKE_WINDOW + [100.0]
    assert spikes(norms) == [20, 23 + SPIKE_WINDOW]


def test_the_mean_follows_a_drift():
    assert spikes(1.02 ** np.arange(300)) == []
    assert spikes(0.98 ** np.arange(300)) == []


@pytest.mark.parametrize("broken", [0.0, np.nan, np.inf])
def test_values_without_a_logarithm_are_omitted(broken):
    assert spikes([1.0] * 20 + [broken] * 5 + [1.0] * 20) == []
