"""The words that name a target: a PostgreSQL database, a folder or a bucket, or a file."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from histhooks.errors import TeamError
from histhooks.team.box.address import Box, box_of, is_box

# The latter are SQLAlchemy's, which MLflow and Optuna take: they name a driver too.
_DRIVERS = ("psycopg", "psycopg2", "psycopg2cffi", "asyncpg", "pg8000")
POSTGRESQL = ("postgresql://", "postgres://", *(f"postgresql+{driver}://" for driver in _DRIVERS))
_DRIVER = re.compile(r"(?<=^postgresql)\+\w+(?=://)")
_SQLITE = "sqlite:///"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")  # of one letter it is a drive
_SCHEMA = "histhooks_schema"
_ROLE = "histhooks_role"
_SECRET = ("password", "sslpassword")
_IN_WORDS = re.compile(r"(?i)(password\s*=\s*)('(?:[^'\\]|\\.)*'|\S+)")
_PLACE = re.compile(r"(?:\[[^]]*\]|[^:/]*)(?::\d*)?(?:,[^/]*)?(?:/.*)?")  # host, port, database
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
FORMS = "postgresql://HOST/DATABASE, folder:PATH, s3://BUCKET/FOLDER, sqlite:///PATH or a path that ends in .db"


@dataclass(frozen=True, slots=True)
class Database:
    """A PostgreSQL database and the schema in it.

    Attributes
    ----------
    conninfo : str
        What libpq takes; it may hold a password.
    schema : str
    shown : str
        The address without secrets.
    role : str
        In whose name it is read; empty for that of the login.
    """

    conninfo: str
    schema: str
    shown: str
    role: str = ""

    def __repr__(self) -> str:
        return f"<Database {self.shown}>"


def for_shell(database: Database) -> str:
    """An address as a command takes it."""
    return f"'{database.shown}'" if "?" in database.shown else database.shown


def is_database(word: str | os.PathLike[str] | None) -> bool:
    """Whether a word is the address of a PostgreSQL database."""
    return isinstance(word, str) and word.startswith(POSTGRESQL)


def target_of(word: str | os.PathLike[str], start: Path | None = None) -> Database | Box | Path:
    """The target that a word names.

    Parameters
    ----------
    word : str or path
    start : Path, optional
        Where a relative path begins, by default the working folder.

    Returns
    -------
    Database, Box or Path

    Raises
    ------
    TeamError
        If it names none.
    """
    text = os.fspath(word)
    if text.startswith(POSTGRESQL):
        return _database(text)
    if text.startswith(_SQLITE):
        path = text.removeprefix(_SQLITE)
        if not path:
            raise TeamError("sqlite:/// names no file; write sqlite:////data/team.db for /data/team.db")
        return (start or Path()) / unquote(path)
    if is_box(text):
        return box_of(text, masked(text), start)
    if not text.endswith((".db", ".sqlite")) or _SCHEME.match(text):
        raise TeamError(f"{masked(text)!r} is no target; name {FORMS}")
    return (start or Path()) / Path(text).expanduser()


def _database(text: str) -> Database:
    text = _DRIVER.sub("", text, count=1)
    try:
        parts = urlsplit(text)
        _ = parts.port if "," not in parts.netloc else None
    except ValueError:  # whose words repeat a part of the password
        raise TeamError(f"{masked(text)} is no address; write postgresql://USER@HOST:PORT/DATABASE") from None
    head, _, query = text.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    schema = next((value for key, value in pairs if key == _SCHEMA), "histhooks")
    if not _NAME.fullmatch(schema) or schema.startswith("pg_"):
        raise TeamError(f"{_SCHEMA}={schema} is no name of a schema; use small letters, digits and _")
    role = next((value for key, value in pairs if key == _ROLE), "")
    rest = urlencode([(key, value) for key, value in pairs if key not in (_SCHEMA, _ROLE)], quote_via=quote)
    return Database(f"{head}?{rest}" if rest else head, schema, masked(text), role)


def in_the_name_of(address: str, role: str) -> str:
    """The address of a database, read in the name of a role."""
    head, _, query = address.partition("?")
    pairs = [pair for pair in query.split("&") if pair and pair.partition("=")[0] != _ROLE]
    return f"{head}?{'&'.join([*pairs, f'{_ROLE}={quote(role, safe=str())}'])}"


def masked(text: str) -> str:
    """An address without its password, and without those among its parameters.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
    """
    head, mark, _ = text.partition("://")
    if not mark:  # no address, but what somebody gave for one
        login, at, place = _IN_WORDS.sub(r"\1***", text).rpartition("@")
        user, colon, _ = login.partition(":")
        return f"{user}{':***' if colon else ''}{at}{place}"
    login, place, query = _parted(text)
    user, colon, _ = login.partition(":")
    shown = f"{user}{':***' if colon else ''}{'@' if login else ''}{place}"
    pairs = [
        f"{pair.partition('=')[0]}=***" if pair.partition("=")[0] in _SECRET else pair for pair in query.split("&")
    ]
    return f"{head}://{shown}{'?' if query else ''}{'&'.join(pairs)}"


def secrets_in(text: str) -> list[str]:
    """The passwords of an address, whole and in the parts in which libpq may repeat them, the longest first."""
    login, _, query = _parted(text)
    found = {login.partition(":")[2], *(value for key, value in parse_qsl(query) if key in _SECRET)}
    found |= {unquote(word) for word in found}
    found |= {part for word in found for part in re.split(r"[@/?#:]", word)}
    return sorted((word for word in found if word), key=len, reverse=True)


def _parted(text: str) -> tuple[str, str, str]:
    """Login, place and query of an address; a password in which a sign was not escaped is whole."""
    rest = text.partition("://")[2]
    place, _, query = rest.partition("?")
    if "@" not in place and "@" in query and not _PLACE.fullmatch(place):
        place, query = rest, ""
    login, _, place = place.rpartition("@")
    return login, place, query
