"""Check that the schema of an MLflow database matches the installed MLflow version.

If tables are missing from a database created by an older MLflow version, MLflow silently migrates the
database without making a backup. After the migration, the older version can no longer open the database.
Before opening a database, rnnlab therefore compares the schema of the database with the schema of the
installed MLflow version.
"""

import shlex
from pathlib import Path


class OtherSchema(Exception):
    """Exception for a database created by a different MLflow version; the message suggests a remedy."""


def check_schema(uri: str) -> None:
    """Raise OtherSchema for a database that MLflow would migrate or cannot read.

    Args:
        uri: URI of a database; a missing or empty database passes the check.

    Raises:
        OtherSchema: If the database schema is older or newer than the schema of the installed MLflow version.
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
        raise OtherSchema(f"created by an older MLflow version; make a backup, then run `{upgrade}`")
    installed = mlflow.__version__
    raise OtherSchema(
        f"created by an MLflow version newer than the installed {installed}; choose another database"
    )
