"""Axes of a sweep: their sizes, counted before expansion, and the messages about invalid axes."""

from pathlib import Path

import pytest

from rnnlab.app.config import sweep_axes as axes
from rnnlab.app.config.compose import compose_plan
from rnnlab.app.config.messages import ConfigProblems
from rnnlab.paths import conf_dir

LIMIT = "exceeds the limit of 100,000"
NOTHING = "has no values; an axis needs at least one value"


def problems_of(*overrides: str, config_dir: Path | None = None) -> list[str]:
    with pytest.raises(ConfigProblems) as caught:
        compose_plan(conf_dir(), overrides, True, config_dir and str(config_dir))
    return caught.value.problems


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("seed=range(1000000000)", f"sweep of 1,000,000,000 runs (1,000,000,000 seeds) {LIMIT}"),
        ("seed=range(1000000) cell=rnn,lstm", f"sweep of 2,000,000 runs (1,000,000 seeds × 2 cells) {LIMIT}"),
        ("seed=shuffle(range(1000000000))", f"sweep of 1,000,000,000 runs (1,000,000,000 seeds) {LIMIT}"),
        ("lr=range(0,1,1e-9)", f"sweep of 1,000,000,000 runs (1,000,000,000 values of lr) {LIMIT}"),
        ("lr=range(5,1,-1e-9)", f"sweep of 4,000,000,000 runs (4,000,000,000 values of lr) {LIMIT}"),
        ("lr=range(0,1,1e-200)", f"sweep of 1e+200 runs (1e+200 values of lr) {LIMIT}"),
        ("seed=range(0,99999999999999999999999)", f"sweep of 1e+23 runs (1e+23 seeds) {LIMIT}"),
        (f"seed=range({'9' * 4000})", f"sweep of more than 1e+300 runs (more than 1e+300 seeds) {LIMIT}"),
        ("lr=range(0,1,0.001) seed=range(1001) cell=glob(*)", f"sweep of 3,003,000 runs (1,000 values of lr × 1,001 seeds × 3 cells) {LIMIT}"),
        ("pair=[lr,clip] lr=range(1,50001) clip=range(1,50001) seed=0,1,2", f"sweep of 150,000 runs (50,000 values of lr × 3 seeds) {LIMIT}"),
        ("pair=[lr,seed] lr=1,2 seed=range(1000000000)", "pair=[lr,seed]: lr has 2 values, seed has 1,000,000,000 values; paired axes must have the same number of values"),
        ("jobs=range(1000000000)", f"sweep of 1,000,000,000 runs (1,000,000,000 values of jobs) {LIMIT}"),
        ("lr=range(0,1,0)", "lr=range(0,1,0): the step of a range must not be 0"),
        ("lr=range(0,1,1e-400)", "lr=range(0,1,1e-400): the step of a range must not be 0"),
        ("lr=range(0,inf)", "lr=range(0,inf): a range needs finite numbers"),
        ("lr=range(0,10,nan)", "lr=range(0,10,nan): a range needs finite numbers"),
        ("lr=interval(0,1)", "lr=interval(0,1): only hydra/sweeper=optuna searches an interval; write the values, as in 1,2"),
        ("seed=range(5,1)", f"seed=range(5,1): {NOTHING}"),
        ("seed=range(1,5,-1)", f"seed=range(1,5,-1): {NOTHING}"),
        ("seed=range(0)", f"seed=range(0): {NOTHING}"),
        ("seed=choice()", f"seed=choice(): {NOTHING}"),
        ("lr=glob(*)", f"lr=glob(*): {NOTHING}"),
        ("cell=glob(zzz*)", "cell=glob(zzz*): matches no option; available: gru, lstm, rnn"),
    ],
)  # fmt: skip
def test_an_axis_that_cannot_be_swept_is_reported_immediately(
    overrides: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(axes, "_values")  # no axis may be expanded
    assert problems_of(*overrides.split()) == [message]


def test_every_axis_without_values_has_a_line() -> None:
    assert problems_of("seed=range(5,1)", "cell=rnn,lstm", "lr=range(1,1)") == [
        f"seed=range(5,1): {NOTHING}",
        f"lr=range(1,1): {NOTHING}",
    ]


@pytest.mark.parametrize(
    "line",
    ["range(0,1,0.1)", "range(1,0,-0.1)", "range(0,1,0.3)", "range(10)", "range(3,10,4)", "range(0.5)", "range(7,-2,-3)", "range(1e15,1000000000000001,0.25)"],
)  # fmt: skip
def test_as_many_values_are_counted_as_hydra_yields(line: str) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    override = OverridesParser.create().parse_override(f"lr={line}")
    assert axes._range_size(override.value()) == len(list(override.sweep_iterator()))


PARAMS = "hydra.sweeper.params"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("{seed: 'range(5,1)'}", f"{PARAMS}.seed=range(5,1): {NOTHING}"),
        ("{seed: 'range(1000000000)'}", f"sweep of 1,000,000,000 runs (1,000,000,000 seeds) {LIMIT}"),
        ("{seed: []}", f"{PARAMS}.seed=[]: {NOTHING}, as in 1,2"),
        ("{seed: ''}", f"{PARAMS}.seed='': {NOTHING}, as in 1,2"),
        ("{seed: [1,2]}", f"{PARAMS}.seed=[1, 2]: must be text; write seed: 1,2"),
        ("{cell: {bias: 1}}", f"{PARAMS}.cell={{'bias': 1}}: must be the values of one axis, as in cell: 1,2; for a key in a group, write cell.<key>"),
        ("{seed: null}", f"experiment/own.yaml: {PARAMS}.seed: must not be null"),
        ("{seed: '???'}", f"{PARAMS}.seed: has no value"),
        ("[1]", "experiment/own.yaml: must be a mapping, as in {key: value}"),
        ("5", f"experiment/own.yaml: {PARAMS}: must be a mapping, as in {{key: value}}"),
        ("text", f"experiment/own.yaml: {PARAMS}: must be a mapping, as in {{key: value}}"),
        ("{5: '1,2'}", f"experiment/own.yaml: {PARAMS}.5: each key must be text"),
        ("{hydra.job.name: 'a,b'}", f"{PARAMS}.hydra.job.name=a,b: Hydra's own keys cannot be swept"),
        ("{seed: '${nowhere}'}", f"{PARAMS}.seed=${{nowhere}} in experiment/own.yaml: refers to the unknown key nowhere"),
        ("{sede: '1,2'}", "sede=1: unknown key; did you mean seed?"),
    ],
)  # fmt: skip
def test_axes_of_an_experiment_are_checked_like_those_of_the_command_line(
    tmp_path: Path, params: str, message: str
) -> None:
    folder = own_experiment(tmp_path, f"hydra: {{mode: MULTIRUN, sweeper: {{params: {params}}}}}")
    try:
        found = compose_plan(conf_dir(), ["experiment=own"], False, str(folder)).problems
    except ConfigProblems as error:
        found = error.problems
    assert found[0] == message


