"""The question and the answer of a report, for constructed sweeps whose answer is computed by hand."""

import itertools
import re
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from rnnlab.analysis.report.answer import Answer, answer_question
from rnnlab.analysis.report.conditions import (
    COMMON_DECAY,
    LAG,
    LAST_STEP,
    TRAINED,
    UNTRAINED,
    find_conditions,
)
from tests.analysis.constructed import METRIC, sweep
from tests.analysis.many_runs import NAN

HOSTILE = ("a|b", "$x_{1}$", "<script>alert(1)</script>", "&amp;", "%7C", '"quoted"')


def answer(frame: pd.DataFrame, *axes: str, main: str | None = None, metric: str = METRIC) -> Answer:
    main = axes[0] if axes and main is None else main
    return answer_question(frame, find_conditions(frame, axes), axes, main, metric)


def texts(found: Answer) -> list[str]:
    return [sentence.striptags() for sentence in found.sentences]


def test_two_runs() -> None:
    frame = sweep(
        {"cell": "rnn", TRAINED: -5.0, UNTRAINED: -8.0, "grad/horizon": 12.0, METRIC: 0.75},
        {
            "cell": "lstm",
            TRAINED: -2.0,
            UNTRAINED: 3.0,
            "grad/horizon": 49.0,
            "grad/censored": 1.0,
            METRIC: 0.25,
        },
    )
    found = answer(frame, "cell")
    assert found.question == "How far back in time do gradients reach in rnn and lstm?"
    assert found.setting == "Task adding; 50 time steps; 8 hidden units; 1 seed; 2 runs in total."
    assert texts(found) == [
        "After training, lstm keeps 3.0 decades (a factor of 1,000) more of the gradient than rnn at lag 49.",
        "rnn: at lag 49, compared with lag 1, the gradient shrinks 100,000-fold (1.0×10⁸-fold before training); "
        "horizon (last lag with 1 % of the gradient left) 12 time steps.",
        "lstm: at lag 49, compared with lag 1, the gradient shrinks 100-fold (grows 1,000-fold before training); "
        "horizon ≥ 49 time steps.",
        "Lowest val/loss: 0.250 with cell=lstm; baseline 1.000.",
    ]


def test_a_difference_of_replicates_is_paired_by_seed_and_has_an_interval() -> None:
    rnn, lstm = [-5.0, -5.5, -4.8, -5.2], [-2.1, -2.3, -1.6, -2.4]
    rows = [
        {"cell": cell, "seed": seed, TRAINED: value}
        for cell, values in (("rnn", rnn), ("lstm", lstm))
        for seed, value in enumerate(values)
    ]
    (first, *_) = texts(answer(sweep(*rows), "cell"))
    limits = scipy.stats.ttest_rel(lstm, rnn).confidence_interval(0.95)
    mean = np.mean(lstm) - np.mean(rnn)
    assert first == (
        f"After training, lstm keeps {mean:.1f} decades (a factor of {float(f'{10 ** round(mean, 1):.1e}'):,.0f}) "
        f"more of the gradient than rnn at lag 49 (95 % interval {limits.low:.1f} to {limits.high:.1f} decades, paired over 4 seeds)."
    )
    shuffled = sweep(*rows).sample(frac=1, random_state=1)
    assert texts(answer(shuffled, "cell"))[0] == first, "paired by seed, not by position"


def test_only_shared_seeds_are_paired() -> None:
    rnn, lstm = {0: -5.0, 1: -5.5, 2: -4.8, 3: -9.0}, {0: -2.0, 1: -2.3, 2: -1.9, 4: -0.1}
    rows = [{"cell": "rnn", "seed": seed, TRAINED: value} for seed, value in rnn.items()]
    rows += [{"cell": "lstm", "seed": seed, TRAINED: value} for seed, value in lstm.items()]
    (first, *_) = texts(answer(sweep(*rows), "cell"))
    shared = [lstm[seed] - rnn[seed] for seed in (0, 1, 2)]
    limits = scipy.stats.ttest_1samp(shared, 0).confidence_interval(0.95)
    assert f"{np.mean(shared):.1f} decades" in first
    assert f"{limits.low:.1f} to {limits.high:.1f} decades, paired over 3 seeds)" in first
    apart = sweep(*({**row, "seed": number} for number, row in enumerate(rows)))
    (first, *_) = texts(answer(apart, "cell"))
    assert f"{np.mean(list(lstm.values())) - np.mean(list(rnn.values())):.1f} decades" in first
    assert "interval" not in first
    without_seeds = texts(answer(apart.drop(columns="seed"), "cell"))
    assert without_seeds[0] == first


