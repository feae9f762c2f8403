import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlab.diagnostics import probe_steps


@given(steps=st.integers(1, 20_000), dense=st.integers(0, 200), per_decade=st.integers(0, 40))
def test_lies_in_the_run_with_both_ends_and_the_dense_start(steps, dense, per_decade):
    chosen = probe_steps(steps, dense, per_decade)
    assert chosen <= set(range(steps))
    assert {0, steps - 1} <= chosen
    assert set(range(min(dense, steps))) <= chosen


@given(dense=st.integers(10, 100), per_decade=st.integers(1, 20))
def test_each_decade_has_its_share(dense, per_decade):
    chosen = probe_steps(dense * 1000, dense, per_decade)
    for start in (dense, 10 * dense, 100 * dense):
        # Rounding may merge steps where the first decade has hardly more of them than it wants.
        assert per_decade * 0.8 - 1 <= len(chosen & set(range(start, 10 * start))) <= per_decade + 1


def test_is_even_in_the_logarithm():
    assert sorted(probe_steps(10_001, dense=1, per_decade=1)) == [0, 1, 10, 100, 1000, 10_000]
    assert sorted(probe_steps(1000, dense=10, per_decade=2)) == [*range(10), 10, 32, 100, 316, 999]


@pytest.mark.parametrize(
    ("steps", "dense", "per_decade", "expected"),
    [(1, 0, 0, {0}), (1, 10, 12, {0}), (50, 0, 0, {0, 49}), (5, 3, 0, {0, 1, 2, 4}), (3, 10, 12, {0, 1, 2})],
)
def test_short_runs(steps, dense, per_decade, expected):
    assert probe_steps(steps, dense, per_decade) == expected
