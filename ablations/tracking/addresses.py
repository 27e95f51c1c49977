"""Addresses of tracking stores, made and checked by the libraries that read them."""

from pathlib import Path
from urllib.parse import urlsplit

from smoe.errors import UserError

SERVERS = ("http", "https", "databricks", "databricks-uc")
DATABASES = ("sqlite", "mysql", "postgresql", "mssql")


def sqlite_uri(path: Path) -> str:
    """Return the address of an SQLite database, whatever characters its path has."""
    from sqlalchemy import URL

    uri = URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)
    if uri == f"sqlite:///{path}":
        return uri
    # MLflow makes the folder that such an address names before it is decoded, unless the address
    # names the driver as well.
    return uri.replace("sqlite:", "sqlite+pysqlite:", 1)


def is_server(uri: str) -> bool:
    """Whether an address is that of a running tracking server."""
    return uri.partition(":")[0] in SERVERS


def require_tracking(uri: str | None) -> None:
    """Refuse, before any work, an address that no tracking store can be reached at.

    A server that is away for the moment is not asked: what it misses is brought to it later.

    Raises:
        UserError: the address is of an unknown kind or incomplete, or an SQLite database's folder
            is not there.
    """
    if uri is None or uri in SERVERS[2:]:
        return
    try:
        parts = urlsplit(uri)
        scheme = parts.scheme.partition("+")[0]
        port_is_number = parts.port is None or parts.port > 0
    except ValueError as error:
        raise UserError(f"--tracking-uri: {uri} is no address ({error}).") from error
    if scheme not in (*SERVERS, *DATABASES):
        raise UserError(
            f"--tracking-uri: {uri} is no tracking server or database; addresses look like "
            "http://host:5000 or sqlite:////absolute/path/mlflow.db."
        )
    if scheme in ("http", "https") and not (parts.hostname and port_is_number):
        raise UserError(f"--tracking-uri: {uri} names no host; write http://host:5000.")
    if scheme in DATABASES:
        _require_database(uri, scheme)


def _require_database(uri: str, scheme: str) -> None:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    try:
        database = make_url(uri).database
    except (SQLAlchemyError, ValueError) as error:
        raise UserError(f"--tracking-uri: {uri} is no address of a database ({error}).") from error
    if scheme != "sqlite":
        return
    if not database or database == ":memory:":
        raise UserError(
            f"--tracking-uri: {uri} names no file; write sqlite:////absolute/path/mlflow.db."
        )
    path = Path(database)
    if not database.startswith("file:") and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise UserError(
            f"--tracking-uri: the database {path} cannot be there (its folder does not exist, or "
            "it is one itself); make the folder, or write % ? # in a path as %25 %3F %23."
        )
