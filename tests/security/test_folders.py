"""Folders and servers of other people: no access outside the run folders."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from rnnlab.analysis.frames import sources
from rnnlab.analysis.frames.runs_frame import read_config
from rnnlab.app.check import check
from rnnlab.app.config.compose import compose_plan
from rnnlab.app.config.messages import ConfigProblems
from rnnlab.app.config.run_paths import SWEEP_FILE
from rnnlab.commands import repeat, sync
from rnnlab.mlflow_mirror.mirrored_run import MirroredRun
from rnnlab.mlflow_mirror.new_run import ID_TAG
from rnnlab.paths import conf_dir
from rnnlab.runs.closing import close_run
from tests.app.conftest import here
from tests.processes import TINY, Done, run_info
from tests.security.promises import keeps

__all__ = ["here"]
SMALL = (*TINY, "tracking=none", "figures=false")


@keeps("inside-the-folder")
@pytest.mark.parametrize("subdir", ["../x", "a/../../x", "/tmp/x"])
def test_a_sweeps_runs_stay_in_its_folder(subdir: str, here: Path) -> None:
    plan = compose_plan(conf_dir(), [*SMALL, "lr=1,2", f"hydra.sweep.subdir={subdir}"], True)
    assert plan.problems == [f"hydra.sweep.subdir={subdir}: must be inside the sweep folder"]


@pytest.fixture
def begun(here: Path, sweep: Done) -> Path:
    """Return an unfinished run of somebody else."""
    folder = here / "theirs" / "0_theirs"
    shutil.copytree(sweep.runs["rnn"], folder)
    (folder / "run.json").write_text(json.dumps(run_info(folder) | {"outcome": None}), encoding="utf-8")
    (folder / "mlflow.json").unlink(missing_ok=True)
    return folder


def resumed(folder: Path) -> list[str]:
    command = run_info(folder)["overrides"]
    with pytest.raises(ConfigProblems) as caught:
        check(compose_plan(conf_dir(), [*command, f"resume={folder.parent}"], True))
    return caught.value.problems


@keeps("inside-the-folder")
@pytest.mark.parametrize("name", ["figures", "metrics.jsonl.new", "run.json.new"])
def test_a_folder_with_a_link_is_neither_resumed_nor_closed(name: str, begun: Path, here: Path) -> None:
    sweep = {"sweep": "theirs", "runs": {begun.name: run_info(begun)["identity"]}}
    (begun.parent / SWEEP_FILE).write_text(json.dumps(sweep))
    outside = here / "outside"
    outside.mkdir()
    shutil.rmtree(begun / "figures")
    (begun / name).symlink_to(outside if name == "figures" else outside / "file")
    assert resumed(begun) == [f"{begun / name}: symbolic link; refusing to write through it"]
    with pytest.raises(ValueError, match="symbolic link"):
        close_run(begun, "killed", {})
    assert list(outside.iterdir()) == []


@keeps("inside-the-folder")
@pytest.mark.parametrize("name", ["../elsewhere", "a/../../elsewhere", "/elsewhere"])
def test_a_sweep_cannot_name_a_folder_outside_as_its_run(name: str, begun: Path, here: Path) -> None:
    runs = {name: run_info(begun)["identity"]}
    (begun.parent / SWEEP_FILE).write_text(json.dumps({"sweep": "theirs", "runs": runs}))
    assert resumed(begun) == [f"resume={begun.parent}: neither the name nor the folder of a sweep"]


@keeps("inside-the-folder")
@pytest.mark.parametrize("name", ["figures", "id_rsa"])
def test_the_target_of_a_link_is_not_sent(
    name: str, here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], begun: Path
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "id_rsa").write_text("private")
    (begun / "run.json").write_text(json.dumps(run_info(begun) | {"outcome": "finished"}))
    shutil.rmtree(begun / "figures")
    (begun / name).symlink_to(secret if name == "figures" else secret / "id_rsa")
    assert sync.main([str(begun), "--uri", f"sqlite:///{here / 'mlflow.db'}"]) == 1
    message = "symbolic link; refusing to read through it"
    assert message.split(";")[0] in capsys.readouterr().err
    assert not [file for file in here.rglob("mlartifacts/**/*") if file.name == "id_rsa"]
    with pytest.raises(ValueError, match="symbolic link"):
        MirroredRun(begun, f"sqlite:///{here / 'mlflow.db'}").update(None, "1")  # type: ignore[arg-type]


@keeps("inside-the-folder")
def test_links_in_some_folders_do_not_prevent_sending_other_runs(
    begun: Path, here: Path, sweep: Done, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three linked runs fail, as with an unavailable store, and the fourth run is still sent."""
    for number in range(3):
        run = here / "theirs" / f"{number}_linked"
        shutil.copytree(sweep.runs["lstm"], run, ignore=shutil.ignore_patterns("mlflow.json"))
        info = json.loads((run / "run.json").read_text(encoding="utf-8"))
        (run / "run.json").write_text(json.dumps(info | {"id": f"{number}" * 32}), encoding="utf-8")
        (run / (".mirroring" if number else "x")).unlink(missing_ok=True)
        (run / (".mirroring" if number else "x")).symlink_to(here / "gone")
    begun.rename(here / "theirs" / "9_theirs")
    assert sync.main(["theirs", "--uri", f"sqlite:///{here / 'mlflow.db'}"]) == 1
    out, err = capsys.readouterr()
    assert out == "4 runs: 3 not sent, 1 sent\n" and not (here / "gone").exists()
    assert err.count("symbolic link; refusing to read through it") == err.count("\n") == 3


