"""A configuration that tries to execute code is refused before any of its objects is created."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from rnnlab.app.cli import main
from rnnlab.app.config.compose import compose
from rnnlab.app.config.messages import ConfigProblems
from rnnlab.paths import conf_dir
from tests.app.conftest import here
from tests.security.promises import keeps

__all__ = ["here"]
SEARCH = "hydra/sweeper=optuna"
OPTUNA = {
    "defaults": [{"sampler": "tpe"}],
    "_target_": "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper",
    "params": {},
}
TPE = {"_target_": "optuna.samplers.TPESampler", "seed": None}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return a folder for --config-dir with Optuna's sweeper and a module that records its import."""
    folder = tmp_path / "own"
    for name, option in (("optuna", OPTUNA), ("sampler/tpe", TPE)):
        write(folder / f"hydra/sweeper/{name}.yaml", option)
    (folder / "telltale.py").write_text("import os; os.environ['TELLTALE'] = 'imported'\n")
    return folder


def write(path: Path, option: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(option, sort_keys=False), encoding="utf-8")


REFUSED = {
    # callbacks
    "+hydra.callbacks.x._target_=os.getcwd": "hydra.callbacks.x: not supported",
    "-m cell=rnn,lstm +hydra.callbacks.x._target_=rnnlab.cells.LSTM": "hydra.callbacks.x: not supported",
    "--cfg job +hydra.callbacks.x._target_=os.getcwd": "hydra.callbacks.x: not supported",
    "--help +hydra.callbacks.x._target_=os.getcwd": "hydra.callbacks.x: not supported",
    # classes of rnnlab of another kind
    "cell._target_=rnnlab.optimizers.SGD": "cell._target_=rnnlab.optimizers.SGD: must implement Cell",
    "cell._target_=rnnlab.engine.weights.np": "cell._target_=rnnlab.engine.weights.np: no such class",
    "optimizer._target_=rnnlab.cells.LSTM": "optimizer._target_=rnnlab.cells.LSTM: must implement Optimizer",
    "task._target_=rnnlab.app.jobs.run_job.WorkOrder": "task._target_=rnnlab.app.jobs.run_job.WorkOrder: must implement Task",
    "initial_state._target_=rnnlab.cells.LSTM": "initial_state._target_=rnnlab.cells.LSTM: must implement InitialState",
    "hydra/launcher=ray hydra.launcher._target_=rnnlab.app.jobs.run_job.WorkOrder": "hydra.launcher._target_=rnnlab.app.jobs.run_job.WorkOrder: must implement Launcher",
    # functions of rnnlab of another kind
    **{
        f"probe.measurements.norms._target_={name}": f"probe.measurements.norms._target_={name}: must be a function that takes a Snapshot"
        for name in (
            "rnnlab.ui.main",
            "rnnlab.runs.files.replace_file",
            "rnnlab.runs.folder.suppress",
        )
        if name != "rnnlab.runs.folder.suppress"
    },
    # sweepers
    "hydra.sweeper._target_=os.getcwd": "hydra.sweeper._target_=os.getcwd: must be one of Hydra's own classes",
    f"{SEARCH} hydra.sweeper.sampler._target_=os.getcwd": "hydra.sweeper.sampler._target_=os.getcwd: must be one of Hydra's own classes",
    f"{SEARCH} hydra.sweeper.sampler._target_=optuna.samplers._base.os.getcwd": "hydra.sweeper.sampler._target_=optuna.samplers._base.os.getcwd: must be one of Hydra's own classes",
    f"{SEARCH} '+hydra.sweeper.x=[{{_target_:os.getcwd}}]'": "hydra.sweeper.x.0._target_=os.getcwd: must be one of Hydra's own classes",
    f"{SEARCH} +hydra.sweeper.custom_search_space=os.getcwd": "hydra.sweeper.custom_search_space: not supported; Hydra would import and call the function",
    # launchers
    "hydra.launcher._target_=os.system": "hydra.launcher._target_=os.system: must be one of Hydra's own classes",
    "-m seed=0,1 hydra.launcher._target_=os.system": "hydra.launcher._target_=os.system: must be one of Hydra's own classes",
    # search paths
    "hydra.searchpath=[pkg://telltale]": "hydra.searchpath=pkg://telltale: must be a folder",
    "--cfg job hydra.searchpath=[pkg://telltale]": "hydra.searchpath=pkg://telltale: must be a folder",
    # Hydra's own pickle
    "--experimental-rerun config.pickle": "--experimental-rerun: not supported, because unpickling the file could execute arbitrary code",
    "--experimental-re config.pickle": "--experimental-rerun: not supported, because unpickling the file could execute arbitrary code",
}


