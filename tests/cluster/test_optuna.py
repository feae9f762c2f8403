"""Hydra's Optuna sweeper, which requests runs and receives their results."""

from pathlib import Path

import yaml

from tests.processes import TINY, run, run_info
from tests.tracked import tracked_runs

SEARCH = ("-m", "hydra/sweeper=optuna", "lr=interval(1e-4,1e-1)", "cell=rnn,lstm", "figures=false", *TINY)


def test_a_search_ends_with_the_best_of_its_runs(tmp_path: Path) -> None:
    done = run(tmp_path, *SEARCH, "hydra.sweeper.n_trials=5", "jobs=2")
    assert (done.code, done.err) == (0, "")
    assert len(done.runs) == 5
    infos = [run_info(folder) for folder in done.runs.values()]
    best = min(infos, key=lambda info: info["summary"]["val/loss"])
    (folder,) = {path.parent for path in done.runs.values()}
    found = yaml.safe_load((folder / "optimization_results.yaml").read_text())
    assert found["best_value"] == best["summary"]["val/loss"]
    lr, cell = found["best_params"]["lr"], found["best_params"]["cell"]
    assert {f"lr={lr}", f"cell={cell}"} <= set(best["overrides"])
    assert f"Best: lr={lr} cell={cell} with val/loss" in done.out
    tracked = tracked_runs(done.uri)
    assert len(tracked) == 5 and {r.tags["sweep"] for r in tracked.values()} == {
        f"{folder.parent.name}_{folder.name}"
    }


def test_mistakes_are_reported_in_one_line(tmp_path: Path) -> None:
    for mistake, message in (
        ("hydra.sweeper.direction=up", "hydra/sweeper=optuna: Please set either 'minimize' or 'maximize'"),
        ("resume=true", "resume=True: not supported with hydra/sweeper=optuna"),
        (
            "objective=val/nonsense",
            "objective=val/nonsense: no such metric; available: val/baseline",
        ),
        ("lr=interval(-2,-1)", "must be greater than 0"),
    ):
        done = run(tmp_path, *SEARCH, mistake, "hydra.sweeper.n_trials=1", "tracking=none")
        assert done.code == 2 and message in done.err, done.err
        assert len(done.err.splitlines()) == 1