@keeps("nothing-unpickled")
def test_objects_in_the_configuration_of_a_run_are_not_instantiated(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("lr: !!python/object/apply:os.getcwd []\n")
    assert read_config(tmp_path / "config.yaml") == {}


@keeps("inside-the-folder")
def test_a_repeated_run_is_stored_with_the_repetitions(begun: Path, here: Path) -> None:
    config: dict[str, Any] = yaml.safe_load((begun / "config.yaml").read_text(encoding="utf-8"))
    assert config["tracking"]["backend"] == "mlflow"
    plan = repeat._plan("theirs", begun, run_info(begun) | {"id": "/../../../../x"})
    assert plan.folder.parent.parent == here / "outputs"
    assert plan.jobs[0].config["tracking"]["backend"] == "none"


@keeps("inside-the-folder")
def test_only_the_files_of_a_run_are_fetched_from_a_server(tmp_path: Path) -> None:
    """Files listed by the server but unknown to rnnlab are not fetched."""
    asked: list[str] = []

    class Server:
        def list_artifacts(self, _: str) -> list[Any]:
            return [SimpleNamespace(path=path, is_dir=False) for path in ("../../x", "/etc/x", "config.yaml")]

        def download_artifacts(self, _: str, name: str, into: str) -> None:
            asked.append(name)
            (Path(into) / name).write_text("{}")

    def run_of(run_id: str) -> Any:
        tags = {ID_TAG: "id"}
        info = SimpleNamespace(
            run_id=run_id,
            run_name="x",
            experiment_id="1",
            start_time=0,
            end_time=1,
            status="FINISHED",
            artifact_uri="mlflow-artifacts:/x",
        )
        return SimpleNamespace(info=info, data=SimpleNamespace(tags=tags, params={}))

    cache = tmp_path / "cache"
    stored = sources._run_in_mlflow(run_of("0" * 32), Server(), "http://lab:5000", cache)  # type: ignore[arg-type]
    assert stored.file("config.yaml").is_file() and not stored.file("run.json").is_file()
    assert asked == ["config.yaml"]
    assert {file.name for file in tmp_path.rglob("*") if file.is_file()} == {"config.yaml"}
    for run_id in ("../../etc", "0" * 31 + "/", "A" * 32):
        with pytest.raises(ValueError, match="invalid run id returned by MLflow"):
            sources._run_in_mlflow(run_of(run_id), Server(), "http://lab:5000", cache)  # type: ignore[arg-type]
