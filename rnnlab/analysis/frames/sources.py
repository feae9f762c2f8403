"""Where runs are found: below folders, or in MLflow, whose files are fetched when they are read."""

import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints
from urllib.parse import urlsplit
from urllib.request import url2pathname

from platformdirs import user_cache_path

from rnnlab.analysis.arguments import check_type
from rnnlab.mlflow_mirror.ledger import RUN_ID
from rnnlab.mlflow_mirror.mirrored_run import FOLDER_TAG, HOST_TAG, ID_TAG
from rnnlab.mlflow_mirror.store import connect, error_line, sqlite_file, tracking_uri, uri_problem
from rnnlab.paths import is_file, is_folder
from rnnlab.records import RUN_FILE
from rnnlab.runs.folder import run_folders
from rnnlab.text import redact
from rnnlab.user_files import is_address

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

PAGE = 1000


@dataclass(frozen=True)
class StoredRun:
    """One run, wherever its files are.

    Attributes:
        folder: Where it was made.
        info: What is known of it without its files, in the form of `run.json`; its `name` at least.
        local_folder: The folder on this machine in which its files can be read.
        fetch: Brings one of its files into a folder, if there is such a file; None where all are in place.
        mlflow_run_id: Of a run that was found in MLflow, its id there.
    """

    folder: str
    info: dict[str, Any]
    local_folder: Path
    fetch: Callable[[str, Path], object] | None = None
    mlflow_run_id: str | None = None

    def file(self, name: str) -> Path:
        """Where one of its files can be read; it need not be there.

        Raises:
            ConnectionError: It could not be fetched.
        """
        path = self.local_folder / name
        if self.fetch is None or path.is_file():
            return path
        self.local_folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=self.local_folder))  # who is interrupted leaves no half of a file
        try:
            self.fetch(name, scratch)
            if (scratch / name).is_file():
                (scratch / name).replace(path)
        except Exception as error:  # whatever a server can raise
            raise ConnectionError(f"{name} cannot be fetched: {redact(str(error))}") from error
        finally:
            shutil.rmtree(scratch)
        return path


@dataclass(frozen=True)
class MLflowRuns:
    """Runs of an MLflow experiment, to be read from there.

    Attributes:
        experiment: Its name.
        sweep: The name of a sweep, which all its runs have as a tag; None is all of them.
        uri: The tracking URI; None is MLFLOW_TRACKING_URI, or `mlflow.db` in the current folder.
        cache: Where what is fetched from a server is kept; None is the user's cache folder.
    """

    experiment: str = "rnnlab"
    sweep: str | None = None
    uri: str | None = None
    cache: str | Path | None = None

    def __post_init__(self) -> None:
        """Check the types.

        Raises:
            TypeError: A field has another.
        """
        for name, hint in get_type_hints(MLflowRuns).items():
            check_type(name, getattr(self, name), hint)


Source = str | Path | Sequence[str | Path] | MLflowRuns
"""A folder with runs below it, several, or runs in MLflow."""


def find_runs(source: Source) -> list[StoredRun]:
    """The runs of a source.

    Raises:
        ValueError: There are none, with where they were looked for.
        ConnectionError: MLflow does not answer.
    """
    if isinstance(source, MLflowRuns):
        return _find_in_mlflow(source)
    folders = [source] if isinstance(source, str | Path) else list(source)
    if addresses := [str(folder) for folder in folders if is_address(str(folder))]:
        raise ValueError(f"{', '.join(addresses)}: an address, and only folders on this machine are read")
    if missing := [str(folder) for folder in folders if not is_folder(folder)]:
        raise ValueError(f"{', '.join(missing)}: no such folder")
    found = dict.fromkeys(run for folder in folders for run in run_folders(Path(folder)))
    if not found:
        raise ValueError(f"no runs in {', '.join(map(str, folders)) or 'an empty list of folders'}")
    return [_run_in_folder(path) for path in found]


def find_run(run: str, uri: str | None = None) -> StoredRun:
    """One run, by its folder or by its MLflow run id.

    Raises:
        ValueError: There is none.
    """
    if is_address(run):
        raise ValueError(f"{run}: an address; it must be a folder on this machine or a run id")
    if is_file(Path(run, RUN_FILE)):
        return _run_in_folder(Path(run).absolute())
    if len(Path(run).parts) > 1:
        raise ValueError(f"{run}: no folder of a run")
    try:
        uri, cache = _resolve_store(uri, None)
    except ValueError as error:
        raise ValueError(f"{run}: no folder of a run, and {error}") from None
    try:
        client = connect(uri)
        return _run_in_mlflow(client.get_run(run), client, cache)
    except Exception as error:  # whatever a database or a server can raise
        raise ValueError(
            f"{run}: neither a run's folder nor a run in {redact(uri)} ({error_line(error)})"
        ) from error


