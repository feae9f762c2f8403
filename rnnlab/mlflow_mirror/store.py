"""Where MLflow keeps its runs: the URI, the client, the experiment."""

import logging
import os
import re
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from rnnlab.mlflow_mirror.schema_version import OtherSchema, check_schema
from rnnlab.paths import path_problem
from rnnlab.runs.files import replace_file
from rnnlab.text import PASSWORD_MASK, redact

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

DATABASE_SCHEMES = ("sqlite", "postgresql", "mysql", "mssql")
SERVER_SCHEMES = ("http", "https")
SQLITE_HEADER = b"SQLite format 3\0"
INVALID_ADDRESS = "is no address; in a user's name or password, / is written %2F, @ %40 and : %3A"
NO_FOLDER_STORE = "must be sqlite:///<file>, http(s)://<server> or a database; MLflow 3 takes no plain folder"
BOTH_QUOTES = "both kinds of quotes"
MAX_ERROR_LENGTH = 240
UI_PORT = 5000
# Else the UI takes the experiment for one with language models.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
LOCK_SECONDS = 60.0
"""How long another command may take to make a database."""
DATABASE_ATTEMPTS = 4  # a second in all; MLflow has no setting for its own ten, which take 100 seconds
# One attempt, bounded: the mirror repeats by itself, and a request that MLflow repeats to a server that
# hangs is carried out as often when the server goes on, which would make a run twice.
CLIENT_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def tracking_uri(configured: str | None) -> str:
    """The configured URI, or MLFLOW_TRACKING_URI, or `mlflow.db` in the current folder."""
    return configured or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"


def uri_problem(uri: str, writing: bool = False) -> str | None:
    """Say what is wrong with a tracking URI, without importing MLflow.

    Args:
        uri: The URI.
        writing: Whether runs are to go there.
    """
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError as error:  # which tells a part of it, perhaps of a password
        return INVALID_ADDRESS if "@" in uri else f"cannot be read ({error})"
    scheme = parts.scheme.partition("+")[0]
    if scheme not in (*DATABASE_SCHEMES, *SERVER_SCHEMES):
        return NO_FOLDER_STORE
    if scheme == "sqlite":
        return _file_problem(sqlite_file(uri), writing)
    if scheme in SERVER_SCHEMES:
        return None if parts.hostname else "names no server, as in http://127.0.0.1:5000"
    return _driver_problem(uri)


def _file_problem(database: Path | None, writing: bool) -> str | None:
    """What keeps a file from being, or becoming, a database of MLflow's."""
    if database is None or database == Path.cwd():
        return "must name a file, as in sqlite:///mlflow.db"
    name = str(database)
    unfit = [mark for mark in "?%" if mark in name] or ([BOTH_QUOTES] if {"'", '"'} <= set(name) else [])
    if unfit:
        return f"MLflow takes no path with {' and '.join(unfit)}; name another, or tracking=none"
    if problem := path_problem(database.with_name(f"{database.name}.new-journal")):
        return problem
    if database.is_dir():
        return f"{database} is a folder"
    if not database.parent.is_dir():
        return f"the folder {database.parent} does not exist"
    for path in (database.parent, database) if writing else ():
        if path.exists() and not os.access(path, os.W_OK):
            return f"{path} cannot be written"
    if database.is_file():
        try:
            with database.open("rb") as file:
                start = file.read(len(SQLITE_HEADER))
        except OSError as error:
            return f"{database} cannot be read ({error.strerror})"
        if start not in (SQLITE_HEADER, b""):
            return f"{database} is no SQLite database"
    return None


def _driver_problem(uri: str) -> str | None:
    """What keeps SQLAlchemy from talking to a database server, such as a driver that is not installed."""
    from sqlalchemy.engine import make_url  # late: few need it
    from sqlalchemy.exc import ArgumentError

    try:
        make_url(uri).get_dialect().import_dbapi()
    except ModuleNotFoundError as error:
        if error.name in ("psycopg", "psycopg2"):
            return "needs a driver; pip install 'rnnlab[postgresql]' and write postgresql+psycopg://…"
        return f"needs the driver {error.name}, which is not installed"
    except ArgumentError as error:
        return f"cannot be read ({error})"
    return None