def test_two_seeds_have_no_interval() -> None:
    rows = [{"cell": cell, "seed": seed, TRAINED: -2.0 - seed - 3 * (cell == "rnn")}
            for cell in ("rnn", "lstm") for seed in range(2)]  # fmt: skip
    found = texts(answer(sweep(*rows), "cell"))
    assert found[0].endswith("keeps 3.0 decades (a factor of 1,000) more of the gradient than rnn at lag 49.")
    assert not any("interval" in text for text in found)
    assert "horizon (last lag with 1 % of the gradient left) 10 time steps" in found[1]


def test_an_interval_that_includes_zero_does_not_separate_two_cells() -> None:
    rnn, lstm = [-5.0, -3.0, -4.0], [-3.0, -4.5, -3.6]
    rows = [
        {"cell": cell, "seed": seed, TRAINED: value}
        for cell, values in (("rnn", rnn), ("lstm", lstm))
        for seed, value in enumerate(values)
    ]
    limits = scipy.stats.ttest_rel(lstm, rnn).confidence_interval(0.95)
    assert limits.low < 0 < limits.high
    found = texts(answer(sweep(*rows), "cell"))
    difference = np.mean(lstm) - np.mean(rnn)
    assert found[0] == (
        f"The seeds do not separate lstm and rnn after training: a difference of {difference:.1f} decades "
        f"(a factor of {10 ** round(difference, 1):.2g}) at lag 49 (95 % interval −{-limits.low:.1f} to {limits.high:.1f} decades, paired over 3 seeds)."
    )
    assert not any("keeps" in text for text in found)


def test_several_axes_give_the_smallest_and_the_largest_difference() -> None:
    trained = {("rnn", 0.1): -6.0, ("rnn", 1.0): -9.0, ("lstm", 0.1): -2.0, ("lstm", 1.0): -2.5}
    rows = [
        {"cell": cell, "lr": lr, TRAINED: value, "grad/horizon": -10 * value}
        for (cell, lr), value in trained.items()
    ]
    found = answer(sweep(*rows), "cell", "lr")
    assert found.question == "How far back in time do gradients reach in rnn and lstm, by learning rate?"
    assert "; lr 0.1, 1; " in found.setting
    assert texts(found)[:4] == [
        "After training, lstm keeps 4.0 to 6.5 decades (factors of 10,000 to 3.2×10⁶) more of the gradient than "
        "rnn at lag 49, least with lr=0.1 and most with lr=1.",
        "cell makes the largest difference: its best and worst values differ by 4.0 to 6.5 decades at lag 49 and "
        "those of lr by 0.5 to 3.0 (the other axes equal; no intervals, because there are fewer than three seeds).",
        "rnn: horizon (last lag with 1 % of the gradient left) 60 at lr=0.1, 90 at lr=1.",
        "lstm: horizon 20 at lr=0.1, 25 at lr=1.",
    ]
    same = [row | {TRAINED: -6.0 if row["cell"] == "rnn" else -2.0} for row in rows]
    assert texts(answer(sweep(*same), "cell", "lr"))[0] == (
        "After training, lstm keeps 4.0 decades (a factor of 10,000) more of the gradient than rnn at lag 49, "
        "for each lr."
    )


def test_conditions_with_different_lags_are_compared_at_the_lag_that_all_have() -> None:
    """The decay at lag 49 is that of longer sequences and says nothing about the other sequence length."""
    rows = [
        {"cell": cell, "seq_len": length, LAG: length - 1.0, TRAINED: -length * slope / 5}
        for cell, slope in (("rnn", 2.0), ("lstm", 1.0))
        for length in (25, 50)
    ]
    frame = sweep(*rows)
    frame[COMMON_DECAY] = [-10.0, -12.0, -5.5, -6.0]
    assert texts(answer(frame, "cell", "seq_len"))[0] == (
        "After training, lstm keeps 4.5 to 6.0 decades (factors of 32,000 to 1.0×10⁶) more of the gradient than "
        "rnn at lag 24, least with seq_len=25 and most with seq_len=50."
    )