def _run_in_folder(folder: Path) -> StoredRun:
    return StoredRun(str(folder), {"name": folder.name}, folder)


def _resolve_store(uri: str | None, cache: str | Path | None) -> tuple[str, Path]:
    """The tracking URI, and where what is fetched from there is kept.

    Raises:
        ValueError: It is none, or of a database that does not exist.
    """
    if cache is not None and is_address(str(cache)):
        raise ValueError(f"cache={cache}: an address; it must be a folder on this machine")
    uri = tracking_uri(uri)
    database = sqlite_file(uri)
    problem = uri_problem(uri) or ("no such database" if database and not is_file(database) else None)
    if problem:
        raise ValueError(f"{redact(uri)}: {problem}")
    digest = sha256(str(database or redact(uri)).encode()).hexdigest()[:12]
    return uri, Path(cache or user_cache_path("rnnlab")) / digest


def _find_in_mlflow(source: MLflowRuns) -> list[StoredRun]:
    uri, cache = _resolve_store(source.uri, source.cache)
    if source.sweep is not None and re.search(r"['\"\\]", source.sweep):
        raise ValueError(f"sweep={source.sweep!r}: no sweep has such a name")
    client = connect(uri)
    try:
        experiment = client.get_experiment_by_name(source.experiment)
        others = [] if experiment else [found.name for found in client.search_experiments()]
        found = _search(client, experiment.experiment_id, source.sweep) if experiment else []
    except Exception as error:  # whatever a database or a server can raise
        raise ConnectionError(f"MLflow at {redact(uri)}: {error_line(error)}") from error
    if experiment is None:
        names = ", ".join(others)
        raise ValueError(f"experiment={source.experiment!r}: not in {redact(uri)}; there: {names}")
    if not found:
        sweep = "" if source.sweep is None else f" with sweep={source.sweep!r}"
        raise ValueError(f"experiment={source.experiment!r}: holds no runs{sweep}")
    return [_run_in_mlflow(run, client, cache) for run in found]


def _search(client: "MlflowClient", experiment_id: str, sweep: str | None) -> list["Run"]:
    condition = "" if sweep is None else f"tags.sweep = '{sweep}'"
    found: list[Run] = []
    token = None
    while True:
        page = client.search_runs([experiment_id], condition, max_results=PAGE, page_token=token)
        found += [run for run in page if ID_TAG in run.data.tags]  # others are not ours
        if not (token := page.token):
            return found


def _run_in_mlflow(run: "Run", client: "MlflowClient", cache: Path) -> StoredRun:
    """A run as MLflow describes it."""
    tags, run_id = run.data.tags, run.info.run_id
    if ID_TAG not in tags:
        raise ValueError(f"{run_id} was not made by rnnlab")
    if not RUN_ID.fullmatch(run_id):  # it becomes part of a path
        raise ValueError(f"MLflow names a run {run_id!r}, which is no run id")
    info = {
        "id": tags[ID_TAG],
        "name": run.info.run_name,
        "tags": tags,
        "params": dict(run.data.params),
        "machine": {"host": tags.get(HOST_TAG)},
        "started": run.info.start_time / 1000,
        "status": run.info.status,
    }
    folder = tags.get(FOLDER_TAG, "")
    if run.info.status == "RUNNING":  # what files there are is of an earlier life
        return StoredRun(folder, info, cache / run_id / "none", mlflow_run_id=run_id)
    artifacts = urlsplit(run.info.artifact_uri)
    if artifacts.scheme in ("", "file"):
        return StoredRun(folder, info, Path(url2pathname(artifacts.path)), mlflow_run_id=run_id)

    def fetch(name: str, into: Path) -> None:
        if any(file.path == name for file in client.list_artifacts(run_id)):
            client.download_artifacts(run_id, name, str(into))

    local_folder = cache / run_id / str(run.info.end_time)  # of a run that is resumed, another time
    return StoredRun(folder, info, local_folder, fetch, run_id)