def own_experiment(folder: Path, text: str) -> Path:
    file = folder / "experiment" / "own.yaml"
    file.parent.mkdir()
    file.write_text(f"# @package _global_\n{text}\n")
    return folder


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("{lr: '${clip}', clip: '${lr}'}", ["clip=${lr} in FILE: refers to itself (clip → lr → clip)"]),
        ("lr: ${lr}", ["lr=${lr} in FILE: refers to itself (lr → lr)"]),
        ("cell: ${cell}", ["cell=${cell} in FILE: refers to itself (cell → cell)"]),
        ("{lr: '${nowhere}', clip: '${lr}'}", ["lr=${nowhere} in FILE: refers to the unknown key nowhere"]),
        ("{lr: '${nowhere}', clip: '${oc.env:NOPE}'}", ["clip=${oc.env:NOPE} in FILE: Environment variable 'NOPE' not found", "lr=${nowhere} in FILE: refers to the unknown key nowhere"]),
        ("cell: {bias: '${oc.env:NOPE}'}", ["cell.bias=${oc.env:NOPE} in FILE: Environment variable 'NOPE' not found"]),
        ("lr: ${foo:1}", ["lr=${foo:1} in FILE: Unsupported interpolation type foo"]),
        ("lr: ${hydra:job.num}", ["lr=${hydra:job.num} in FILE: write Hydra's own keys with a dot, as in ${hydra.…}"]),
        ("lr: ${hydra.runtime.output_dir}", ["lr=${hydra.runtime.output_dir} in FILE: refers to hydra.runtime.output_dir, which has no value"]),
        ("lr: ${oc.decode:'[1'}", ["lr=${oc.decode:'[1'} in FILE: cannot be resolved (missing BRACKET_CLOSE at '<EOF>')"]),
        ("task: {length_range: [1, '${nowhere}']}", ["task.length_range.1=${nowhere} in FILE: refers to the unknown key nowhere"]),
        ("pair: ['${nowhere}', lr]", ["pair.0=${nowhere} in FILE: refers to the unknown key nowhere"]),
        ("tracking: {experiment: 'a${nowhere}b'}", ["tracking.experiment=a${nowhere}b in FILE: refers to the unknown key nowhere"]),
        ("lr: '${${nowhere}}'", ["lr=${${nowhere}} in FILE: refers to the unknown key nowhere"]),
        ("hydra: {sweep: {dir: '${nowhere}'}}", ["hydra.sweep.dir=${nowhere} in FILE: refers to the unknown key nowhere"]),
        ("hydra: {sweep: {subdir: '${nowhere}'}}", ["hydra.sweep.subdir=${nowhere} in FILE: refers to the unknown key nowhere"]),
        ("lr: ${", ["FILE: lr: interpolation cannot be parsed"]),
        ("defaults: [{override /cell: '${nowhere}'}]", ["${nowhere} in a defaults list: must refer to a group, such as ${experiment}"]),
    ],
)  # fmt: skip
def test_a_failed_interpolation_in_a_file_is_reported_with_key_value_and_reason(
    tmp_path: Path, text: str, messages: list[str]
) -> None:
    folder = own_experiment(tmp_path, text)
    try:
        found = compose_plan(conf_dir(), ["experiment=own", "seed=0,1"], True, str(folder)).problems
    except ConfigProblems as error:
        found = error.problems
    assert found == [line.replace("FILE", "experiment/own.yaml") for line in messages]


def test_an_interpolation_error_of_a_single_run_is_reported_in_the_same_way(tmp_path: Path) -> None:
    folder = own_experiment(tmp_path, "{lr: '${clip}', clip: '${lr}', hydra: {run: {dir: '${nowhere}'}}}")
    with pytest.raises(ConfigProblems) as caught:
        compose_plan(conf_dir(), ["experiment=own"], False, str(folder))
    assert caught.value.problems == [
        "clip=${lr} in experiment/own.yaml: refers to itself (clip → lr → clip)",
        "hydra.run.dir=${nowhere} in experiment/own.yaml: refers to the unknown key nowhere",
    ]


def test_an_override_replaces_a_wrong_interpolation_of_a_file(tmp_path: Path) -> None:
    folder = own_experiment(tmp_path, "{lr: '${clip}', clip: '${lr}'}")
    plan = compose_plan(conf_dir(), ["experiment=own", "clip=1,2"], True, str(folder))
    assert [job.config["lr"] for job in plan.jobs] == [1, 2]
