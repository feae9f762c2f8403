"""Work shared by the jobs of a sweep is done once and gives the same result as composing each job separately."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from rnnlab.app.check import check
from rnnlab.app.config import compose, composer, groups
from rnnlab.app.config.build import build
from rnnlab.app.config.composer import Composer, line_of, name_job, plan_sweep
from rnnlab.app.config.former_keys import ONE_LAYER
from rnnlab.app.config.interpolations import InterpolationProblems, explain_interpolation_errors
from rnnlab.app.config.loader import Loader
from rnnlab.app.config.loading import CONFIG_NAME, chosen_options, key_index, loader_of
from rnnlab.app.config.messages import COMPOSITION_ERRORS, ConfigProblems, explain_composition_error
from rnnlab.app.config.plan import KEYS_OUTSIDE_IDENTITY, Job, Plan, job_name
from rnnlab.app.config.template import plain_value
from rnnlab.app.config.validation import InvalidConfig
from rnnlab.app.jobs import job_facts as facts
from rnnlab.app.jobs.job_facts import Inspector
from rnnlab.app.jobs.resume import ENGINE, identity
from rnnlab.paths import conf_dir
from rnnlab.tasks.loss_units import loss_unit
from rnnlab.training import choose_engine
from tests.fuzz.amount import examples, tried

VALUES = {
    "seed": ["0", "1", "7", "range(3)", "-1", "x"],
    "lr": ["0.1", "1", "1e-3", "nan", "${seq_len}", "${nowhere}"],
    "clip": ["null", "1", "0.5", "'1'", "range(1,3)"],
    "steps": ["3", "${seq_len}", "5"],
    "val_every": ["null", "2", "${steps}", "${hydra:job.num}", "${hydra.job.num}"],
    "cell": ["rnn", "lstm", "glob(*)", "nowhere", "{bias:false}"],
    "cell.bias": ["true", "false", "null", "5"],
    "cell.nonlinearity": ["tanh", "relu", "'${loss}'"],
    "init.W_hh": ["{kind:normal}", "{kind:identity,gain:2}", "null"],
    "init.W_hh.gain": ["1", "2", "0.5", "${lr}"],
    "task": ["char_lm", "copy", "adding"],
    "task.length_range": ["[5,9]", "null", "[2,3]", "[${seq_len},9]"],
    "probe": ["none", "light"],
    "probe.measurements.gates": ["null", "{a:1}"],
    "tracking.experiment": ["a", "'b c'", "'a,b'", "'ü:1'", "'[1]'", "'null'"],
    "task.path": ["'a b.txt'", "null", "???", "'\\${lr}'", "[a,b]", "[]"],
    "+cell.own": ["1", "{a:1}", "[1,2]"],
    "++seed": ["5", "6"],
    "+measurement": ["jacobians"],
    "~task.temperature": [""],
    "~seed": [""],
    "hydra.sweep.subdir": [
        *("${seed}", "'${hydra.job.override_dirname}'", "'${cell._target_}/${hydra.job.name}'", "x", "../x"),
        *("'${hydra:job.num}-${hydra.job.id}'", "'a\\${seed}'", "'${hydra.overrides.task}'", "'${nowhere}'"),
    ],
    "hydra.sweep.dir": ["there", "'${seed}'"],
    "nowhere": ["1", "2"],
}


@st.composite
def sweeps(draw: st.DrawFn) -> list[str]:
    keys = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=4, unique=True))
    line = []
    for key in keys:
        most = 1 if key.startswith(("hydra", "~", "+measurement")) else 3
        values = draw(st.lists(st.sampled_from(VALUES[key]), min_size=1, max_size=most))
        line.append(f"{key}={','.join(values)}" if values != [""] else key)
    return line


def one_by_one(jobs: Sequence[Sequence[str]]) -> tuple[list[Job], list[str]]:
    """Return the jobs that Hydra composes one at a time, and one line for each other job."""
    loader, composed, problems = loader_of(conf_dir(), None), list[Job](), list[str]()
    lines = [{key: value for key, _, value in (line.partition("=") for line in job)} for job in jobs]
    axes = [key for key in lines[0] if len({line[key] for line in lines}) > 1]
    folder = None
    for number, (job, line) in enumerate(zip(jobs, lines, strict=True)):
        try:
            config = loader.load_configuration(CONFIG_NAME, list(job), RunMode.RUN)
            with explain_interpolation_errors(loader, config, list(job)):
                folder = folder or Path(config.hydra.sweep.dir).absolute()
                choices, axis_values = chosen_options(config), {key: line[key] for key in line if key in axes}
                name = job_name(axis_values, list(job), choices)
                name_job(config, number, name)
                if ".." in Path(config.hydra.sweep.subdir).parts:
                    outside = f"hydra.sweep.subdir={config.hydra.sweep.subdir}"
                    raise ConfigProblems([f"{outside}: must be inside the sweep folder"])
                place = folder / config.hydra.sweep.subdir
                plain = {key: plain_value(config, key) for key in config if key != "hydra"}
                composed.append(Job(number, name, place, plain, list(job), axis_values, choices))
        except (InterpolationProblems, ConfigProblems) as error:
            problems += error.problems
        except COMPOSITION_ERRORS as error:
            problems.append(explain_composition_error(error, list(job), key_index(loader, list(job))))
    return composed, list(dict.fromkeys(problems))


def shared_and_alone(overrides: list[str]) -> tuple[Plan, list[Job], list[str]] | None:
    """Return the plan of a sweep and the jobs composed one at a time; None if the sweep is not expanded."""
    if not any(override.startswith("hydra.sweep.dir") for override in overrides):
        overrides = [*overrides, "hydra.sweep.dir=there"]  # the time differs between calls
    jobs: list[list[str]] = []

    def noted(loader: Loader, expanded: Sequence[Sequence[Override]], launcher: Any) -> Plan:
        jobs.extend([line_of(override) for override in job] for job in expanded)
        return plan_sweep(loader, expanded, launcher)

    plan, refused = None, None
    with mock.patch.object(compose, "plan_sweep", noted):
        try:
            plan = compose.compose_plan(conf_dir(), overrides, multirun=True)
        except ConfigProblems as error:
            refused = error.problems
    if not jobs:
        return None
    try:
        composed, problems = one_by_one(jobs)
    except ConfigProblems as error:
        assert refused == error.problems
        return None
    assert plan is not None, refused
    return plan, composed, problems


def facts_alone(job: Job) -> tuple[Any, ...]:
    experiment = build(job.config)
    trainer = experiment.trainer
    data = f"{trainer.task.dataset['digest']} {trainer.model.initial_state.digest}"
    goal = vars(trainer.task.goal(trainer.model.loss))
    memory = sum(experiment.memory.values())
    outside = {*KEYS_OUTSIDE_IDENTITY, ENGINE}
    outside |= {key for key, value in ONE_LAYER.items() if job.config[key] == value}
    kept = {key: value for key, value in job.config.items() if key not in outside}
    text = json.dumps([kept, data], sort_keys=True, ensure_ascii=False)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    unit = vars(loss_unit(trainer.task, trainer.model.loss))
    states, dataset = list(trainer.model.cell.states), dict(trainer.task.dataset)
    engine = choose_engine(experiment.settings.engine, trainer.model.cell)
    return experiment.settings, digest, engine, states, goal, unit, dataset, memory, trainer.task.remarks


def compare(overrides: list[str]) -> str:
    found = shared_and_alone(overrides)
    if found is None:
        return "refused before"
    plan, composed, problems = found
    assert plan.problems == problems
    assert [repr(job) for job in plan.jobs] == [repr(job) for job in composed]
    inspector = Inspector(is_local=True)
    for job in plan.jobs:
        try:
            expected: Any = facts_alone(job)
        except InvalidConfig as error:
            expected = error.problems
        try:
            shared: Any = tuple(vars(inspector.facts(job)).values())
        except InvalidConfig as error:
            shared = error.problems
        assert repr(shared) == repr(expected)
    return f"{'some' if problems else 'all'} composed"


@examples(2)
@given(sweeps())
def test_jobs_of_a_sweep_equal_those_of_single_hydra_compositions(overrides: list[str]) -> None:
    tried[f"sweeps, one by one: {compare(overrides)}"] += 1


@pytest.mark.parametrize(
    "overrides",
    [
        ["seed=range(3)", "val_every=${steps}", "steps=3,5"],
        ["seed=0,1", "++seed=5"],
        ["++lr=range(1,4)", "seed=0,1"],
        ["lrr=1", "hydra.sweep.subdir=../x", "seed=0,1"],
        ["cell=rnn,lstm", "cell.bias=true,false", "hydra.sweep.subdir='${seed}/${cell._target_}/${hydra.job.num}'"],
        ["probe.measurements.gates=null", "probe.measurements.norms.when.dense=1,2"],
        ["task=copy", "task.length_range=[5,9],null,[2,3]"],
        ["init.W_hh={kind:normal}", "init.W_hh.gain=1,2"],
        ["seed=0,1", "hydra.sweep.subdir='${hydra.job.override_dirname}'"],
        ["seed=0,1", "hydra.sweep.subdir='${hydra:job.num}'"],
        ["lr=1,nan,-1", "seed=0,-1"],
        ["lrr=1,2", "seed=0,1"],
        ["seed=range(3)", "task.path=${nowhere},a"],
    ],
)  # fmt: skip
def test_sharing_does_not_change_jobs(overrides: list[str]) -> None:
    assert compare(overrides) != "refused before"


def test_work_shared_by_jobs_is_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: Counter[str] = Counter()

    def counting(of: Any, name: str) -> None:
        original = getattr(of, name)

        def wrapper(*args: Any, **keys: Any) -> Any:
            counted[name] += 1
            return original(*args, **keys)

        monkeypatch.setattr(of, name, wrapper)

    counting(Composer, "compose")
    counting(facts, "build")
    counting(groups.TaskCache, "_construct")
    jobs = check(
        compose.compose_plan(conf_dir(), ["lr=1,2", "seed=range(50)", "tracking=none"], True)
    ).plan.jobs
    assert len(jobs) == 100
    assert counted == {"compose": 1, "build": 2, "_construct": 1}
    assert jobs[0].config["probe"] is jobs[99].config["probe"]


def test_a_thousand_jobs_that_differ_in_one_value_need_no_interpolation_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The cost of each job is counted in calls, because no test asserts a time."""
    calls: list[str] = []
    monkeypatch.setattr(
        OmegaConf,
        "to_container",
        lambda *a, _was=OmegaConf.to_container, **k: calls.append("") or _was(*a, **k),
    )
    compose.compose_plan(conf_dir(), ["seed=range(10)"], multirun=True)
    few = len(calls)
    compose.compose_plan(conf_dir(), ["seed=range(1000)"], multirun=True)
    assert len(calls) - few == few


def test_an_identity_is_that_of_the_whole_configuration() -> None:
    config = {"b": {"ü": [1, None], "a": 0.1}, "a": "x", "jobs": 5, "seed": 3}
    kept = {key: value for key, value in config.items() if key != "jobs"}
    text = json.dumps([kept, "d"], sort_keys=True, ensure_ascii=False)
    assert identity(config, "d") == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_a_mistake_that_jobs_share_is_explained_once(monkeypatch: pytest.MonkeyPatch) -> None:
    messages: list[str] = []
    explain = composer.explain_composition_error

    def noted(*args: Any) -> str:
        messages.append(explain(*args))
        return messages[-1]

    monkeypatch.setattr(composer, "explain_composition_error", noted)
    assert compose.compose_plan(conf_dir(), ["seed=range(50)", "lrr=1"], multirun=True).problems == messages
    assert messages == ["lrr=1: unknown key; did you mean lr?"]
