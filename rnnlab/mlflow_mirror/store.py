"""The MLflow tracking store: URI, client and experiment."""

import logging
import os
import re
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from rnnlab.imports import fast_imports
from rnnlab.mlflow_mirror.schema_version import OtherSchema, check_schema
from rnnlab.paths import path_problem
from rnnlab.runs.files import replace_file
from rnnlab.text import PASSWORD_MASK, redact

if TYPE_CHECKING:
    import sqlite3

    from mlflow.tracking import MlflowClient

DATABASE_SCHEMES = ("sqlite", "postgresql", "mysql", "mssql")
SERVER_SCHEMES = ("http", "https")
SQLITE_HEADER = b"SQLite format 3\0"
INVALID_ADDRESS = "invalid URI; in a user name or password, write / as %2F, @ as %40 and : as %3A"
NO_FOLDER_STORE = (
    "must be sqlite:///<file>, http(s)://<server> or a database URI; MLflow 3 does not accept plain folders"
)
BOTH_QUOTES = "both kinds of quotes"
MAX_ERROR_LENGTH = 240
UI_PORT = 5000
# Without this tag the UI treats the experiment as one with language models.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
LOCK_SECONDS = 60.0
"""Maximum number of seconds to wait for another command that is creating the database."""
DATABASE_ATTEMPTS = 4  # one second in total; MLflow's own ten attempts take 100 s and are not configurable
# One bounded attempt per request: the mirror itself retries. A hung server that recovers would carry out
# every retry of MLflow, and could create a run twice.
CLIENT_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def tracking_uri(configured: str | None) -> str:
    """Return the tracking URI.

    If no URI is configured, the value of the environment variable MLFLOW_TRACKING_URI is used. If this
    variable is not set, the URI refers to the file `mlflow.db` in the current folder.
    """
    return configured or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"


def uri_problem(uri: str, writing: bool = False) -> str | None:
    """Return the reason why a tracking URI is invalid, or None if it is valid, without importing MLflow.

    Args:
        uri: Tracking URI.
        writing: True to also check that a SQLite database is writable.
    """
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError as error:  # the message quotes a part of the URI, perhaps of a password
        return INVALID_ADDRESS if "@" in uri else f"cannot be read ({error})"
    scheme = parts.scheme.partition("+")[0]
    if scheme not in (*DATABASE_SCHEMES, *SERVER_SCHEMES):
        return NO_FOLDER_STORE
    if scheme == "sqlite":
        return _file_problem(sqlite_file(uri), writing)
    if scheme in SERVER_SCHEMES:
        return None if parts.hostname else "must name a server, as in http://127.0.0.1:5000"
    return _driver_problem(uri)


def _file_problem(database: Path | None, writing: bool) -> str | None:
    """Return the reason why a file cannot be used as an MLflow database, or None."""
    if database is None or database == Path.cwd():
        return "must name a file, as in sqlite:///mlflow.db"
    name = str(database)
    unfit = [mark for mark in "?%" if mark in name] or ([BOTH_QUOTES] if {"'", '"'} <= set(name) else [])
    if unfit:
        return f"MLflow does not accept {' and '.join(unfit)} in a path; choose another path or tracking=none"
    if problem := path_problem(database.with_name(f"{database.name}.new-journal")):
        return problem
    if database.is_dir():
        return f"{database}: is a directory"
    if not database.parent.is_dir():
        return f"{database.parent}: not found"
    for path in (database.parent, database) if writing else ():
        if path.exists() and not os.access(path, os.W_OK):
            return f"{path}: cannot be written"
    if database.is_file():
        try:
            with database.open("rb") as file:
                start = file.read(len(SQLITE_HEADER))
        except OSError as error:
            return f"{database}: cannot be read ({error.strerror})"
        if start not in (SQLITE_HEADER, b""):
            return f"{database}: not a SQLite database"
    return None


def _driver_problem(uri: str) -> str | None:
    """Return the reason, such as a missing driver, why SQLAlchemy cannot use a database URI, or None."""
    from sqlalchemy.engine import make_url  # deferred: rarely needed
    from sqlalchemy.exc import ArgumentError

    try:
        make_url(uri).get_dialect().import_dbapi()
    except ModuleNotFoundError as error:
        if error.name in ("psycopg", "psycopg2"):
            return "missing driver; use postgresql+psycopg://… and run: pip install 'rnnlab[postgresql]'"
        return f"the driver {error.name} is not installed"
    except ArgumentError as error:
        return f"cannot be read ({error})"
    return None