def test_a_cell_that_is_better_in_some_settings_is_named() -> None:
    trained = {("rnn", 0.1): -9.0, ("rnn", 1.0): -9.5, ("lstm", 0.1): -3.0, ("lstm", 1.0): -8.0}
    trained |= {("gru", 0.1): -4.0, ("gru", 1.0): -1.0}
    rows = [{"cell": cell, "lr": lr, TRAINED: value} for (cell, lr), value in trained.items()]
    assert texts(answer(sweep(*rows), "cell", "lr"))[0] == (
        "After training, gru keeps 5.0 to 8.5 decades (factors of 100,000 to 3.2×10⁸) more of the gradient than "
        "rnn at lag 49, least with lr=0.1 and most with lr=1; lstm is ahead of gru in 1 of 2 settings."
    )


def test_equal_decays_are_not_ranked() -> None:
    rows = [{"cell": cell, "lr": lr, TRAINED: -4.0} for cell in ("rnn", "lstm", "gru") for lr in (0.1, 1.0)]
    (first, *_) = texts(answer(sweep(*rows), "cell", "lr"))
    assert first == "After training, rnn and gru differ by less than 0.1 decades (a factor of 1.3) at lag 49."
    (first, *_) = texts(
        answer(sweep({"cell": "rnn", TRAINED: -4.0}, {"cell": "lstm", TRAINED: -4.04}), "cell")
    )
    assert first.startswith("After training, rnn and lstm differ by less than 0.1 decades (a factor of 1.3)")


@pytest.mark.parametrize("rates", [(0.1, 1.0), (0.1, 0.5, 1.0, 2.0)])
def test_three_axes_give_the_range_of_the_horizons(rates: tuple[float, ...]) -> None:
    conditions = itertools.product(("rnn", "lstm", "gru"), rates, (1.0, NAN))
    number = 2 * len(rates)
    rows = [
        {"cell": cell, "lr": lr, "clip": clip, "grad/horizon": min(horizon, 2 * number)}
        for horizon, (cell, lr, clip) in enumerate(conditions)
    ]
    found = texts(answer(sweep(*rows), "cell", "lr", "clip"))
    assert (
        f"rnn: horizon (last lag with 1 % of the gradient left) 0 to {number - 1} time steps, "
        "depending on lr and clip." in found
    )
    assert f"lstm: horizon {number} to {2 * number - 1} time steps, depending on lr and clip." in found
    assert f"gru: horizon {2 * number} time steps, for all values of lr and clip." in found


def test_a_condition_without_a_counterpart_is_not_compared() -> None:
    rows = [{"cell": "rnn", "lr": 0.1}, {"cell": "lstm", "lr": 1.0}, {"cell": "lstm", "lr": 2.0}]
    assert not any("than" in text for text in texts(answer(sweep(*rows), "cell", "lr")))


def test_axes_determined_by_the_first_are_compared_as_one() -> None:
    rows = [
        {"cell": "rnn", "hidden_size": 20, TRAINED: -5.0},
        {"cell": "lstm", "hidden_size": 10, TRAINED: -4.0},
    ]
    (first, *_) = texts(answer(sweep(*rows), "cell", "hidden_size"))
    assert first.startswith(
        "After training, lstm keeps 1.0 decades (a factor of 10) more of the gradient than rnn"
    )


def test_diverged_and_unstable_runs_come_first() -> None:
    rows: list[dict[str, Any]] = [
        {"lr": 1.0, "outcome": "diverged", "diverged_at.step": 7, "diverged_at.quantity": "h", METRIC: 1e30},
        {"lr": 2.0, "outcome": "diverged", "diverged_at.step": 3, "diverged_at.quantity": "loss"},
        {"lr": 0.5, "outcome": "unstable", METRIC: 0.9},
        {"lr": 0.1, METRIC: 0.7},
    ]
    found = texts(answer(sweep(*rows), "lr"))
    assert found[:2] == [
        "2 of 4 runs diverged at training steps 3 and 7 (lr 1, 2); first non-finite value: h, loss.",
        "1 of 4 runs became unstable (lr 0.5).",
    ]
    assert found[-1] == "Lowest val/loss: 0.700 with lr=0.1; baseline 1.000.", "not that of a diverged run"
    (first, *_) = texts(answer(sweep(rows[0]), main=None))
    assert first == "1 of 1 run diverged at training step 7; first non-finite value: h."


