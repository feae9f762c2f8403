"""Tests of resumed sweeps and runs: the choice of folders and the results."""

import os
import signal
import threading
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from rnnlab.analysis.frames.identity import find_differences
from rnnlab.app import launch
from rnnlab.app.check import CheckedPlan, check
from rnnlab.app.cli import main
from rnnlab.app.config.compose import compose_plan
from rnnlab.app.config.former_keys import ONE_LAYER, with_former_keys
from rnnlab.app.config.messages import ConfigProblems
from rnnlab.app.config.plan import KEYS_OUTSIDE_IDENTITY, Plan
from rnnlab.app.jobs.resume import ENGINE, identity, write_sweep_file
from rnnlab.paths import conf_dir
from rnnlab.runs.folder import write_run_info
from tests.conftest import Starter
from tests.processes import TINY, Done, finish, metric_rows, run, run_info, wait_until, worker_of
from tests.tracked import Tracked, experiments, tracked_runs

pytestmark = pytest.mark.usefixtures("kept_compositions")
SWEEP = ("cell=rnn,lstm", "seed=0,1")


def checked(*overrides: str, multirun: bool = True) -> CheckedPlan:
    return check(compose_plan(conf_dir(), [*TINY, "tracking=none", *overrides], multirun))


def folders(plan: Plan) -> list[Path]:
    return [job.folder for job in plan.jobs]


def begun(*overrides: str) -> Plan:
    """Create a sweep that looks started to `resume`."""
    made = checked(*overrides)
    made.plan.folder.mkdir(parents=True)
    write_sweep_file(made.plan, [order.info["identity"] for order in made.orders])
    return made.plan


def begun_run(folder: str, started: float, *overrides: str) -> Path:
    """Create the folder of a single started run."""
    order = checked(*overrides, f"hydra.run.dir=outputs/{folder}", multirun=False).orders[0]
    order.folder.mkdir(parents=True)
    write_run_info(order.folder, order.info | {"started": started, "ended": started, "outcome": "killed"})
    return order.folder


def problem(*overrides: str, multirun: bool = True) -> str:
    with pytest.raises(ConfigProblems) as caught:
        checked(*overrides, multirun=multirun)
    (message,) = caught.value.problems
    return message


# Identity of runs


