"""Composition of a command line's jobs."""

from collections import Counter
from pathlib import Path

import pytest
from hydra.types import RunMode
from omegaconf import OmegaConf

from rnnlab.app.config.compose import compose_plan
from rnnlab.app.config.composer import Composer, parse_jobs
from rnnlab.app.config.hydra_internals.private_api import HydraLoader
from rnnlab.app.config.loading import loader_of
from rnnlab.app.config.messages import ConfigProblems
from rnnlab.app.config.plan import Plan
from rnnlab.paths import conf_dir

SWEEP_OF_FOUR = """
# @package _global_
steps: 7
hydra:
  mode: MULTIRUN
  sweeper:
    params:
      cell: rnn,lstm
      seed: range(2)
"""
UNUSED_PLUGIN = "_target_: somewhere.Else"


def plan_of(*overrides: str, multirun: bool = True, config_dir: Path | None = None) -> Plan:
    return compose_plan(conf_dir(), overrides, multirun, config_dir and str(config_dir))


def with_option(folder: Path, name: str, text: str) -> Path:
    """Create a folder for --config-dir with one option."""
    file = folder / f"{name}.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        (["cell=rnn,lstm"], ["rnn", "lstm"]),
        (["cell=lstm", "seq_len=25,50"], ["seq_len=25", "seq_len=50"]),
        (["cell=lstm,rnn", "seq_len=25,50"], ["lstm seq_len=25", "lstm seq_len=50", "rnn seq_len=25", "rnn seq_len=50"]),
        (["clip=null,1", "optimizer=adam,sgd"], ["clip=null adam", "clip=null sgd", "clip=1 adam", "clip=1 sgd"]),
        (["seed=range(3)"], ["seed=0", "seed=1", "seed=2"]),
        (["cell=glob(l*)", "cell.forget_bias=0,1"], ["cell.forget_bias=0", "cell.forget_bias=1"]),
        (["cell=lstm"], ["lstm"]),
        (["cell=lstm", "seq_len=25"], ["lstm seq_len=25"]),
    ],
)  # fmt: skip
def test_a_sweep_is_the_product_of_its_axes_and_runs_are_named_from_what_differs(
    overrides: list[str], names: list[str]
) -> None:
    assert [job.name for job in plan_of(*overrides).jobs] == names


def test_a_single_run_is_named_after_its_cell_and_overrides() -> None:
    assert plan_of(multirun=False).jobs[0].name == "rnn"
    assert plan_of("seq_len=25", "tracking=none", multirun=False).jobs[0].name == "rnn seq_len=25"


def test_each_job_has_its_own_configuration() -> None:
    jobs = plan_of("cell=rnn,lstm", "seq_len=25,50", "clip=null").jobs
    seen = [(job.choices["cell"], job.config["cell"]["_target_"], job.config["seq_len"]) for job in jobs]
    assert seen == [
        ("rnn", "rnnlab.cells.Vanilla", 25),
        ("rnn", "rnnlab.cells.Vanilla", 50),
        ("lstm", "rnnlab.cells.LSTM", 25),
        ("lstm", "rnnlab.cells.LSTM", 50),
    ]
    assert all(job.config["clip"] is None and "hydra" not in job.config for job in jobs)
    assert [job.sweep_values for job in jobs][1] == {"cell": "rnn", "seq_len": "50"}


def test_folders_are_numbered_and_named_before_they_are_created(here: Path) -> None:
    plan = plan_of("cell=rnn,lstm", "task.path='a b/c,d.txt',other.txt")
    names = [job.folder.name for job in plan.jobs]
    assert names[0].startswith("0_rnn_task.path=") and names[3].startswith("3_lstm_task.path=")
    assert len(set(names)) == 4 and not any(set(name) & set(" /'") for name in names)
    assert all(job.folder.parent == plan.folder for job in plan.jobs)
    assert plan.folder.is_relative_to(here / "multirun")
    assert not list(here.iterdir())


def test_long_names_give_folder_names_within_the_limit() -> None:
    value = "x" * 300
    job = plan_of(f"task.path={value}a,{value}b").jobs[1]
    assert job.name.endswith("xb") and len(job.folder.name) < 100