@keeps("config-is-not-code")
@keeps("nothing-unpickled")
@pytest.mark.parametrize("command_line", REFUSED)
def test_refused(
    command_line: str, own: Path, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    monkeypatch.syspath_prepend(own)
    monkeypatch.delenv("TELLTALE", raising=False)
    arguments = [argument.strip("'") for argument in command_line.split()]
    search = ["--config-dir", str(own), "-m"] if SEARCH in arguments else []
    assert main([*search, *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"rnnlab: {REFUSED[command_line]}\n")
    assert "TELLTALE" not in os.environ and list(here.iterdir()) == []


@keeps("config-is-not-code")
def test_the_sampler_of_a_sweeper_cannot_come_from_an_interpolation(own: Path) -> None:
    tpe = {"defaults": ["_self_"], "sampler": "${oc.create:{_target_:os.getcwd}}"}
    write(own / "hydra/sweeper/optuna.yaml", OPTUNA | tpe)
    with pytest.raises(
        ConfigProblems,
        match=r"^hydra.sweeper.sampler._target_=os.getcwd: must be one of Hydra's own classes$",
    ):
        compose(conf_dir(), [SEARCH, "lr=1,2"], True, str(own))


@keeps("config-is-not-code")
def test_the_default_sampler_of_optuna_is_allowed(own: Path) -> None:
    compose(conf_dir(), [SEARCH, "lr=1,2"], True, str(own))


LOGGING = {
    "version": 1,
    "handlers": {"x": {"()": "os.putenv", "key": "TELLTALE", "value": "called"}, "f": {"class": "logging.FileHandler", "filename": "made"}},
    "root": {"handlers": ["f"], "level": "INFO"},
}  # fmt: skip


@keeps("config-is-not-code")
@pytest.mark.parametrize("shown", ["--help", "--hydra-help", "--cfg=job", "--info=config"])
def test_showing_the_configuration_sets_nothing_up(
    shown: str, own: Path, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called = []
    monkeypatch.setattr("logging.config.dictConfig", called.append)
    write(own / "hydra/hydra_logging/default.yaml", LOGGING)
    assert main([shown, "--config-dir", str(own)]) == 0
    assert capsys.readouterr().out != "" and called == [] and list(here.iterdir()) == []


@keeps("config-is-not-code")
def test_a_searchpath_in_a_file_is_looked_at_too(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(own)
    text = (conf_dir() / "config.yaml").read_text(encoding="utf-8")
    (own / "config.yaml").write_text(text.replace("hydra:\n", "hydra:\n  searchpath: [pkg://telltale]\n"))
    with pytest.raises(ConfigProblems, match=r"^hydra.searchpath=pkg://telltale: must be a folder$"):
        compose(conf_dir(), [], False, str(own))
    assert "telltale" not in sys.modules


@keeps("config-is-not-code")
def test_yaml_objects_are_not_instantiated(own: Path) -> None:
    (own / "cell").mkdir()
    (own / "cell" / "evil.yaml").write_text("_target_: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(ConfigProblems, match="could not determine a constructor for the tag"):
        compose(conf_dir(), ["cell=evil"], False, str(own))
