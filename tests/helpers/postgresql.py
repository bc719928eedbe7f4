"""A real PostgreSQL for tests: started in a temporary folder, heard by a unix socket alone, ended with the tests."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ANOTHER = "HISTHOOKS_TEST_POSTGRESQL"
_USER = "postgres"
_PATIENCE_S = 60


def programs() -> Path | None:
    """The folder of PostgreSQL's programs; None where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    if found:
        return found[-1]
    config = shutil.which("pg_config")
    if config is None:
        return None
    folder = Path(subprocess.run([config, "--bindir"], capture_output=True, text=True, check=True).stdout.strip())
    return folder if (folder / "initdb").exists() else None


class Server:
    """A server that a test may stop and start again."""

    def __init__(self, folder: Path, bin_folder: Path) -> None:
        self.folder, self._bin = folder, bin_folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"postgresql://{_USER}@/postgres?host={self.folder}"

    def _run(self, *command: str) -> list[str]:
        return ["runuser", "-u", _USER, "--", *command] if os.geteuid() == 0 else list(command)

    def make(self) -> None:
        command = self._run(str(self._bin / "initdb"), "-D", str(self.folder / "data"), "-A", "trust", "-U", _USER,
                            "-E", "UTF8", "--locale=C", "-N")  # fmt: skip
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")

    def start(self) -> None:
        settings = {"listen_addresses": "", "unix_socket_directories": str(self.folder), "fsync": "off",
                    "max_connections": "60", "shared_buffers": "32MB"}  # fmt: skip
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._run(str(self._bin / "postgres"), "-D", str(self.folder / "data"), *options),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
            )  # fmt: skip
        import psycopg

        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                psycopg.connect(self.address).close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < until, (self.folder / "log").read_text(encoding="utf-8")
                time.sleep(0.05)

    def stop(self, how: str = "immediate") -> None:
        command = self._run(str(self._bin / "pg_ctl"), "-D", str(self.folder / "data"), "-m", how, "-w", "stop")
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
        if self._process is not None:
            self._process.wait(_PATIENCE_S)


@contextmanager
def server() -> Iterator[Server]:
    """A server of its own; skips where there is none to start."""
    pytest.importorskip("psycopg")
    bin_folder = programs()
    if bin_folder is None:
        pytest.skip(f"PostgreSQL is not installed; another server is named by {ANOTHER}")
    if os.geteuid() == 0:
        if shutil.which("runuser") is None:
            pytest.skip("PostgreSQL refuses root, and there is no runuser")
        try:
            pwd.getpwnam(_USER)
        except KeyError:
            pytest.skip(f"PostgreSQL refuses root, and there is no user {_USER}")
    folder = Path(tempfile.mkdtemp(prefix="hh-pg-", dir="/tmp"))  # the path of a socket is short
    if os.geteuid() == 0:
        shutil.chown(folder, _USER)
    started = Server(folder, bin_folder)
    try:
        started.make()
        started.start()
        yield started
    finally:
        started.stop()
        shutil.rmtree(folder, ignore_errors=True)


def ask_target(address: str, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows of a query in the schema of a target; what it changes is kept."""
    import psycopg

    from histhooks.team.postgres.address import Database, target_of

    database = target_of(address)
    assert isinstance(database, Database)
    with psycopg.connect(database.conninfo) as connection:
        connection.execute(f"SET search_path = {database.schema}")
        cursor = connection.execute(sql, values or None)
        return cursor.fetchall() if cursor.description else []


class Logins:
    """Roles that log in at a target, dropped with it.

    Parameters
    ----------
    target : str
        The address, of a superuser.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.names: dict[str, str] = {}

    def new(self, *member_of: str, is_owner: bool = False, of: str | None = None) -> str:
        """The address of a new role that is a member of some; an owner may make schemas in the database."""
        name = f"hh_{os.urandom(5).hex()}"
        given = "".join(f"; GRANT {role} TO {name}" for role in member_of)
        if is_owner:
            (database,) = ask_target(self.target, "SELECT current_database()::text")[0]
            given += f'; GRANT CREATE ON DATABASE "{database}" TO {name}'
        ask_target(self.target, f"CREATE ROLE {name} LOGIN{given}")
        head, _, rest = (of or self.target).partition("://")
        address = f"{head}://{name}@{rest.partition('@')[2]}"
        self.names[address] = name
        return address

    def name_of(self, address: str) -> str:
        """The role of an address."""
        return self.names[address]

    def drop(self) -> None:
        """Drop all of them."""
        for name in self.names.values():
            ask_target(self.target, f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")


@contextmanager
def logins_of(target: str) -> Iterator[Logins]:
    """Roles for a test; skips where who runs it may not make any, or has to give a password."""
    if not target.startswith(f"postgresql://{_USER}@"):
        pytest.skip("the named server may ask new roles for a password")
    made = Logins(target)
    try:
        yield made
    finally:
        made.drop()