def error_line(error: Exception) -> str:
    """Return an error message from MLflow or the database as one short line, with passwords masked."""
    if isinstance(error, OtherSchema):  # not shortened: the message contains a command to type
        return redact(str(error))
    if isinstance(error, Timeout):
        return f"{error.lock_file}: locked by another process"
    line = redact((str(error).strip() or repr(error)).splitlines()[0])
    return line if len(line) <= MAX_ERROR_LENGTH else f"{line[:MAX_ERROR_LENGTH]} …"


def sqlite_file(uri: str) -> Path | None:
    """Return the database file to which a SQLite URI refers, or None for other URIs."""
    prefix = "sqlite:///"
    return Path(uri.removeprefix(prefix)).absolute() if uri.startswith(prefix) else None


def is_server(uri: str) -> bool:
    """Return True if a URI refers to an MLflow server rather than to a database."""
    return urlsplit(uri).scheme in SERVER_SCHEMES


def ui_address(uri: str, port: int = UI_PORT) -> str:
    """Return the URL of the MLflow UI on the tracking server or on the local server of `rnnlab.ui`."""
    if not is_server(uri):
        return f"http://127.0.0.1:{port}"
    return re.sub(rf"://\S*{re.escape(PASSWORD_MASK)}@", "://", redact(uri))


def import_mlflow(uri: str) -> None:
    """Import MLflow and set short timeouts; the import takes a second and is therefore deferred."""
    for name, value in CLIENT_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with fast_imports():
        import mlflow.tracking

        if not is_server(uri):
            import mlflow.store.tracking.sqlalchemy_store
    for name in ("alembic", mlflow.__name__):  # after the import, which sets the levels itself
        logging.getLogger(name).setLevel(logging.WARNING)
    if not is_server(uri):
        from mlflow.store.db import utils

        utils.MAX_RETRY_COUNT = DATABASE_ATTEMPTS
        logging.getLogger(utils.__name__).setLevel(logging.ERROR)  # each attempt logs three lines


def connect(uri: str) -> "MlflowClient":
    """Return an MLflow client with short timeouts.

    MLflow creates a missing SQLite database, but not atomically.

    Raises:
        OtherSchema: If the database was created by a different MLflow version.
    """
    import_mlflow(uri)
    from mlflow.tracking import MlflowClient

    if not is_server(uri):
        check_schema(uri)
    return MlflowClient(tracking_uri=uri)


def _make_database(path: Path) -> None:
    """Create MLflow's database tables in a temporary file, and atomically rename the file to `path`."""
    from mlflow.store.db import utils
    from sqlalchemy import event

    def fill(file: BinaryIO) -> None:  # SQLite accepts the empty file as a new database
        engine = utils.create_sqlalchemy_engine_with_retry(f"sqlite:///{file.name}")  # type: ignore[no-untyped-call]
        event.listen(engine, "connect", _write_without_waiting)
        try:
            utils._initialize_tables(engine)  # type: ignore[no-untyped-call]
        finally:
            engine.dispose()

    replace_file(path, fill)


def _write_without_waiting(connection: "sqlite3.Connection", _record: object) -> None:
    """Do not wait for the disk after each transaction; `replace_file` waits once at the end."""
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA journal_mode = MEMORY")


def open_experiment(uri: str, name: str) -> tuple["MlflowClient", str]:
    """Return an MLflow client and the experiment id; create the database and the experiment if needed.

    A lock ensures that a SQLite database is created by only one command. Without the lock, two commands that
    use the same new database and start simultaneously would both create the tables, and the runs of one
    command would be lost.

    Raises:
        Timeout: If another process holds the database lock for too long.
        RuntimeError: If the experiment has been deleted.
        Exception: If MLflow, the database or the server fails for any other reason.
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
            raise RuntimeError(f"experiment={name}: deleted; run `{restore}` or choose another experiment")
        for key in EXPERIMENT_TAGS.keys() - experiment.tags.keys():  # created by another program
            client.set_experiment_tag(experiment.experiment_id, key, EXPERIMENT_TAGS[key])
        return client, str(experiment.experiment_id)
