"""Sources of runs: folders, and MLflow experiments whose files are downloaded on demand."""

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

import pandas as pd
from platformdirs import user_cache_path

from rnnlab.analysis.arguments import check_type
from rnnlab.mlflow_mirror.ledger import RUN_ID
from rnnlab.mlflow_mirror.links import run_link
from rnnlab.mlflow_mirror.new_run import FOLDER_TAG, HOST_TAG, ID_TAG
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
MLFLOW_ID = "run_id"
"""Column of a data frame returned by `mlflow.search_runs`."""


@dataclass(frozen=True)
class StoredRun:
    """A run and the location of its files.

    Attributes:
        folder: Path of the original run folder.
        info: Metadata with the structure of `run.json`, available without reading the run's files; always
            includes `name`.
        local_folder: Folder on this machine that contains the files, or to which they are downloaded.
        fetch: Function that downloads a named file to a folder if the server has the file; None if all files
            are local.
        mlflow_run_id: MLflow run id if the run was found in MLflow, otherwise None.
        mlflow_link: Link to the run's page in MLflow if the run was found in MLflow, otherwise None.
    """

    folder: str
    info: dict[str, Any]
    local_folder: Path
    fetch: Callable[[str, Path], object] | None = None
    mlflow_run_id: str | None = None
    mlflow_link: str | None = None

    def file(self, name: str) -> Path:
        """Return the local path of one of the run's files, downloading the file if necessary.

        The path is returned even if the run has no such file.

        Raises:
            ConnectionError: If the file cannot be downloaded.
        """
        path = self.local_folder / name
        if self.fetch is None or path.is_file():
            return path
        self.local_folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=self.local_folder))  # an interruption leaves no partial file
        try:
            self.fetch(name, scratch)
            if (scratch / name).is_file():
                (scratch / name).replace(path)
        except Exception as error:  # a server may raise anything
            raise ConnectionError(f"{name}: cannot be downloaded ({redact(str(error))})") from error
        finally:
            shutil.rmtree(scratch)
        return path


@dataclass(frozen=True)
class MLflowRuns:
    """Runs of an MLflow experiment, for use as the source of a loading function such as `load_runs`.

    Attributes:
        experiment: Name of the experiment.
        sweep: Name of a sweep, as recorded in the MLflow tag `sweep` of each run; None selects all sweeps.
        uri: MLflow tracking URI; None selects MLFLOW_TRACKING_URI, or `mlflow.db` in the current folder.
        cache: Folder for files downloaded from a tracking server; None selects the user's cache folder.

    >>> rl.MLflowRuns(experiment="rnnlab", uri="sqlite:///mlflow.db")
    MLflowRuns(experiment='rnnlab', sweep=None, uri='sqlite:///mlflow.db', cache=None)
    """

    experiment: str = "rnnlab"
    sweep: str | None = None
    uri: str | None = None
    cache: str | Path | None = None

    def __post_init__(self) -> None:
        """Check the type of each field.

        Raises:
            TypeError: If a field has the wrong type.
        """
        for name, hint in get_type_hints(MLflowRuns).items():
            check_type(name, getattr(self, name), hint)


Source = str | Path | Sequence[str | Path] | pd.DataFrame | MLflowRuns
"""Where runs are loaded from; see `find_runs`."""


def find_runs(source: Source) -> list[StoredRun]:
    """Return the runs from a source.

    Args:
        source: Folder that contains runs, MLflow run id, list of folders or ids, data frame returned by
            `mlflow.search_runs` (with the column `run_id`), or `MLflowRuns` object.

    Raises:
        ValueError: If no runs are found; the message lists the locations searched.
        ConnectionError: If MLflow does not respond.
    """
    if isinstance(source, MLflowRuns):
        return _find_in_mlflow(source)
    places = places_of(source)
    ids = [str(place) for place in places if RUN_ID.fullmatch(str(place)) and not is_folder(place)]
    found = _find_by_id(ids, skips_others=isinstance(source, pd.DataFrame)) if ids else []
    folders = [place for place in places if str(place) not in ids]
    return found + _find_in_folders(folders) if folders or not found else found


def places_of(source: str | Path | Sequence[str | Path] | pd.DataFrame) -> list[str | Path]:
    """Return the folders and MLflow run ids of a source."""
    if isinstance(source, str | Path):
        return [source]
    if not isinstance(source, pd.DataFrame):
        return list(source)
    if MLFLOW_ID not in source:
        names = ", ".join(map(str, source.columns))
        raise ValueError(
            f"source: the DataFrame has no column {MLFLOW_ID!r}; must come from mlflow.search_runs; "
            f"available: {names}"
        )
    return [str(run_id) for run_id in source[MLFLOW_ID]]


def _find_by_id(ids: Sequence[str], skips_others: bool) -> list[StoredRun]:
    """Return the runs with the given MLflow run ids in the default tracking store.

    Runs of other programs, and summaries of sweeps, are skipped or refused.
    """
    uri, cache = _resolve_store(None, None)
    client = connect(uri)
    try:
        runs = [client.get_run(run_id) for run_id in ids]
        if skips_others:
            runs = [run for run in runs if ID_TAG in run.data.tags]
        return [_run_in_mlflow(run, client, uri, cache) for run in runs]
    except ValueError:
        raise
    except Exception as error:  # a database or a server may raise anything
        raise ValueError(f"{', '.join(ids)}: not in {redact(uri)} ({error_line(error)})") from error