def error_line(error: Exception) -> str:
    """What MLflow or its database says, in a line, without passwords, in bounds."""
    if isinstance(error, OtherSchema):  # whole, since it holds a command to type
        return redact(str(error))
    if isinstance(error, Timeout):
        return f"another process holds {error.lock_file}"
    line = redact((str(error).strip() or repr(error)).splitlines()[0])
    return line if len(line) <= MAX_ERROR_LENGTH else f"{line[:MAX_ERROR_LENGTH]} …"


def sqlite_file(uri: str) -> Path | None:
    """The database file of a SQLite URI, else None."""
    prefix = "sqlite:///"
    return Path(uri.removeprefix(prefix)).absolute() if uri.startswith(prefix) else None


def is_server(uri: str) -> bool:
    """Whether the URI is of a running MLflow server rather than of a database."""
    return urlsplit(uri).scheme in SERVER_SCHEMES


def ui_address(uri: str, port: int = UI_PORT) -> str:
    """Where a browser finds the UI: at the server itself, or where `rnnlab.ui` serves a database."""
    if not is_server(uri):
        return f"http://127.0.0.1:{port}"
    return re.sub(rf"://\S*{re.escape(PASSWORD_MASK)}@", "://", redact(uri))


def import_mlflow(uri: str) -> None:
    """Import MLflow, late because that takes a second, so that it gives up in time on a store."""
    for name, value in CLIENT_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import mlflow.tracking

    for name in ("alembic", mlflow.__name__):  # after the import, which sets its own levels
        logging.getLogger(name).setLevel(logging.WARNING)
    if not is_server(uri):
        from mlflow.store.db import utils

        utils.MAX_RETRY_COUNT = DATABASE_ATTEMPTS
        logging.getLogger(utils.__name__).setLevel(logging.ERROR)  # each attempt is three lines


def connect(uri: str) -> "MlflowClient":
    """A client that gives up in time; it makes a SQLite database that is not there, not in one move.

    Raises:
        OtherSchema: The database belongs to another MLflow version.
    """
    import_mlflow(uri)
    from mlflow.tracking import MlflowClient

    if not is_server(uri):
        check_schema(uri)
    return MlflowClient(tracking_uri=uri)


def _make_database(path: Path) -> None:
    """Make MLflow's tables beside `path` and move them there: whoever is killed meanwhile leaves no half."""
    from mlflow.store.db import utils

    def fill(file: BinaryIO) -> None:  # which is empty yet; SQLite makes a database of it
        engine = utils.create_sqlalchemy_engine_with_retry(f"sqlite:///{file.name}")  # type: ignore[no-untyped-call]
        try:
            utils._initialize_tables(engine)  # type: ignore[no-untyped-call]
        finally:
            engine.dispose()

    replace_file(path, fill)


def open_experiment(uri: str, name: str) -> tuple["MlflowClient", str]:
    """Return a client and the id of the experiment, both database and experiment made if need be.

    A SQLite file is made under a lock: two commands that start at once on a fresh file would
    otherwise create the same tables, and one of them would lose its runs.

    Raises:
        Timeout: Another process holds the lock.
        RuntimeError: The experiment is deleted.
        Exception: Whatever else MLflow, its database or its server raises.
    """
    database = sqlite_file(uri)
    with FileLock(f"{database}.lock", LOCK_SECONDS) if database else nullcontext():
        import_mlflow(uri)
        if database is not None and not database.exists():
            _make_database(database)
        client = connect(uri)
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            location = (database.parent / "mlartifacts").as_uri() if database else None
            return client, client.create_experiment(name, artifact_location=location, tags=EXPERIMENT_TAGS)
        if experiment.lifecycle_stage != "active":
            restore = f"mlflow experiments restore -x {experiment.experiment_id}"
            raise RuntimeError(f"the experiment {name!r} is deleted; `{restore}`, or name another")
        return client, str(experiment.experiment_id)