def test_runs_that_diverge_at_once_are_described_before_training() -> None:
    rows = [
        {"init.W_hh.gain": gain, LAST_STEP: 0.0, TRAINED: decay, UNTRAINED: decay, "outcome": "diverged"}
        for gain, decay in ((2.0, 3.0), (3.0, 7.0))
    ]
    found = texts(answer(sweep(*rows), "init.W_hh.gain"))
    assert found[1] == (
        "Before training, the gradient grows 4.0 decades (a factor of 10,000) more in init.W_hh.gain=3 than in "
        "init.W_hh.gain=2 at lag 49."
    )
    assert (
        "init.W_hh.gain=2: at lag 49, compared with lag 1, the gradient grows 1,000-fold; horizon" in found[2]
    )


def test_a_run_that_diverged_at_once_is_not_compared_after_training() -> None:
    rows = [
        {"init.W_hh.gain": gain, "clip": clip, UNTRAINED: untrained, TRAINED: trained}
        for gain, clip, untrained, trained in (
            (1.0, 1.0, -8.0, -8.0),
            (1.0, NAN, -8.0, -8.0),
            (2.0, 1.0, 7.9, -5.0),
            (2.0, NAN, 7.9, 7.9),
        )
    ]
    for row in (rows[1], rows[3]):
        row.update({LAST_STEP: 0.0, "outcome": "diverged", "grad/horizon": NAN})
    _, compared, *reaches, _ = texts(answer(sweep(*rows), "init.W_hh.gain", "clip"))
    assert compared == (
        "After training, init.W_hh.gain=2 keeps 3.0 decades (a factor of 1,000) more of the gradient than "
        "init.W_hh.gain=1 at lag 49, with clip=1."
    )
    assert reaches == [
        "init.W_hh.gain=1: horizon (last lag with 1 % of the gradient left) 10 at clip=1, not measured at clip=off.",
        "init.W_hh.gain=2: horizon 10 at clip=1, not measured at clip=off; before training, the gradient grows "
        "7.9×10⁷-fold at lag 49.",
    ]


def test_gradients_that_are_all_zero() -> None:
    zero = {"grad/gain": 0.0, TRAINED: NAN, "grad/horizon": 0.0}
    found = texts(answer(sweep({"cell": "rnn"} | zero, {"cell": "lstm"}), "cell"))
    assert (
        found[0]
        == "rnn: at lag 49, compared with lag 1, the gradient shrinks to exactly 0; horizon (last lag with 1 % "
        "of the gradient left) 0 time steps."
    )
    assert not any("than" in text for text in found)


def test_one_condition() -> None:
    found = answer(sweep({METRIC: 0.25}, {METRIC: 0.5, "seed": 1}), main=None)
    assert found.question == "How far back in time do gradients reach in rnn?"
    assert found.setting.endswith("2 seeds; 2 runs in total.")
    assert texts(found)[-1] == "val/loss: 0.250 and 0.500; baseline 1.000."
    three = sweep(*({METRIC: value, "seed": seed} for seed, value in enumerate((0.25, 0.5, 0.3))))
    limits = scipy.stats.ttest_1samp([0.25, 0.5, 0.3], 0).confidence_interval(0.95)
    text = f"val/loss: 0.350 ({limits.low:.3f} to {limits.high:.3f}); baseline 1.000."
    assert texts(answer(three, main=None))[-1] == text


def test_sweeps_without_lag_curves() -> None:
    frame = sweep({"cell": "rnn"}, {"cell": "lstm"})
    frame = frame.drop(
        columns=[LAG, LAST_STEP, TRAINED, UNTRAINED, *(n for n in frame if n.startswith("grad/"))]
    )
    assert texts(answer(frame, "cell"))[:2] == [
        "rnn: no lag curve was recorded.",
        "lstm: no lag curve was recorded.",
    ]
    assert texts(answer(frame[:1], main=None))[0] == "Gradient: no lag curve was recorded."