def leaves(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Return the paths of all leaf keys."""
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    else:
        yield path


def changed(config: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """Return the configuration with a different value of one key."""
    config = deepcopy(config)
    node = config
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = "something else"
    return config


def test_every_key_with_an_effect_is_part_of_the_identity(here: Path) -> None:
    config = checked("cell=lstm", "seed=0,1").plan.jobs[0].config
    own, paths = identity(config, "data"), list(leaves(config))
    assert {path[0] for path in paths} >= {
        *KEYS_OUTSIDE_IDENTITY,
        "seed",
        "cell",
        "task",
        "init",
        "probe",
        "steps",
    }
    same = {path for path in paths if identity(changed(config, path), "data") == own}
    assert same == {path for path in paths if path[0] in (*KEYS_OUTSIDE_IDENTITY, ENGINE)}
    assert identity(config, "other data") != own


def test_a_missing_key_counts_as_a_difference(here: Path) -> None:
    config = checked("seed=0,1").plan.jobs[0].config
    for key in set(config) - {*KEYS_OUTSIDE_IDENTITY, ENGINE}:
        less = {name: value for name, value in config.items() if name != key}
        is_same = identity(less, "data") == identity(config, "data")
        assert is_same == (key in ONE_LAYER), key  # runs recorded before these keys existed have one layer
    for key, value in {"layers": 2, "residual": True}.items():
        assert identity(config | {key: value}, "data") != identity(config, "data")


def test_a_gru_of_an_earlier_version_has_the_same_identity(here: Path) -> None:
    config = checked("cell=gru").plan.jobs[0].config
    assert config["cell"]["reset_after"] is True
    former = config | {"cell": {k: v for k, v in config["cell"].items() if k != "reset_after"}}
    assert identity(former, "data") == identity(config, "data")
    other = config | {"cell": config["cell"] | {"reset_after": False}}
    assert identity(other, "data") != identity(config, "data")
    without = {key: value for key, value in former.items() if key not in ONE_LAYER}
    assert with_former_keys(without) == former


def test_equal_values_given_differently_are_the_same_run(here: Path) -> None:
    plain = [order.info["identity"] for order in checked(*SWEEP).orders]
    assert len(set(plain)) == 4
    other = [
        "jobs=3",
        "checkpoint_every=1",
        "figures=false",
        "fail_fast=true",
        "lr=2e-3",
        "seed=0,1",
        "cell=rnn,lstm",
    ]
    again = [order.info["identity"] for order in checked(*other).orders]
    assert sorted(again) == sorted(plain)


def test_a_changed_text_gives_a_new_run(here: Path) -> None:
    text = here / "text.txt"

    def own() -> str:
        (order,) = checked("task.path=text.txt", multirun=False).orders
        return str(order.info["identity"])

    text.write_text("to be or not to be " * 50)
    first = own()
    os.utime(text, (1, 1))
    assert own() == first
    text.write_text("to be or not to bee" * 50)
    assert own() != first


def test_a_changed_initial_state_gives_a_new_run(here: Path) -> None:
    def own(value: float) -> str:
        np.savez(here / "h.npz", h=np.full(8, value))
        (order,) = checked("initial_state=given", "initial_state.path=h.npz", multirun=False).orders
        return str(order.info["identity"])

    assert own(0.5) == own(0.5) != own(0.25)


# Choice of folders


def test_the_newest_sweep_of_the_same_runs_is_resumed(here: Path) -> None:
    earlier, newest, other = begun(*SWEEP), begun(*SWEEP), begun(*SWEEP, "lr=1")
    for age, plan in enumerate((other, newest, earlier)):
        os.utime(plan.folder / "sweep.json", (1e9 - age, 1e9 - age))
    found = checked(*SWEEP, "resume=true")
    assert folders(found.plan) == folders(newest) and found.plan.sweep == newest.sweep
    assert all(order.resume for order in found.orders)
    assert [order.info["tags"]["sweep"] for order in found.orders] == [newest.sweep] * 4


def test_without_a_matching_sweep_a_new_one_starts(here: Path) -> None:
    before = [begun(*SWEEP, "lr=1"), begun("cell=rnn,lstm", "seed=0")]
    found = checked(*SWEEP, "resume=true")
    assert found.plan.folder not in [plan.folder for plan in before] and not found.plan.folder.exists()
    assert not any(order.resume for order in found.orders)


def test_without_resume_no_run_is_resumed(here: Path) -> None:
    assert begun(*SWEEP).folder != checked(*SWEEP).plan.folder


def test_runs_are_found_in_another_order_of_the_axes_too(here: Path) -> None:
    before = begun(*SWEEP)
    found = checked("seed=1,0", "cell=lstm,rnn", "resume=true").plan
    assert found.folder == before.folder
    assert [path.name[2:] for path in folders(found)] == [
        "lstm_seed=1",
        "rnn_seed=1",
        "lstm_seed=0",
        "rnn_seed=0",
    ]


@pytest.mark.parametrize("how", ["name", "relative folder", "absolute folder"])
def test_a_sweep_can_be_named(here: Path, how: str) -> None:
    named, newest = begun(*SWEEP), begun(*SWEEP)
    given = {
        "name": named.sweep,
        "relative folder": str(named.folder.relative_to(here)),
        "absolute folder": str(named.folder),
    }
    found = checked(*SWEEP, f"resume={given[how]}").plan
    assert folders(found) == folders(named) != folders(newest)


def test_an_unknown_name_is_reported_with_the_known_names(here: Path) -> None:
    there = begun(*SWEEP)
    message = f"resume=nowhere: neither the name nor the folder of a sweep; available: {there.sweep}"
    assert problem(*SWEEP, "resume=nowhere") == message


def test_a_run_missing_from_a_named_sweep_gets_its_own_folder(here: Path) -> None:
    before = begun("cell=rnn,lstm")
    found = checked("cell=gru,rnn,lstm", f"resume={before.sweep}")
    assert [path.name for path in folders(found.plan)] == ["0_gru", "0_rnn", "1_lstm"]
    assert folders(found.plan)[1:] == folders(before)
    clash = checked("cell=rnn,lstm", "lr=1", f"resume={before.sweep}").plan
    names = {path.name for path in folders(clash)}
    assert len(names) == 2 and not names & {"0_rnn", "1_lstm"}
    write_sweep_file(clash, [order.info["identity"] for order in found.orders[:2]])
    assert set(folders(checked("cell=rnn,lstm", "resume=true").plan)) == set(folders(before))


def test_two_runs_of_one_identity_have_separate_folders(here: Path) -> None:
    same = ("lr=0.1,1e-1", "seed=0")
    before = begun(*same)
    assert len(set(folders(before))) == 2
    found = checked(*same, "resume=true")
    assert folders(found.plan) == folders(before)
    assert len({order.info["identity"] for order in found.orders}) == 1
    once = begun("seed=0", "lr=0.1")  # a newer sweep with one of the two
    os.utime(once.folder / "sweep.json", (2e9, 2e9))
    assert folders(checked(*same, "resume=true").plan) == folders(before)


def test_the_newest_run_of_the_same_configuration_is_resumed(here: Path) -> None:
    begun_run("a", 1.0), begun_run("c", 3.0, "lr=1")
    newest = begun_run("b", 2.0)
    place = "hydra.run.dir=outputs/${now:%H-%M-%S}"
    found = checked("resume=true", place, multirun=False)
    assert folders(found.plan) == [newest] and found.orders[0].resume
    fresh = checked("resume=true", "seed=7", place, multirun=False)
    assert folders(fresh.plan)[0] not in (here / "outputs").iterdir() and not fresh.orders[0].resume


def test_a_run_can_be_named_by_its_folder(here: Path) -> None:
    named, _ = begun_run("a", 1.0), begun_run("b", 2.0)
    assert folders(checked("resume=outputs/a", multirun=False).plan) == [named]
    message = "resume=outputs/a: not the folder of a run with this configuration"
    assert problem("resume=outputs/a", "seed=1", multirun=False) == message


def test_a_sweep_that_still_runs_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = begun(*SWEEP)
    with FileLock(there.folder / ".running"):
        assert main(["-m", *TINY, "tracking=none", *SWEEP, "resume=true"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"rnnlab: {there.folder}: this sweep is still in progress in another process\n")
    assert not any(folder.exists() for folder in folders(there))


def test_a_run_that_is_still_running_is_refused(here: Path) -> None:
    folder = begun_run("a", 1.0)
    with FileLock(folder / ".running"):
        message = problem("resume=outputs/a", multirun=False)
    assert message == f"{folder}: this run is still in progress in another process"


def test_resume_without_an_earlier_sweep_is_reported(here: Path) -> None:
    there = begun(*SWEEP)
    assert checked(*SWEEP, "resume=true").note is None
    message = checked("cell=rnn,lstm", "seed=0,1,2", "resume=true").note
    assert message == (
        "resume=true: no earlier sweep contains all of these runs; starting a new sweep "
        f"({there.sweep} contains 4 of 6 runs; use resume={there.sweep} to add the missing runs)"
    )
    assert checked(*SWEEP, "lr=1", "resume=true").note == message.partition(" (")[0]
    assert folders(checked(*SWEEP, f"resume={there.folder.name}").plan) == folders(there)


def test_a_damaged_file_is_neither_a_sweep_nor_a_run(here: Path) -> None:
    damaged, there = begun(*SWEEP, "lr=1"), begun(*SWEEP)
    (damaged.folder / "sweep.json").write_text('{"sweep": "a", "ru')
    assert folders(checked(*SWEEP, "resume=true").plan) == folders(there)
    run_file = there.jobs[1].folder / "run.json"
    run_file.parent.mkdir()
    run_file.write_text('{"id": ')
    assert problem(*SWEEP, "resume=true").startswith(f"{run_file.parent}: cannot be read (run.json: ")


@pytest.mark.parametrize(
    "name", ["metrics.jsonl", ".running", "checkpoint.safetensors", "weights.safetensors", "run.json.new"]
)
def test_a_folder_in_place_of_a_runs_file_is_refused_at_once(here: Path, name: str) -> None:
    run_folder = begun_run("a", 1.0)
    (run_folder / name).mkdir()
    message = f"{run_folder / name}: is a directory"
    assert problem("resume=outputs/a", multirun=False) == message
    there = begun(*SWEEP)
    (there.jobs[1].folder / name).mkdir(parents=True)
    assert problem(*SWEEP, "resume=true") == f"{there.jobs[1].folder / name}: is a directory"


def test_runs_stay_in_their_experiment(here: Path) -> None:
    there = begun(*SWEEP)
    order = checked(*SWEEP, "resume=true").orders[0]
    order.folder.mkdir()
    write_run_info(order.folder, order.info | {"started": 0.0, "ended": 0.0, "outcome": "killed"})
    message = "tracking.experiment=other: the runs to be resumed belong to the experiment rnnlab"
    assert problem(*SWEEP, f"resume={there.sweep}", "tracking.experiment=other") == message


def test_results_of_another_process_are_awaited(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launch, "LOCK_SECONDS", 0.1)
    place = begun(*SWEEP).jobs[2].folder
    order = checked(*SWEEP, "resume=true").orders[2]
    place.mkdir()
    write_run_info(place, order.info | {"outcome": None, "started": 0.0, "machine": {}})
    other = FileLock(place / ".running", thread_local=False)
    other.acquire()
    seen: list[bool] = []
    freed = threading.Timer(6.0, lambda: (seen.append((place / "metrics.jsonl").exists()), other.release()))
    freed.start()
    assert main(["-m", *TINY, "tracking=none", "figures=false", *SWEEP, "resume=true", "jobs=1"]) == 0
    assert seen == [False], "it was made while it was in use"
    assert {run_info(folder)["outcome"] for folder in place.parent.iterdir() if folder.is_dir()} == {
        "finished"
    }


# Results

LONG = ("-m", "report=false", "cell=rnn,lstm", "seed=0,1", "steps=1500", "hidden_size=16", "batch_size=4", "seq_len=9",
        "jobs=2", "val_every=500", "tracking.points=50", "figures=false", "probe=light")  # fmt: skip
OFTEN = (*LONG, "checkpoint_every=0.05")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A sweep that runs to its end without interruption."""
    done = run(tmp_path_factory.mktemp("undisturbed"), *LONG, "checkpoint_every=null")
    assert (done.code, done.err) == (0, "")
    return done


@pytest.fixture(scope="module")
def tracked(undisturbed: Done) -> dict[str, Tracked]:
    """Return the run's data in MLflow."""
    return tracked_runs(undisturbed.uri)


def first_run(top: Path) -> Path | None:
    """Return the folder of the first run as soon as it has a checkpoint."""
    for folder in top.glob("multirun/*/*/0_*"):
        path = folder / "metrics.jsonl"
        has_begun = path.is_file() and path.read_bytes().count(b"\n") > 100
        if has_begun and (folder / "checkpoint.safetensors").is_file():
            return folder
    return None


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}/exe").exists()


