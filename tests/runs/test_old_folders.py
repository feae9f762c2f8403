"""Run folders of version 0.1.0, without a format number, are read; newer formats are refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import rnnlab as rl
from rnnlab import __version__
from rnnlab.analysis import IncompleteRuns, load_gradients, load_metrics, load_runs
from rnnlab.commands import compare, report, sync
from rnnlab.runs.run_json import FORMAT
from tests.processes import run, run_info
from tests.tracked import tracked_runs

OLD = Path(__file__).parent / "written_by_0_1"
COMMAND = (
    *("task=adding", "seq_len=6", "steps=4", "hidden_size=4", "batch_size=3", "val_every=2"),
    *("task.validation_examples=4", "figures=false", "report=false", "tracking=none"),
)
SWEEP = ("-m", "cell=rnn,lstm", *COMMAND)
REFUSAL = f"run.json: format {FORMAT + 1}, written by rnnlab 9.0; rnnlab {__version__} reads formats up to"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD, tmp_path / "old_sweep"))


def rewrite(folder: Path, **changes: object) -> None:
    file = folder / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def make_newer(folder: Path) -> None:
    rewrite(folder, format=FORMAT + 1, tags=run_info(folder)["tags"] | {"rnnlab_version": "9.0"})


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


def test_frames(old: Path) -> None:
    runs = load_runs(old).set_index("name")
    assert "format" not in run_info(old / "0_rnn")
    assert runs["outcome"].tolist() == ["finished", "finished"] and runs["mlflow_run_id"].isna().all()
    assert runs.loc["lstm", "val/loss"] == run_info(old / "1_lstm")["summary"]["val/loss"]
    metrics = load_metrics(old, "grad/norm")
    assert metrics.groupby("run", observed=True)["step"].apply(list).tolist() == [[0, 1, 2, 3]] * 2
    curves = load_gradients(old, "state", axis="lag", steps="last")
    assert set(curves["lag"]) == set(range(6)) and curves["log10_gmean"].notna().all()


def test_network(old: Path) -> None:
    net = rl.load_run(old / "1_lstm").network
    assert (net.cell, net.hidden, net.layers) == ("lstm", 4, 1)


def test_network_of_a_gru_from_before_reset_after(tmp_path: Path) -> None:
    rl.train("adding", cell="gru", hidden=4, seq_len=6, steps=2, quiet=True, folder=tmp_path / "gru")
    x = np.random.default_rng(0).standard_normal((6, 2, 3))
    before = rl.load_run(tmp_path / "gru").network.predict(x)
    file = tmp_path / "gru" / "config.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("  reset_after: true\n", ""), encoding="utf-8")
    assert "reset_after" in text and "reset_after" not in file.read_text(encoding="utf-8")
    np.testing.assert_array_equal(rl.load_run(tmp_path / "gru").network.predict(x), before)


def test_compare_and_report(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main([str(old / "0_rnn"), str(old / "1_lstm")]) == 0
    out, err = capsys.readouterr()
    assert "cell.forget_bias" in out and "grad/clip_coefficient" in out and err == ""
    assert report.main([str(old)]) == 0
    page = (old / "report.html").read_text(encoding="utf-8")
    assert "lstm" in page and "0.616" in page, "the gain, of which the summary has the logarithm alone"


def test_sync(old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = f"sqlite:///{tmp_path / 'fresh.db'}"
    assert sync.main([str(old), "--uri", uri]) == 0
    assert "2 runs: 2 sent" in capsys.readouterr().out
    runs = tracked_runs(uri)
    assert set(runs) == {"rnn", "lstm"}
    assert [step for step, _ in runs["lstm"].history["grad/clip_coefficient"]] == [0, 1, 2, 3]
    assert set(load_runs(old)["mlflow_run_id"]) == {run.run_id for run in runs.values()}


def test_resume(old: Path, tmp_path: Path) -> None:
    rewrite(old / "1_lstm", outcome="killed")
    before = files(old / "0_rnn")
    done = run(tmp_path, *SWEEP, "resume=old_sweep")
    assert done.code == 0, done.err
    assert "Resuming oldrun_old_sweep: 1 done" in done.out
    assert files(old / "0_rnn") == before
    info = run_info(old / "1_lstm")
    assert (info["outcome"], info["format"], info["id"]) == (
        "finished",
        FORMAT,
        "a88e1e941b3b49eaa42128958989de15",
    )
    assert load_runs(old)["outcome"].tolist() == ["finished", "finished"]


def test_a_newer_format_is_refused_by_the_version_that_wrote_it(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_newer(old / "0_rnn")
    before = files(old / "0_rnn")
    with pytest.warns(IncompleteRuns, match=f"0_rnn .*{REFUSAL}"):
        load_runs(old)
    assert compare.main([str(old / "0_rnn"), str(old / "1_lstm")]) == 2
    assert REFUSAL in capsys.readouterr().err
    assert sync.main([str(old), "--uri", f"sqlite:///{tmp_path / 'fresh.db'}"]) == 1
    out, err = capsys.readouterr()
    assert "2 runs: 1 not sent, 1 sent" in out and REFUSAL in err
    for arguments in (
        (*SWEEP, "resume=old_sweep"),
        ("cell=rnn", *COMMAND, "resume=old_sweep/0_rnn"),
    ):
        done = run(tmp_path, *arguments)
        assert done.code == 2 and REFUSAL in done.err and "remove" not in done.err
    assert files(old / "0_rnn") == before
