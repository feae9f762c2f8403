"""Whose database it is: each MLflow version has a schema of its own.

MLflow migrates a database of an older version by itself where tables are missing, without a word or a backup,
and the older version cannot open it any more. So each database is compared with the installed MLflow first.
"""

import shlex
from pathlib import Path


class OtherSchema(Exception):
    """The database belongs to another MLflow version; the message says what to do."""


def check_schema(uri: str) -> None:
    """Refuse a database that MLflow would migrate, or cannot read.

    Args:
        uri: Of a database; one that does not exist yet, or is empty, passes.

    Raises:
        OtherSchema: Its schema is older or newer than that of the installed MLflow.
    """
    import mlflow
    from alembic.script import ScriptDirectory
    from mlflow.store.db import utils

    file = uri.removeprefix("sqlite:///")
    if file != uri and not Path(file).is_file():
        return
    engine = utils.create_sqlalchemy_engine_with_retry(uri)  # type: ignore[no-untyped-call]
    try:
        if utils._is_empty_database(engine):  # type: ignore[no-untyped-call]
            return
        found = utils._get_schema_version(engine)  # type: ignore[no-untyped-call]
    finally:
        engine.dispose()
    scripts = ScriptDirectory.from_config(utils._get_alembic_config(db_url=""))  # type: ignore[no-untyped-call]
    if found in scripts.get_heads():
        return
    if found in {script.revision for script in scripts.walk_revisions()}:
        upgrade = shlex.join(["mlflow", "db", "upgrade", uri])
        raise OtherSchema(f"the database is of an older MLflow version; make a backup, then run `{upgrade}`")
    installed = mlflow.__version__
    raise OtherSchema(
        f"the database is of a newer MLflow version than the installed {installed}; name another"
    )