def files_of(folder: Path) -> dict[str, int]:
    """Return the modification time of each file except locks."""
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("[!.]*")
        if path.is_file()
    }


@pytest.mark.parametrize("disturbance", ["launcher killed", "Ctrl-C", "worker killed"])
@pytest.mark.usefixtures("database")
def test_a_disturbed_sweep_ends_like_an_undisturbed_one(
    undisturbed: Done, tracked: dict[str, Tracked], start: Starter, disturbance: str, tmp_path: Path
) -> None:
    process = start(tmp_path, *OFTEN)
    first: Path = wait_until(lambda: first_run(tmp_path), "the first run is on its way")
    worker = wait_until(lambda: worker_of(process.pid, first), "its worker is known")
    if disturbance == "launcher killed":
        process.kill()
    elif disturbance == "Ctrl-C":
        process.send_signal(signal.SIGINT)
    else:
        os.kill(worker, signal.SIGKILL)
    before = finish(tmp_path, process)
    assert before.code == {"launcher killed": -9, "Ctrl-C": 130, "worker killed": 1}[disturbance]
    wait_until(lambda: gone(worker), "the worker has ended")
    in_time = [path for path in before.runs.values() if run_info(path)["outcome"] == "finished"]
    assert first not in in_time and len(metric_rows(first)) < 1501
    assert disturbance != "worker killed" or len(in_time) == 3
    kept = {path: files_of(path) for path in in_time}

    done = run(tmp_path, *OFTEN, "resume=true")
    assert (done.code, done.err) == (0, "")
    assert f"Resuming {first.parent.parent.name}_{first.parent.name}: {len(in_time)} done, " in done.out
    assert list(done.runs) == list(undisturbed.runs) and len(list((tmp_path / "multirun").glob("*/*"))) == 1
    for name, folder in done.runs.items():
        expected = undisturbed.runs[name]
        assert run_info(folder)["outcome"] == "finished"
        assert find_differences(expected, folder) == []
        assert (folder / "weights.safetensors").read_bytes() == (
            expected / "weights.safetensors"
        ).read_bytes()
        assert [row["step"] for row in metric_rows(folder)] == list(range(1501))
        assert {path.name for path in folder.iterdir()} - {"code.diff"} == {
            path.name for path in expected.iterdir()
        } - {"code.diff"}
    log = (first / "run.log").read_text(encoding="utf-8")
    assert log.index("INFO started: ") < log.index("INFO resumed (attempt 2): ")
    assert {path: files_of(path) for path in in_time} == kept, "who has finished is left alone"
    assert experiments(done.uri) == {"rnnlab": 4, "Default": 0}
    mirrored = tracked_runs(done.uri)
    assert {name: run.status for name, run in mirrored.items()} == dict.fromkeys(done.runs, "FINISHED")
    assert {name: run.history for name, run in mirrored.items()} == {
        name: run.history for name, run in tracked.items()
    }
    assert len(tracked["rnn seed=0"].history["train/loss"]) == 51