def test_the_name_of_a_sweep_is_accepted_by_mlflow() -> None:
    plan = plan_of("cell=rnn,lstm", 'hydra.sweep.dir="it\'s/größer (2)"')
    assert plan.folder.parts[-2:] == ("it's", "größer (2)")
    assert plan.sweep == "it_s_gr_er_2_"
    assert len(plan_of("cell=rnn,lstm", f"hydra.sweep.dir={'x' * 240}/{'y' * 240}").sweep) == 200


def test_two_sweeps_of_the_same_second_have_different_folders(here: Path) -> None:
    plans = [plan_of("cell=rnn,lstm", "hydra.sweep.dir=multirun/now-${rnnlab_suffix:}") for _ in range(2)]
    assert plans[0].folder != plans[1].folder
    assert plans[0].sweep != plans[1].sweep
    assert all(len({job.folder.parent for job in plan.jobs}) == 1 for plan in plans)


def test_two_runs_of_the_same_second_have_different_folders(here: Path) -> None:
    dirs = "hydra.run.dir=outputs/now-${rnnlab_suffix:}"
    assert plan_of(dirs, multirun=False).folder != plan_of(dirs, multirun=False).folder


@pytest.mark.parametrize(("multirun", "key"), [(True, "sweep"), (False, "run")])
def test_default_folders_end_in_a_random_suffix(here: Path, multirun: bool, key: str) -> None:
    suffixes = {plan_of(multirun=multirun).folder.name.rpartition("-")[2] for _ in range(3)}
    assert len(suffixes) == 3 and all(int(suffix, 16) < 16**6 for suffix in suffixes)


def test_a_user_defined_experiment_can_be_a_sweep(tmp_path: Path) -> None:
    folder = with_option(tmp_path, "experiment/four", SWEEP_OF_FOUR)
    plan = plan_of("experiment=four", multirun=False, config_dir=folder)
    assert plan.is_sweep
    assert [job.name for job in plan.jobs] == ["rnn seed=0", "rnn seed=1", "lstm seed=0", "lstm seed=1"]
    assert [job.config["steps"] for job in plan.jobs] == [7] * 4


def test_axes_of_an_experiment_and_of_the_command_line_multiply(tmp_path: Path) -> None:
    folder = with_option(tmp_path, "experiment/four", SWEEP_OF_FOUR)
    jobs = plan_of("experiment=four", "lr=0.1,1", config_dir=folder).jobs
    assert (
        len({(job.choices["cell"], job.config["seed"], job.config["lr"]) for job in jobs}) == len(jobs) == 8
    )


def test_the_command_line_replaces_an_axis_of_an_experiment(tmp_path: Path) -> None:
    folder = with_option(tmp_path, "experiment/four", SWEEP_OF_FOUR)
    jobs = plan_of("experiment=four", "seed=5", config_dir=folder).jobs
    assert [(job.choices["cell"], job.config["seed"]) for job in jobs] == [("rnn", 5), ("lstm", 5)]


def test_a_job_is_what_hydra_makes_of_its_overrides() -> None:
    """Setting values in a copy of the merged files gives the same configuration as Hydra, including Hydra's node."""
    axes = ["cell=rnn,lstm", "init.W_hh.gain=0.5,1", "seed=3", "+measurement=jacobians", "~task.temperature"]
    more = [
        "probe.measurements.gates=null",
        "+cell.own={a: 1}",
        "hydra.sweep.subdir=${hydra.job.override_dirname}",
    ]
    loader = loader_of(conf_dir(), None)
    composer = Composer(loader)
    jobs = plan_of(*axes, *more).jobs
    assert len(jobs) == 4 and len({job.folder for job in jobs}) == 4
    for job in jobs:
        expected = loader.load_configuration("config", job.overrides, RunMode.RUN)
        (parsed,) = parse_jobs(loader, [job.overrides])
        assert OmegaConf.to_container(composer.compose(parsed)) == OmegaConf.to_container(expected)
        del expected.hydra
        assert job.config == OmegaConf.to_container(expected, resolve=True)