def _find_in_folders(folders: Sequence[str | Path]) -> list[StoredRun]:
    if addresses := [str(folder) for folder in folders if is_address(str(folder))]:
        raise ValueError(f"{', '.join(addresses)}: must be a folder on this machine, not a URL")
    if missing := [str(folder) for folder in folders if not is_folder(folder)]:
        raise ValueError(f"{', '.join(missing)}: not found")
    paths = dict.fromkeys(run for folder in folders for run in run_folders(Path(folder)))
    if not paths:
        raise ValueError(f"{', '.join(map(str, folders)) or 'source=[]'}: no runs found")
    return [_run_in_folder(path) for path in paths]


def find_run(run: str, uri: str | None = None) -> StoredRun:
    """Return the run with the given run folder or MLflow run id.

    Raises:
        ValueError: If no run has the given folder or MLflow run id.
    """
    if is_address(run):
        raise ValueError(f"{run}: must be a folder on this machine or a run id, not a URL")
    if is_file(Path(run, RUN_FILE)):
        return _run_in_folder(Path(run).absolute())
    if len(Path(run).parts) > 1:
        raise ValueError(f"{run}: not a run folder")
    try:
        uri, cache = _resolve_store(uri, None)
    except ValueError as error:
        raise ValueError(f"{run}: not a run folder, and {error}") from None
    try:
        client = connect(uri)
        return _run_in_mlflow(client.get_run(run), client, uri, cache)
    except Exception as error:  # a database or a server may raise anything
        raise ValueError(
            f"{run}: neither a run folder nor a run in {redact(uri)} ({error_line(error)})"
        ) from error


def _run_in_folder(folder: Path) -> StoredRun:
    return StoredRun(str(folder), {"name": folder.name}, folder)


def _resolve_store(uri: str | None, cache: str | Path | None) -> tuple[str, Path]:
    """Return the tracking URI and the folder in which files downloaded from that URI are cached.

    Raises:
        ValueError: If the tracking URI is invalid or refers to a database that does not exist.
    """
    if cache is not None and is_address(str(cache)):
        raise ValueError(f"cache={cache}: must be a folder on this machine, not a URL")
    uri = tracking_uri(uri)
    database = sqlite_file(uri)
    problem = uri_problem(uri) or ("not found" if database and not is_file(database) else None)
    if problem:
        raise ValueError(f"{redact(uri)}: {problem}")
    digest = sha256(str(database or redact(uri)).encode()).hexdigest()[:12]
    return uri, Path(cache or user_cache_path("rnnlab")) / digest


def _find_in_mlflow(source: MLflowRuns) -> list[StoredRun]:
    uri, cache = _resolve_store(source.uri, source.cache)
    if source.sweep is not None and re.search(r"['\"\\]", source.sweep):
        raise ValueError(f"sweep={source.sweep!r}: must not contain quotes or backslashes")
    client = connect(uri)
    try:
        experiment = client.get_experiment_by_name(source.experiment)
        others = [] if experiment else [other.name for other in client.search_experiments()]
        runs = _search(client, experiment.experiment_id, source.sweep) if experiment else []
    except Exception as error:  # a database or a server may raise anything
        raise ConnectionError(f"MLflow at {redact(uri)}: {error_line(error)}") from error
    if experiment is None:
        names = ", ".join(others)
        raise ValueError(f"experiment={source.experiment!r}: not found in {redact(uri)}; available: {names}")
    if not runs:
        sweep = "" if source.sweep is None else f" with sweep={source.sweep!r}"
        raise ValueError(f"experiment={source.experiment!r}: has no runs{sweep}")
    return [_run_in_mlflow(run, client, uri, cache) for run in runs]


def _search(client: "MlflowClient", experiment_id: str, sweep: str | None) -> list["Run"]:
    condition = "" if sweep is None else f"tags.sweep = '{sweep}'"
    runs: list[Run] = []
    token = None
    while True:
        page = client.search_runs([experiment_id], condition, max_results=PAGE, page_token=token)
        runs += [run for run in page if ID_TAG in run.data.tags]  # skips runs of other programs
        if not (token := page.token):
            return runs


def _run_in_mlflow(run: "Run", client: "MlflowClient", uri: str, cache: Path) -> StoredRun:
    """Convert an MLflow run to a StoredRun."""
    tags, run_id = run.data.tags, run.info.run_id
    if ID_TAG not in tags:
        raise ValueError(f"{run_id}: not an rnnlab run")
    if not RUN_ID.fullmatch(run_id):  # the id becomes part of a path
        raise ValueError(f"{run_id!r}: invalid run id returned by MLflow")
    info = {
        "id": tags[ID_TAG],
        "name": run.info.run_name,
        "tags": tags,
        "params": dict(run.data.params),
        "machine": {"host": tags.get(HOST_TAG)},
        "started": run.info.start_time / 1000,
        "status": run.info.status,
    }
    folder, link = tags.get(FOLDER_TAG, ""), run_link(uri, run.info.experiment_id, run_id)
    if run.info.status == "RUNNING":  # existing files were sent before the run was resumed
        return StoredRun(folder, info, cache / run_id / "none", None, run_id, link)
    artifacts = urlsplit(run.info.artifact_uri)
    if artifacts.scheme in ("", "file"):
        return StoredRun(folder, info, Path(url2pathname(artifacts.path)), None, run_id, link)

    def fetch(name: str, into: Path) -> None:
        if any(file.path == name for file in client.list_artifacts(run_id)):
            client.download_artifacts(run_id, name, str(into))

    local_folder = cache / run_id / str(run.info.end_time)  # a resumed run has a new end time
    return StoredRun(folder, info, local_folder, fetch, run_id, link)
