"""Mistakes of a user: each told in a line that names it, exit code 2, nothing made."""

from pathlib import Path

import numpy as np
import pytest

from rnnlab.app.cli import main
from rnnlab.app.problems import ConfigProblems

ALLOWED_INIT = "'uniform', 'normal', 'orthogonal', 'fan_in', 'identity' or 'zero'"
QUOTE = "cannot be read; quote special characters, as in 'key=\"a=b (c)\"'"
NO_FOLDER_STORE = "must be sqlite:///<file>, http(s)://<server> or a database; MLflow 3 takes no plain folder"
OF_THE_SWEEP = "of the sweep as a whole, and cannot differ within it"
NO_OTHER_CONFIG = "--config-name, --config-path: not supported; --config-dir adds options of your own"

PROBLEMS = {
    # keys
    "hiden_size=8": "hiden_size=8: no such key; did you mean hidden_size?",
    "cells=rnn": "cells=rnn: no such key; did you mean cell?",
    "cell.nonlinearty=relu": "cell.nonlinearty=relu: no such key; did you mean cell.nonlinearity?",
    "xyz=1": "xyz=1: no such key",
    "+xyz=1": "xyz: no such key",
    "+cell.xyz=1": "cell.xyz: no such key",
    "cell=lstm cell.nonlinearity=relu": "cell.nonlinearity=relu: the chosen cell has no such key",
    "~lr": "lr: missing",
    "~cell": "cell: missing",
    "~xyz": "Could not delete from config. 'xyz' does not exist.",
    # options
    "cell=elman": "cell=elman: no such option; allowed: gru, lstm, rnn",
    "optimizer=adm": "optimizer=adm: no such option; allowed: adagrad, adam, rmsprop, sgd",
    "cell=null clip=null": "cell=null: must name an option",
    "init=5": "init=5: must name an option",
    "clip_mode=both": "clip_mode=both: must be 'norm' or 'value'",
    "dtype=float16": "dtype=float16: must be 'float32' or 'float64'",
    "cell.nonlinearity=sigmoid": "cell.nonlinearity=sigmoid: must be 'tanh', 'relu' or 'identity'",
    "init.W_hh.kind=eye": f"init.W_hh.kind=eye: must be {ALLOWED_INIT}",
    "measurement=gates": "measurement=gates: nothing of the kind to replace; add it with +measurement=gates",
    "probe=heavy": "probe=heavy: no such option; allowed: full, light, none, standard",
    "+measurement=speed": "measurement=speed: no such option; allowed: contributions, gates, jacobians, lag_curves, lyapunov, norms, parameters, spectrum, theory",
    # types
    "lr=fast": "lr=fast: must be a valid number",
    "lr=": "lr=: must be a valid number",
    "steps=1.5": "steps=1.5: must be a valid integer",
    "steps=true": "steps=true: must be a valid integer",
    "steps='5'": "steps=5: must be a valid integer",
    "seq_len=[5,9]": "seq_len=[5, 9]: must be a valid integer",
    "readout_bias=1": "readout_bias=1: must be a valid boolean",
    "init.W_hh=null": "init.W_hh=null: must be an object",
    "probe.measurements.lag_curves.targets=last": "probe.measurements.lag_curves.targets=last: must be a valid array",
    "probe.measurements.norms=false": "probe.measurements.norms=False: must be null, to leave it out, or have a _target_",
    "probe.measurements=7": "probe: must have the key measurements, with a key for each",
    "probe.measurements.norms.when.every=0": "probe.measurements.norms.when.every=0: must be greater than or equal to 1",
    "probe.spike_factor=1": "probe.spike_factor=1: must be greater than 1",
    "probe.length=0": "probe.length=0: must be greater than or equal to 1",
    "probe.length=10000": "probe.length=10000: the held-out part has only 9573 characters; raise task.held_out",
    "probe.measurements.lag_curves.targets=[51]": "probe.measurements.lag_curves.targets=51: the probe has targets at time steps 1 to 50",
    "task.targets=last probe.measurements.lag_curves.targets=[10]": "probe.measurements.lag_curves.targets=10: the probe has targets at time step 50",
    "probe.measurements.norms._target_=os.system": "probe.measurements.norms._target_=os.system: must be a function of rnnlab",
    "probe.measurements.norms._target_=rnnlab.cells.LSTM": "probe.measurements.norms._target_=rnnlab.cells.LSTM: no such function",
    "lr=null": "lr=null: must be a valid number",
    "seed=null": "seed=null: must be a valid integer",
    "hidden_size=${lr}": "hidden_size=0.002: must be a valid integer",
    # bounds
    "lr=0": "lr=0: must be greater than 0",
    "clip=-1": "clip=-1: must be greater than 0",
    "seed=-1": "seed=-1: must be greater than or equal to 0",
    "steps=0": "steps=0: must be greater than or equal to 1",
    "jobs=0": "jobs=0: must be greater than or equal to 1",
    "val_every=0": "val_every=0: must be greater than or equal to 1",
    "optimizer.beta1=1": "optimizer.beta1=1: must be less than 1",
    "task=digits seq_len=32": "seq_len=32: must be 64, the time steps of an image with read=pixels",
    "task=digits_rows task.read=pixels": "seq_len=8: must be 64, the time steps of an image with read=pixels",
    "task=temporal_order seq_len=9": "seq_len=9: must be at least 10, for each special symbol needs a tenth",
    "task=adding loss=cross_entropy": "loss=cross_entropy: Adding allows squared_error",
    "task=adding task.version=lee": "task.version=lee: must be 'le_2015', 'pascanu_2013' or 'hochreiter_1997'",
    "task=copy task.length_range=[9,5]": "task.length_range=[9, 5]: must be the shortest and the longest",
    "task=copy task.length_range=[5]": "task.length_range.1: missing",
    "task=series task.columns=[wind]": "task.columns=wind: there is no such column; there are 'month', 'sunspots'",
    "task=series task.path=nowhere.csv": "task.path=nowhere.csv: cannot be read (No such file or directory)",
    "stop_when_solved=true": "stop_when_solved=true: CharLM has no criterion by which it is solved",
    "task=latch stop_when_solved=true val_every=null": "val_every=null: stop_when_solved=true needs validations on the way",
    "task.held_out=1": "task.held_out=1: must be less than 1",
    "probe.examples=0": "probe.examples=0: must be greater than or equal to 1",
    "tracking.points=1": "tracking.points=1: must be greater than or equal to 2",
    "lr=nan": "lr=nan: must be a finite number",
    "clip=inf": "clip=inf: must be a finite number",
    "lr=-inf": "lr=-inf: must be a finite number",
    "init.b_h.gain=nan": "init.b_h.gain=nan: must be a finite number",
    # classes
    "cell._target_=os.system": "cell._target_=os.system: must be a class of rnnlab",
    "cell._target_=null": "cell._target_=null: must be a class of rnnlab",
    "cell._target_=rnnlab.cells.Nothing": "cell._target_=rnnlab.cells.Nothing: no such class",
    "cell._target_=rnnlab.nowhere.LSTM": "cell._target_=rnnlab.nowhere.LSTM: no such class",
    "cell._target_=rnnlab.cells.Cell": "cell._target_=rnnlab.cells.Cell: no such class",
    # what the jobs of a sweep share
    "-m tracking=none,mlflow": f"tracking: {OF_THE_SWEEP}",
    "-m jobs=1,2": f"jobs: {OF_THE_SWEEP}",
    "-m fail_fast=true,false": f"fail_fast: {OF_THE_SWEEP}",
    "-m resume=true,false": f"resume: {OF_THE_SWEEP}",
    "-m resume=nowhere seed=0,1": "resume=nowhere: neither the name nor the folder of a sweep",
    "resume=nowhere": "resume=nowhere: no folder of a run with this configuration",
    "fail_fast=5": "fail_fast=5: must be a valid boolean",
    "checkpoint_every=-1": "checkpoint_every=-1: must be greater than or equal to 0",
    "pair=cell": "pair=cell: must be a valid array",
    # initial states
    "initial_state=given": "initial_state.path=null: must be a valid string",
    "initial_state=given initial_state.path=nowhere.npz": "initial_state.path=nowhere.npz: cannot be read (No such file or directory)",
    "initial_state=given initial_state.path=..": "initial_state.path=..: cannot be read (Is a directory)",
    "initial_state=given initial_state.path=../texts/empty": "initial_state.path=../texts/empty: must be an .npz file of numbers",
    "initial_state=given initial_state.path=../texts/short": "initial_state.path=../texts/short: must be an .npz file of numbers",
    "initial_state=given initial_state.path=../texts/h.npy": "initial_state.path=../texts/h.npy: must be an .npz file of numbers",
    "initial_state=given initial_state.path=../texts/pickle.npz": "initial_state.path=../texts/pickle.npz: must be an .npz file of numbers",
    "initial_state=given initial_state.path=../texts/h.npz": "initial_state.path=../texts/h.npz: must hold an array h of 128 finite numbers; it holds h float64 (5,)",
    "initial_state=given initial_state.path=../texts/h.npz hidden_size=5 cell=lstm": "initial_state.path=../texts/h.npz: must hold an array c of 5 finite numbers; it holds h float64 (5,)",
    "initial_state=given initial_state.path=../texts/nan.npz hidden_size=5": "initial_state.path=../texts/nan.npz: must hold an array h of 5 finite numbers; it holds h float64 (5,)",
    "initial_state=learned initial_state.std=-1": "initial_state.std=-1: must be greater than or equal to 0",
    "initial_state=random": "initial_state=random: no such option; allowed: given, learned, normal, zero",
    "initial_state.std=1": "initial_state.std=1: no such key",
    "loss=hinge": "loss=hinge: must be 'cross_entropy' or 'squared_error'",
    "task.targets=first": "task.targets=first: must be 'every' or 'last'",
    # texts
    "task.path=nowhere.txt": "task.path=nowhere.txt: cannot be read (No such file or directory)",
    "task.path=../texts": "task.path=../texts: cannot be read (Is a directory)",
    "task.path=../texts/empty": "task.path=../texts/empty: a text needs at least two different characters, got 0",
    "task.path=../texts/one": "task.path=../texts/one: a text needs at least two different characters, got 1",
    "task.path=../texts/binary": "task.path=../texts/binary: not a UTF-8 text (invalid start byte at byte 128)",
    "task.path=../texts/short": "task: the text is too short: 90 training characters in batch_size=32 streams "
    "leave 2 a stream, and seq_len=50 needs 51",
    "task.path=../texts/short batch_size=1": "task: the held-out part is too short: 10 characters, and "
    "seq_len=50 needs 51; raise held_out=0.1",
    # tracking
    "tracking.uri=mlruns": f"tracking.uri=mlruns: {NO_FOLDER_STORE}",
    "tracking.uri='file:///tmp/runs'": f"tracking.uri=file:///tmp/runs: {NO_FOLDER_STORE}",
    "tracking.uri=5": "tracking.uri=5: must be a valid string",
    "tracking.experiment=''": "tracking.experiment=: String should have at least 1 character",
    # grammar and Hydra
    "cell=rnn,lstm": "cell=rnn,lstm: several values; add -m to sweep over them",
    "seed=range(3)": "seed=range(3): several values; add -m to sweep over them",
    "a=b=c": f"a=b=c: {QUOTE}",
    "lr=(1": f"lr=(1: {QUOTE}",
    "task.path=größe.txt": f"task.path=größe.txt: {QUOTE}",
    "lr": f"lr: {QUOTE}",
    "lr=${nowhere}": "Interpolation key 'nowhere' not found",
    "--config-dir nowhere": "--config-dir=nowhere: no such folder",
    "--config-name other": NO_OTHER_CONFIG,
    "--config-path other": NO_OTHER_CONFIG,
    "--experimental-rerun job.pickle": "--experimental-rerun: refused, it would unpickle and run what the file holds",
    "--cfg job xyz=1": "xyz=1: no such key",
    "--help cell=elman": "cell=elman: no such option; allowed: gru, lstm, rnn",
}


