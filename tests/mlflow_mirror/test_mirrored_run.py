"""A run folder and its MLflow run agree in the end, after any failure and any number of attempts."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from rnnlab.mlflow_mirror.ledger import LEDGER_FILE
from rnnlab.mlflow_mirror.mirror import Mirror, close_abandoned
from rnnlab.mlflow_mirror.mirrored_run import MirroredRun
from rnnlab.mlflow_mirror.store import open_experiment
from rnnlab.records import StepRecord
from rnnlab.runs.folder import RunFolder
from rnnlab.runs.host_identity import host
from rnnlab.runs.run_json import read_run_info
from tests.runs.small_runs import STEPS, config_of, finish, held, info_of, whole_run, write
from tests.thorough import thorough


@dataclass
class Store:
    """An MLflow database with a separate experiment for each case."""

    uri: str
    client: Any
    numbers: Iterator[int]

    def experiment(self) -> str:
        name = f"experiment {next(self.numbers)}"
        return open_experiment(self.uri, name)[1]

    def name(self, experiment_id: str) -> str:
        return str(self.client.get_experiment(experiment_id).name)

    def held(self, experiment_id: str) -> list[dict[str, Any]]:
        return held(self.client, experiment_id)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    uri = f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"
    client, _ = open_experiment(uri, "rnnlab")
    return Store(uri, client, count())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has ended but has not been sent to MLflow."""
    return whole_run(tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture(scope="module")
def undisturbed(store: Store, whole: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The MLflow content of a run sent without failures."""
    folder = shutil.copytree(whole, tmp_path_factory.mktemp("undisturbed") / "run")
    experiment = store.experiment()
    assert MirroredRun(folder, store.uri).update(store.client, experiment)
    return store.held(experiment)


class Unreliable:
    """A client whose n-th request fails, before or after the store has processed it."""

    def __init__(self, client: Any, breaks_at: int, carried_out: bool) -> None:
        self._client, self._left, self._carried_out = client, breaks_at, carried_out

    @property
    def broke(self) -> bool:
        return self._left < 0

    def __getattr__(self, name: str) -> Any:
        request = getattr(self._client, name)

        def ask(*arguments: Any, **named: Any) -> Any:
            self._left -= 1
            if self._left != -1:
                return request(*arguments, **named)
            if self._carried_out:
                request(*arguments, **named)
            raise ConnectionError(f"{name}: no answer")

        return ask


def until_complete(run: MirroredRun, client: Any, experiment: str) -> None:
    for _ in range(5):
        try:
            run.update(client, experiment)
        except ConnectionError:
            continue
        if run.complete:
            return
    raise AssertionError("the mirror did not finish")


def test_a_mirrored_run_agrees_with_its_folder(undisturbed: list[dict[str, Any]], whole: Path) -> None:
    (run,) = undisturbed
    info = read_run_info(whole)
    assert info is not None
    assert (run["name"], run["status"]) == ("run", "FINISHED")
    assert run["times"] == (round(1000 * info["started"]), round(1000 * info["ended"]))
    assert [(step, value) for step, value, _ in run["history"]["train/loss"]] == [
        (0, 1),
        (2, 1 / 3),
        (4, 0.2),
    ]
    assert [step for step, *_ in run["history"]["log10_h_by_lag/0001"]] == [0, 1, 2, 3, 4]
    assert [(x, value) for x, value, _ in run["history"]["log10_h_lag/last"]] == [(0, 0), (1, -4)]
    assert run["datasets"] == ["abc"]
    assert sum(path.startswith("images/") for path in run["artifacts"]) == 4  # two images, each in two sizes
    assert not {LEDGER_FILE, ".running", ".mirroring"} & set(run["artifacts"])


def test_a_finished_run_takes_few_transactions(store: Store, whole: Path, tmp_path: Path) -> None:
    """Each one waits for the disk, and a sweep of short runs waits for all of them at its end."""
    folder, experiment = shutil.copytree(whole, tmp_path / "run"), store.experiment()
    transactions: list[object] = []

    def note(connection: object) -> None:
        transactions.append(connection)

    event.listen(Engine, "commit", note)
    try:
        assert MirroredRun(folder, store.uri).update(store.client, experiment)
    finally:
        event.remove(Engine, "commit", note)
    assert 0 < len(transactions) <= 21


@pytest.mark.parametrize("carried_out", [thorough(False), True], ids=["before", "after"])
def test_a_broken_request_does_not_change_the_result(
    store: Store,
    whole: Path,
    undisturbed: list[dict[str, Any]],
    tmp_path: Path,
    carried_out: bool,
) -> None:
    """Each request fails in turn; the same process or another one retries."""
    wrong = []
    for breaks_at in count():
        folder = shutil.copytree(whole, tmp_path / str(breaks_at))
        experiment, client = store.experiment(), Unreliable(store.client, breaks_at, carried_out)
        run = MirroredRun(folder, store.uri)
        try:
            run.update(client, experiment)
        except ConnectionError as error:
            what = str(error)
        else:
            break
        until_complete(MirroredRun(folder, store.uri) if breaks_at % 2 else run, client, experiment)
        assert client.broke
        if store.held(experiment) != undisturbed:
            wrong.append(f"request {breaks_at}, {what}")
    assert breaks_at > 15, "there were so many requests"
    assert wrong == []


def test_all_runs_may_be_sent_again(
    store: Store, whole: Path, undisturbed: list[dict[str, Any]], tmp_path: Path
) -> None:
    folder, experiment = shutil.copytree(whole, tmp_path / "run"), store.experiment()
    for _ in range(2):
        assert MirroredRun(folder, store.uri).update(store.client, experiment)
        assert not MirroredRun(folder, store.uri).update(store.client, experiment), "there is nothing new"
        assert store.held(experiment) == undisturbed
        (folder / LEDGER_FILE).unlink()


def test_a_run_mirrored_through_all_attempts_equals_one_sent_at_its_end(store: Store, tmp_path: Path) -> None:
    path, experiment = tmp_path / "followed", store.experiment()

    def send() -> bool:  # by a different process each time
        return MirroredRun(path, store.uri).update(store.client, experiment)

    assert not send(), "the run folder does not exist yet"
    with RunFolder(path, info_of(), config_of()) as folder:
        assert not send()
        assert [run["status"] for run in store.held(experiment)] == ["RUNNING"]
        write(folder, [0, 1])
        assert send() and not send()
        with (path / "metrics.jsonl").open("ab") as file:
            file.write(b'{"step": 2, "tra')
        assert not send(), "half a row is none"
        finish(folder, "killed")
    assert send()
    assert [run["status"] for run in store.held(experiment)] == ["KILLED"]
    with RunFolder(path, info_of("other", host="there"), config_of(), resume=True) as folder:
        write(folder, range(4))
        assert send()
        (running,) = store.held(experiment)
        assert (running["status"], running["tags"]["rnnlab.host"]) == ("RUNNING", "there")
        write(folder, range(4, STEPS + 1))
        finish(folder)
    assert send()
    copy = shutil.copytree(path, tmp_path / "copy")
    (copy / LEDGER_FILE).unlink()
    other = store.experiment()
    MirroredRun(copy, store.uri).update(store.client, other)
    assert store.held(experiment) == store.held(other)


@pytest.mark.parametrize("break_at", [None, *range(9)])
def test_a_run_with_replaced_rows_becomes_a_new_run_in_mlflow(
    store: Store, tmp_path: Path, break_at: int | None
) -> None:
    """The run is sent by one process, by a different process each time, and with failing, repeated requests."""
    path, experiment = tmp_path / "run", store.experiment()
    with RunFolder(path, info_of(), config_of()) as folder:
        write(folder, [0, 1])
        folder.write(StepRecord(2, {"train/loss": 100.0, "grad/norm": 1.0}))
        followed = MirroredRun(path, store.uri)
        assert followed.update(store.client, experiment)
    (first,) = store.held(experiment)
    assert (2, 100.0) in [(step, value) for step, value, _ in first["history"]["train/loss"]]
    with RunFolder(path, info_of(), config_of(), resume=True) as folder:
        write(folder, range(STEPS + 1))
        finish(folder)
    client = store.client if break_at is None else Unreliable(store.client, break_at, carried_out=True)
    until_complete(followed if break_at is None else MirroredRun(path, store.uri), client, experiment)
    copy = shutil.copytree(path, tmp_path / "copy")
    (copy / LEDGER_FILE).unlink()
    other = store.experiment()
    MirroredRun(copy, store.uri).update(store.client, other)
    assert store.held(experiment) == store.held(other)


def test_a_run_created_twice_is_kept_once(
    store: Store, whole: Path, undisturbed: list[dict[str, Any]], tmp_path: Path
) -> None:
    """A request with a lost answer was carried out late and created the duplicate."""
    folder, experiment = shutil.copytree(whole, tmp_path / "run"), store.experiment()
    client = Unreliable(store.client, 1, carried_out=True)  # the request that creates the run
    run = MirroredRun(folder, store.uri)
    with pytest.raises(ConnectionError, match="create_run"):
        run.update(client, experiment)
    (first,) = store.client.search_runs([experiment])
    again = {**first.data.tags}
    store.client.create_run(experiment, first.info.start_time, again, "run")
    until_complete(run, client, experiment)
    assert store.held(experiment) == undisturbed
    assert run.run_id() in {found.info.run_id for found in store.client.search_runs([experiment])}


def test_the_run_with_the_data_is_kept_even_if_created_late(store: Store, tmp_path: Path) -> None:
    """Late requests create the run after another request has created and filled it."""
    experiment, path = store.experiment(), tmp_path / "run"
    with RunFolder(path, info_of(), config_of()) as folder:
        write(folder, [0])
        run = MirroredRun(path, store.uri)
        assert run.update(store.client, experiment)
        (first,) = store.client.search_runs([experiment])
        for _ in range(12):  # MLflow draws random ids, so their order varies
            store.client.create_run(experiment, first.info.start_time, {**first.data.tags}, "run")
        write(folder, range(1, STEPS + 1))
        finish(folder)
    assert run.update(store.client, experiment)
    (remains,) = store.held(experiment)
    assert (remains["status"], set(remains["params"])) == ("FINISHED", {"cell", "lr"})
    assert len(remains["history"]["train/loss"]) == 3


def test_an_abandoned_run_created_twice_is_closed_permanently(store: Store, tmp_path: Path) -> None:
    experiment, path = store.experiment(), tmp_path / "run"
    whole_run(path, host=host())
    assert MirroredRun(path, store.uri).update(store.client, experiment)
    (first,) = store.client.search_runs([experiment])
    store.client.create_run(experiment, first.info.start_time, {**first.data.tags}, "run")
    close_abandoned(store.client, experiment, store.uri, set())
    assert [run["status"] for run in store.held(experiment)] != ["FINISHED", "RUNNING"]
    assert close_abandoned(store.client, experiment, store.uri, set()) == 0


def test_a_run_that_mlflow_refuses_does_not_prevent_sending_the_others(store: Store, tmp_path: Path) -> None:
    experiment = store.experiment()
    folders = [tmp_path / name for name in ("a", "b", "c", "d", "e")]
    for folder in folders[:3]:  # two runs were started earlier and have since been deleted
        with RunFolder(folder, info_of(folder.name), config_of()) as writer:
            write(writer, [0])
        if folder.name in "ab":
            run = MirroredRun(folder, store.uri)
            run.update(store.client, experiment)
            store.client.delete_run(run.run_id())
    for folder in folders[:3]:
        with RunFolder(folder, info_of(), config_of(), resume=True) as writer:
            write(writer, range(STEPS + 1))
            finish(writer)
    for folder in folders[3:]:
        whole_run(folder, folder.name)
    mirror = Mirror(store.uri, store.name(experiment), "sweep-1", folders)
    report = mirror.finish(lambda: False)
    mirror._thread.join()
    sent = store.held(experiment)
    assert {run["name"]: run["status"] for run in sent} == dict.fromkeys("cde", "FINISHED")
    assert (report.unsent_runs, report.error) == (0, None)  # deleted runs are not sent again


def test_only_runs_left_running_by_this_machine_are_closed(store: Store, tmp_path: Path) -> None:
    experiment, here = store.experiment(), host()
    folders = {name: tmp_path / name for name in ("dead", "alive", "elsewhere", "own", "removed")}
    alive = None
    for name, path in folders.items():
        folder = RunFolder(path, info_of(name, host="far" if name == "elsewhere" else here), config_of())
        write(folder, [0, 1])
        assert MirroredRun(path, store.uri).update(store.client, experiment)
        if name == "alive":
            alive = folder
        else:
            folder.__exit__()
    shutil.rmtree(folders["removed"])
    own = {folders["own"]}
    assert close_abandoned(store.client, experiment, store.uri, own) == 2
    statuses = {run["name"]: run["status"] for run in store.held(experiment)}
    assert statuses == dict.fromkeys(folders, "RUNNING") | {"dead": "KILLED", "removed": "KILLED"}
    outcomes = {name: info["outcome"] for name, path in folders.items() if (info := read_run_info(path))}
    assert outcomes == dict.fromkeys(("alive", "elsewhere", "own"), None) | {"dead": "killed"}
    assert close_abandoned(store.client, experiment, store.uri, own) == 0
    assert alive is not None
    alive.__exit__()
