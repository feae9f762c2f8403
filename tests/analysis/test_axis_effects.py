"""The sentence that compares the axes of a sweep, for constructed sweeps with known differences."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats

from rnnlab.analysis.report.axis_effects import compare_axes
from rnnlab.analysis.report.conditions import TRAINED, find_conditions
from tests.analysis.constructed import sweep
from tests.analysis.many_runs import NAN

CELLS, RATES, CLIPS = ("rnn", "lstm", "gru"), (0.1, 1.0), (1.0, NAN)
SIGN = {"rnn": 1.0, "lstm": -1.0, "gru": 1.0}


def noisy(seeds: int, decay: Callable[[str, float], float], noise: float = 0.2) -> list[dict[str, Any]]:
    """Return the runs of a full factorial sweep whose decay depends on cell and lr but not on clip."""
    rng = np.random.default_rng(3)
    return [
        {"cell": cell, "lr": lr, "clip": clip, "seed": seed, TRAINED: decay(cell, lr) + rng.normal(0, noise)}
        for cell, lr, clip, seed in itertools.product(CELLS, RATES, CLIPS, range(seeds))
    ]


def sentence(rows: list[dict[str, Any]], *axes: str) -> str:
    found = compare_axes(find_conditions(sweep(*rows), axes), axes)
    return found[0].striptags() if found else ""


def expected(rows: list[dict[str, Any]], axis: str, others: tuple[str, str]) -> tuple[float, ...]:
    """Return the root mean square difference with its interval, from loops over runs and seeds."""
    keyed = {
        (*(str(row[name]) for name in others), str(row[axis]), row["seed"]): row[TRAINED] for row in rows
    }
    settings = {key[:2] for key in keyed}
    values = sorted({key[2] for key in keyed})

    def square(seeds: list[int]) -> float:
        terms = [
            (keyed[*setting, one, r] - keyed[*setting, two, r]) * (keyed[*setting, one, s] - keyed[*setting, two, s])
            for setting in settings
            for one, two in itertools.combinations(values, 2)
            for r, s in itertools.permutations(seeds, 2)
        ]  # fmt: skip
        return float(np.mean(terms))

    seeds = sorted({row["seed"] for row in rows})
    left_out = np.array([square([s for s in seeds if s != left]) for left in seeds])
    error = np.sqrt((len(seeds) - 1) * left_out.var())
    half = scipy.stats.t(len(seeds) - 1).ppf(0.975) * error
    mean = square(seeds)
    return tuple(max(value, 0.0) ** 0.5 for value in (mean, mean - half, mean + half))


def test_an_axis_with_opposite_effects_matters_and_one_without_effect_does_not() -> None:
    rows = noisy(5, lambda cell, lr: -4.0 + 3 * lr * SIGN[cell])
    cell, lr, clip = (
        "{:.1f}|({:.1f} to {:.1f})".format(*expected(rows, *axes))
        for axes in (("cell", ("lr", "clip")), ("lr", ("cell", "clip")), ("clip", ("cell", "lr")))
    )
    numbers = {axis: text.split("|") for axis, text in (("cell", cell), ("lr", lr), ("clip", clip))}
    assert sentence(rows, "cell", "lr", "clip") == (
        "cell matters most; the seeds do not separate the values of clip: two values of "
        f"cell differ by {numbers['cell'][0]} decades at lag 49 (95 % interval {numbers['cell'][1][1:]}, "
        f"of lr by {numbers['lr'][0]} {numbers['lr'][1]} and of clip by {numbers['clip'][0]} {numbers['clip'][1]}, "
        "with the other axes equal."
    )  # the mean effect of lr over the cells is only a third of its effect in each
    assert float(numbers["lr"][0]) == pytest.approx(2.7, abs=0.2)


def test_axes_that_the_seeds_cannot_rank_share_the_first_rank() -> None:
    rows = noisy(4, lambda cell, lr: -4.0 + 2 * lr + 1.3 * CELLS.index(cell), noise=0.4)
    assert sentence(rows, "cell", "lr", "clip").startswith("lr and cell matter most; ")
    nothing = noisy(4, lambda cell, lr: -4.0, noise=0.4)
    assert sentence(nothing, "cell", "lr", "clip").startswith("The seeds do not separate the values of ")


@pytest.mark.parametrize("change", ["two seeds", "other seeds", "repeated seeds"])
def test_without_three_shared_seeds_there_are_ranges(change: str) -> None:
    rows = noisy(2 if change == "two seeds" else 3, lambda cell, lr: -4.0 + lr * SIGN[cell], noise=0.0)
    for number, row in enumerate(rows):
        if change == "other seeds":
            row["seed"] = number
        elif change == "repeated seeds":
            row["seed"] = min(row["seed"], 1)
    assert sentence(rows, "cell", "lr", "clip") == (
        "cell makes the largest difference: its best and worst values differ by 0.2 to 2.0 decades at lag 49, "
        "those of lr by 0.9 and those of clip by 0.0 (the other axes equal; no intervals, because there are fewer "
        "than three seeds)."
    )


def test_only_complete_combinations_are_compared() -> None:
    rows = noisy(3, lambda cell, lr: -4.0 + lr * SIGN[cell], noise=0.01)
    lost = [row | {TRAINED: NAN} if row["cell"] == "gru" and row["lr"] == 1 else row for row in rows]
    found = sentence(lost, "cell", "lr", "clip")
    assert "of cell by 0.2" in found, "at lr=0.1, the only rate with all cells"
    assert "lr differ by 0.9" in found


def test_inseparable_axes_give_no_claim() -> None:
    rows = noisy(3, lambda cell, lr: -4.0 + lr)
    paired = [row for row in rows if row["cell"] != "gru" and (row["cell"] == "rnn") == (row["lr"] == 1)]
    assert sentence(paired, "cell", "lr") == ""
    assert (
        sentence(rows, "cell") == "" and sentence([row | {TRAINED: NAN} for row in rows], "cell", "lr") == ""
    )


@pytest.mark.parametrize("seeds", [1, 3])
def test_values_that_look_alike_are_not_compared(seeds: int) -> None:
    """The two rates are both written as 0.1, so a label does not name one condition."""
    rates = (0.1, 0.1 + 1e-9)
    rows = [
        {"cell": cell, "lr": lr, "seed": seed, TRAINED: -4.0 + SIGN[cell] + 0.1 * seed}
        for cell, lr, seed in itertools.product(CELLS, rates, range(seeds))
    ]
    assert len(find_conditions(sweep(*rows), ["cell", "lr"])) == 6
    assert sentence(rows, "cell", "lr") == ""


def test_the_interval_covers_the_difference() -> None:
    """Simulate sweeps with five seeds and a known difference, and without any difference."""
    from rnnlab.analysis.report.axis_effects import _mean_square, _products

    rng = np.random.default_rng(0)
    truth, covered, separated = 3.0**2, 0, 0
    for _ in range(400):
        noise = rng.normal(size=(6, 2, 5))
        _, low, high = _mean_square(_products(noise + np.array([0.0, 3.0])[:, None]))
        covered += low <= truth <= high
        separated += _mean_square(_products(noise))[1] > 0
    assert covered >= 0.9 * 400 and separated <= 0.05 * 400


def test_decays_are_compared_at_the_common_lag() -> None:
    frame = sweep(*noisy(1, lambda cell, lr: -4.0 + lr, noise=0.0)).assign(**{"common lag": 19.0})
    frame["common decay"] = np.where(frame["cell"] == "rnn", -1.0, -3.0)
    (found,) = compare_axes(find_conditions(frame, ["cell", "lr"]), ["cell", "lr"])
    assert "differ by 2.0 decades at lag 19 and those of lr by 0.0" in found.striptags()