@pytest.fixture
def texts(here: Path) -> None:
    folder = here.parent / "texts"
    folder.mkdir()
    (folder / "empty").write_text("")
    (folder / "one").write_text("a" * 9000)
    (folder / "binary").write_bytes(bytes(range(256)))
    (folder / "short").write_text("ab" * 50)
    np.save(folder / "h.npy", np.zeros(128))
    np.savez(folder / "h.npz", h=np.zeros(5))
    np.savez(folder / "nan.npz", h=np.full(5, np.nan))
    np.savez(folder / "pickle.npz", h=np.array([{}], dtype=object))


def told(command_line: str, capsys: pytest.CaptureFixture[str], here: Path) -> list[str]:
    """What a command line that is refused says, a line each."""
    assert main(command_line.split()) == 2
    out, err = capsys.readouterr()
    assert out == "" and list(here.iterdir()) == []
    return err.splitlines()


@pytest.mark.usefixtures("texts")
@pytest.mark.parametrize("command_line", PROBLEMS)
def test_a_mistake(command_line: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(command_line, capsys, here) == [f"rnnlab: {PROBLEMS[command_line]}"]


def test_an_experiment_that_does_not_exist(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = told("experiment=quik jobs=0", capsys, here)
    start = "rnnlab: experiment=quik: no such option; allowed: adding, "
    assert line.startswith(start) and ", quick, source_brown" in line


def test_the_mistakes_of_one_job_are_told_together(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = told("lr=-1 jobs=0 init.b_h.gain=0 cell.bias=1 optimizer.beta1=2 task.held_out=0", capsys, here)
    keys = [line.split()[1].split("=")[0] for line in lines]
    assert keys == ["lr", "jobs", "init.b_h.gain", "cell.bias", "task.held_out", "optimizer.beta1"]


def test_the_mistakes_of_all_jobs_are_told_together(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = told("-m cell=rnn,elman lr=1,-1 task.path=nowhere,null tracking.uri=mlruns", capsys, here)
    assert lines == [
        "rnnlab: cell=elman: no such option; allowed: gru, lstm, rnn",
        "rnnlab: task.path=nowhere: cannot be read (No such file or directory)",
        "rnnlab: lr=-1: must be greater than 0",
        f"rnnlab: tracking.uri=mlruns: {NO_FOLDER_STORE}",
    ]


def test_one_bad_job_stops_the_whole_sweep(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = told("-m seq_len=5,9,100000 steps=2", capsys, here)
    assert line.endswith("and seq_len=100000 needs 100001")


def test_a_database_needs_its_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = told("tracking.uri='sqlite:///nowhere/mlflow.db'", capsys, here)
    folder = here / "nowhere"
    assert line == f"rnnlab: tracking.uri=sqlite:///nowhere/mlflow.db: the folder {folder} does not exist"


def test_an_address_from_the_environment_is_checked(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "databricks")
    assert told("steps=2", capsys, here) == [f"rnnlab: tracking.uri=databricks: {NO_FOLDER_STORE}"]


@pytest.mark.parametrize(
    ("command_line", "taken"),
    [
        ("hydra.run.dir=../texts", "texts"),
        ("-m hydra.sweep.dir=../texts", "texts"),
        ("-m seed=0,1 hydra.sweep.subdir=same", "same"),
    ],
)
@pytest.mark.usefixtures("texts")
def test_a_folder_in_use_is_refused(
    command_line: str, taken: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = told(command_line, capsys, here)
    assert f"{taken}: exists, and a" in line and line.endswith("needs a folder of its own")


@pytest.mark.usefixtures("texts")
@pytest.mark.parametrize(
    "command_line", ["hydra.run.dir=../texts/one/a/run", "-m hydra.sweep.dir=../texts/one/sweep"]
)
def test_a_place_that_cannot_be_written_is_told_before_anything_runs(
    command_line: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = told(command_line, capsys, here)
    assert line.endswith("cannot be made (Not a directory)")


def test_tracebacks_can_be_had(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ConfigProblems, match="no such key"):
        main(["xyz=1"])