def test_a_choice_of_files_is_composed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[RunMode, tuple[str, ...]]] = []
    original = HydraLoader.load_configuration

    def counted(self, config_name, overrides, run_mode, **rest):  # type: ignore[no-untyped-def]
        calls.append((run_mode, tuple(overrides)))
        return original(self, config_name, overrides, run_mode, **rest)

    monkeypatch.setattr(HydraLoader, "load_configuration", counted)
    plan_of("cell=rnn,lstm", "seed=range(3)")
    times = Counter(overrides for mode, overrides in calls if mode is RunMode.RUN)
    assert times == Counter({("cell=rnn",): 1, ("cell=lstm",): 1})
    assert len(calls) == 2 + 1  # plus the command line itself, to read its axes
    calls.clear()
    plan_of("seed=3", multirun=False)
    assert calls == [(RunMode.RUN, ("seed=3",))]


@pytest.mark.parametrize(
    ("group", "allowed"), [("launcher", "basic, ray, submitit_slurm"), ("sweeper", "basic, optuna")]
)
def test_other_launchers_and_sweepers_of_hydra_are_refused(tmp_path: Path, group: str, allowed: str) -> None:
    folder = with_option(tmp_path, f"hydra/{group}/theirs", UNUSED_PLUGIN)
    with pytest.raises(ConfigProblems) as caught:
        plan_of("cell=rnn,lstm", f"hydra/{group}=theirs", config_dir=folder)
    assert caught.value.problems == [f"hydra/{group}=theirs: not supported; allowed: {allowed}"]


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        (["pair=[cell,lr]", "cell=rnn,lstm", "lr=0.1,0.01"], ["rnn lr=0.1", "lstm lr=0.01"]),
        (
            ["pair=[cell,lr]", "cell=rnn,lstm", "seed=0,1", "lr=0.1,0.01"],
            ["rnn lr=0.1 seed=0", "rnn lr=0.1 seed=1", "lstm lr=0.01 seed=0", "lstm lr=0.01 seed=1"],
        ),
        (
            ["pair=[lr,cell,steps]", "cell=rnn,lstm,gru", "lr=1,2,3", "steps=range(5,8)", "clip=null"],
            ["rnn lr=1 steps=5", "lstm lr=2 steps=6", "gru lr=3 steps=7"],
        ),
        (
            ["pair=[cell,cell.own]", "cell=rnn,lstm", "+cell.own=1,2"],
            ["rnn +cell.own=1", "lstm +cell.own=2"],
        ),
    ],
)
def test_paired_axes_vary_together(overrides: list[str], names: list[str]) -> None:
    assert [job.name for job in plan_of(*overrides).jobs] == names


def test_a_pair_appears_in_the_configuration_of_its_jobs() -> None:
    jobs = plan_of("pair=[seq_len,lr]", "seq_len=9,5", "lr=0.1,0.01").jobs
    assert [(job.config["seq_len"], job.config["lr"]) for job in jobs] == [(9, 0.1), (5, 0.01)]
    assert [job.number for job in jobs] == [0, 1] and len({job.folder for job in jobs}) == 2


def test_an_experiment_can_pair_its_axes(tmp_path: Path) -> None:
    text = SWEEP_OF_FOUR.replace("steps: 7", "steps: 7\npair: [cell, seed]")
    plan = plan_of("experiment=two", multirun=False, config_dir=with_option(tmp_path, "experiment/two", text))
    assert [job.name for job in plan.jobs] == ["rnn seed=0", "lstm seed=1"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["cell=rnn,lstm"], "lr must have several values, as in lr=a,b"),
        (["cell=rnn,lstm", "lr=1"], "lr must have several values, as in lr=a,b"),
        (["lr=1,2", "seed=0,1"], "cell must have several values, as in cell=a,b"),
        (["cell=rnn,lstm", "lr=1,2,3"], "cell has 2 values, lr has 3 values; paired axes must have the same number of values"),
        (["lr=1,2", "cell=rnn,lstm,gru"], "lr has 2 values, cell has 3 values; paired axes must have the same number of values"),
    ],
)  # fmt: skip
def test_an_invalid_pair_is_reported_in_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigProblems) as caught:
        plan_of("pair=[cell,lr]", *overrides)
    assert caught.value.problems == [f"pair=[cell,lr]: {message}"]


def test_the_printed_command_repeats_the_runs_without_resume() -> None:
    plan = compose_plan(conf_dir(), ["cell=rnn,lstm", "task.path='a b.txt'", "resume=true"], multirun=True)
    assert plan.command == "python -m rnnlab -m cell=rnn,lstm 'task.path='\"'\"'a b.txt'\"'\"''"