def test_solved_runs_are_counted() -> None:
    frame = sweep(*({"seed": seed, "val/solved": float(seed > 0)} for seed in range(3)))
    assert "solved 2 of 3." in texts(answer(frame, main=None))[0]


def test_a_larger_accuracy_is_better() -> None:
    frame = sweep({"cell": "rnn", "val/accuracy": 0.25}, {"cell": "lstm", "val/accuracy": 0.75})
    found = texts(answer(frame, "cell", metric="val/accuracy"))
    assert found[-1] == "Highest val/accuracy: 0.750 with cell=lstm; baseline 1.000."


def test_long_lists_are_counted_instead_of_listed() -> None:
    frame = sweep(*({"cell": f"c{number}", "lr": number / 10} for number in range(8)))
    found = answer(frame, "cell", "lr")
    assert found.question.startswith("How far back in time do gradients reach in 8 cells, by learning rate")
    assert "lr 8 values" in found.setting


@pytest.mark.parametrize("name", HOSTILE)
def test_unusual_names_are_escaped(name: str) -> None:
    frame = sweep(
        {"cell": name, "init": name, TRAINED: -5.0}, {"cell": "rnn", "init": name, "outcome": "diverged"}
    )
    frame["diverged_at.quantity"] = [None, name]
    found = answer(frame, "cell")
    assert f"than {name} at" in found.sentences[1].unescape() and name in found.question
    for sentence in found.sentences:
        assert isinstance(sentence, Markup)
        plain = re.sub("</?strong>", "", str(sentence))
        assert "<" not in plain and ">" not in plain and '"' not in plain


def test_a_thousand_conditions_are_compared_within_seconds() -> None:
    rows = [
        {"cell": cell, "lr": number / 1000, TRAINED: -number / 100}
        for cell in ("rnn", "lstm")
        for number in range(500)
    ]
    frame = sweep(*rows)
    began = time.process_time()
    found = answer(frame, "cell", "lr")
    assert time.process_time() - began < 15 and found.setting.endswith("1000 runs in total.")


@st.composite
def random_runs(draw: st.DrawFn) -> tuple[pd.DataFrame, list[str]]:
    """Return a strategy for sweeps with random axes and any kind of missing or extreme value."""
    axes = draw(st.lists(st.sampled_from(["cell", "lr", "clip", "task", "bias"]), unique=True))
    choices = {"cell": ["rnn", "lstm"], "lr": [0.1, 1.0], "clip": [1.0, NAN], "bias": [True, False]}
    choices["task"] = ["adding", "copy"]
    number = st.sampled_from([NAN, 0.0, -0.001, 5.0, -320.0, 320.0]) | st.floats(-20, 20)
    rows = []
    for seed in range(draw(st.integers(1, 8))):
        row = {axis: draw(st.sampled_from(choices[axis])) for axis in axes} | {"seed": seed % 4}
        row |= {"outcome": draw(st.sampled_from(["finished", "diverged", "unstable", "failed"]))}
        row |= {name: draw(number) for name in (UNTRAINED, TRAINED, METRIC)}
        row |= {
            LAG: draw(st.sampled_from([1.0, 49.0, NAN])),
            LAST_STEP: draw(st.sampled_from([0.0, 9.0, NAN])),
        }
        row |= {"grad/horizon": draw(st.sampled_from([0.0, 1.0, 49.0, NAN])), "baseline": draw(number)}
        rows.append(row | {"grad/gain": draw(st.sampled_from([0.0, 0.5, NAN]))})
    return sweep(*rows), axes


@settings(max_examples=100)
@given(given_runs=random_runs())
def test_every_answer_is_readable(given_runs: tuple[pd.DataFrame, list[str]]) -> None:
    frame, axes = given_runs
    found = answer(frame, *axes, main=axes[0] if axes else None)
    for text in (found.question, found.setting, *texts(found)):
        assert not re.search(r"\b(nan|None|inf|NA)\b", text), text
        assert not re.search(r"\d{16}", text), text
        assert text.endswith((".", "?")) and "  " not in text and ".." not in text
