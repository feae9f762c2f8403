"""Every option in conf/ works with every other option; a new file is tested automatically."""

from functools import cache
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
import yaml

from rnnlab.app.config.build import Experiment, build, generators
from rnnlab.app.config.compose import compose_plan
from rnnlab.arrays import Params, copy_params
from rnnlab.paths import conf_dir

SMALL = ("steps=2", "val_every=null", "stop_when_solved=false", "hidden_size=5", "batch_size=3", "pair=[]")
LENGTH = {"digits": 64, "digits_rows": 8, "multiplication": 10, "reber": 20} | dict.fromkeys(
    ("temporal_order", "temporal_order_3"), 10
)
"""Minimum lengths of the tasks that cannot be as short as the others."""
OPTIONS = {
    group.name: sorted(file.stem for file in group.glob("*.yaml"))
    for group in sorted(conf_dir().iterdir())
    if group.is_dir()
}
DRAWN = {
    file.stem
    for file in (conf_dir() / "task").glob("*.yaml")
    if "length_range" in file.read_text(encoding="utf-8") or "defaults" in file.read_text(encoding="utf-8")
} - {"digits_rows"}
"""Tasks that support a small validation set."""
MEASURING_MOST = {"full": "lyapunov"}
"""Probes with a measurement that takes a thousand time steps by default."""
ADDED = {"measurement"}
"""Groups from which any number of options can be added to the probe."""


@cache
def own(experiment: str | None, group: str) -> str | None:
    """Return the task or optimiser of an experiment, which cannot be combined with another one."""
    if experiment is None:
        return None
    file = conf_dir() / "experiment" / f"{experiment}.yaml"
    override = f"override /{group}"
    defaults = yaml.safe_load(file.read_text(encoding="utf-8")).get("defaults", [])
    return next((choice[override] for choice in defaults if override in choice), None)


def go_together(chosen: dict[str, str]) -> bool:
    owned = {group: own(chosen.get("experiment"), group) for group in ("task", "optimizer")}
    return all(chosen.get(group, choice) == choice for group, choice in owned.items() if choice)


def pair_of(one: tuple[str, str], other: tuple[str, str]) -> tuple[tuple[str, str], tuple[str, str]]:
    return (one, other) if one < other else (other, one)


def pairs_of(chosen: dict[str, str]) -> set[tuple[tuple[str, str], tuple[str, str]]]:
    return set(combinations(sorted(chosen.items()), 2))


def covering_choices() -> list[dict[str, str]]:
    """Return choices of one option per group that together cover every compatible pair of options.

    The greedy search starts each choice with a missing pair and adds the option that covers most missing pairs.
    """
    options = [(group, option) for group in OPTIONS for option in OPTIONS[group]]
    wanted = {pair_of(*pair) for pair in combinations(options, 2) if pair[0][0] != pair[1][0]}
    missing = {pair for pair in wanted if go_together(dict(pair))}
    made = []
    while missing:
        chosen = dict(min(missing))
        for group in OPTIONS:
            fitting = [option for option in OPTIONS[group] if go_together(chosen | {group: option})]
            if group not in chosen and fitting:
                gains = [sum(pair_of((group, o), c) in missing for c in chosen.items()) for o in fitting]
                chosen[group] = fitting[gains.index(max(gains))]
        made.append(chosen)
        missing -= pairs_of(chosen)
    return made


CHOICES = covering_choices()


def choices() -> list[Any]:
    """Return `CHOICES`; those that are not required to try each option once are thorough tests."""
    seen: set[tuple[str, str]] = set()
    cases = []
    for chosen in CHOICES:
        is_new = not set(chosen.items()) <= seen
        seen |= set(chosen.items())
        cases.append(pytest.param(chosen, marks=() if is_new else pytest.mark.thorough))
    return cases


def task_of(chosen: dict[str, str]) -> str:
    """Return the task of a choice: its own, the experiment's or the default."""
    return chosen.get("task") or own(chosen.get("experiment"), "task") or "char_lm"


def as_overrides(chosen: dict[str, str]) -> list[str]:
    return [f"{'+' * (group in ADDED)}{group}={option}" for group, option in chosen.items()]


def experiment_of(*overrides: str) -> Experiment:
    (job,) = compose_plan(conf_dir(), overrides, multirun=False).jobs
    return build(job.config)


def initial(experiment: Experiment) -> Params:
    weights, _, _ = generators(experiment.settings.seed)
    dtype = np.dtype(experiment.settings.dtype)
    return experiment.trainer.model.init_params(weights, experiment.settings.init, dtype)


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the override that initial_state=given requires."""
    path = tmp_path_factory.mktemp("states") / "given.npz"
    np.savez(path, h=np.linspace(-1, 1, 5), c=np.linspace(1, 2, 5))
    return f"initial_state.path={path}"


def test_options_are_found() -> None:
    assert {"rnn", "lstm", "gru"} <= set(OPTIONS["cell"])
    groups = {
        "cell", "task", "optimizer", "init", "initial_state", "probe", "measurement", "tracking", "experiment"
    }  # fmt: skip
    assert groups <= set(OPTIONS)


def test_any_two_options_are_tried_together() -> None:
    tried = set().union(*map(pairs_of, CHOICES))
    assert all(go_together(chosen) for chosen in CHOICES)
    assert pair_of(("task", "digits"), ("probe", "full")) in tried
    assert pair_of(("experiment", "copy"), ("cell", "gru")) in tried
    for one, other in combinations(OPTIONS, 2):
        for pair in product(OPTIONS[one], OPTIONS[other]):
            together = dict(zip((one, other), pair, strict=True))
            assert not go_together(together) or pairs_of(together) <= tried


@pytest.mark.parametrize("chosen", choices(), ids=lambda chosen: " ".join(as_overrides(chosen)))
def test_any_two_options_can_be_combined_in_a_run(chosen: dict[str, str], given: str) -> None:
    further = [given] if chosen.get("initial_state") == "given" else []
    task = task_of(chosen)
    further += [f"seq_len={LENGTH.get(task, 4)}"]
    further += ["task.sample_length=2"] if task == "char_lm" else []
    further += ["task.validation_examples=3"] if task in DRAWN else []
    if "lyapunov" in (chosen.get("measurement"), MEASURING_MOST.get(chosen.get("probe", ""))):
        further += [f"probe.measurements.lyapunov.{key}" for key in ("steps=20", "warm_up=2")]
    experiment = experiment_of(*as_overrides(chosen), *SMALL, *further)
    trainer, params = experiment.trainer, initial(experiment)
    before = copy_params(params)
    _, batches, samples = generators(experiment.settings.seed)
    records = list(trainer.train(params, batches))
    assert [record.step for record in records] == [0, 1, 2]
    assert records[-1].non_finite is None
    assert np.isfinite(records[0].metrics["train/loss"]) and np.isfinite(records[-1].metrics["val/loss"])
    changes = [np.abs(params[name] - before[name]).max() for name in params]
    if chosen.get("experiment") == "classroom":
        assert max(changes) < 1e-20, "the networks stay untrained"
    else:
        assert min(changes) > 0
    assert all(trainer.task.samples(trainer.model, params, samples).values())


@pytest.mark.parametrize(
    ("override", "holds"),
    [
        ("dtype=float64", lambda e: initial(e)["W_hh"].dtype == np.float64),
        ("readout_bias=false", lambda e: "b_y" not in initial(e)),
        ("cell.bias=false", lambda e: "b_h" not in initial(e)),
        ("loss=squared_error", lambda e: e.trainer.model.loss == "squared_error"),
        ("initial_state=learned", lambda e: "h_0" in initial(e)),
        ("task.targets=last", lambda e: len(e.trainer.task.batch(np.random.default_rng(0), 0).y) == 1),
        ("task.carry=false", lambda e: not e.trainer.task.batch(np.random.default_rng(0), 1).continues),
        ("loss_reduction=sum", lambda e: e.trainer.model.loss_reduction == "sum"),
        ("clip=0.5", lambda e: e.trainer.clipping.threshold == 0.5),
        ("clip=null", lambda e: e.trainer.clipping.threshold is None),
        ("clip_mode=value", lambda e: e.trainer.clipping.mode == "value"),
        ("lr=0.3", lambda e: e.trainer.optimizer.lr == 0.3),
        ("hidden_size=7", lambda e: e.trainer.model.cell.hidden_size == 7),
        ("seq_len=7", lambda e: e.trainer.task.seq_len == 7),
        ("batch_size=7", lambda e: e.trainer.task.batch_size == 7),
        ("steps=7", lambda e: e.trainer.steps == 7),
        ("val_every=7", lambda e: e.trainer.val_every == 7),
        ("task=latch stop_when_solved=true", lambda e: e.trainer.stop_when_solved),
        ("probe.measurements.gates=null", lambda e: "gates" not in e.trainer.probe.measurements),
        ("+measurement=jacobians", lambda e: "jacobians" in e.trainer.probe.measurements),
        ("probe.length=7", lambda e: e.trainer.probe_inputs().batch.time == 7),
        ("probe.spike_factor=3", lambda e: e.trainer.probe.spike_factor == 3),
        (
            "probe.measurements.gates.when.every=9",
            lambda e: e.trainer.probe.measurements["gates"].when.every == 9,
        ),
        ("init.W_hh.gain=0.0001", lambda e: np.abs(initial(e)["W_hh"]).max() < 1e-4),
        ("optimizer.beta1=0.5", lambda e: e.trainer.optimizer.beta1 == 0.5),
        ("task.held_out=0.5", lambda e: e.trainer.task.held_out == 0.5),
    ],
)
def test_each_key_reaches_its_target(override: str, holds) -> None:  # type: ignore[no-untyped-def]
    assert holds(experiment_of(*override.split()))
    assert not holds(experiment_of())


def test_the_seed_decides_the_weights() -> None:
    first, again, other = (initial(experiment_of(f"seed={seed}")) for seed in (1, 1, 2))
    assert all((first[name] == again[name]).all() and (first[name] != other[name]).any() for name in first)


@pytest.mark.parametrize("task", OPTIONS["task"])
def test_the_lag_that_a_task_needs_is_measured(task: str) -> None:
    experiment = experiment_of(f"task={task}", f"seq_len={LENGTH.get(task, 30)}", "probe=light", *SMALL)
    metrics = next(experiment.trainer.train(initial(experiment), np.random.default_rng(0))).metrics
    assert (metrics.get("grad/at_task_lag") is None) == (experiment.trainer.task.lag is None)
