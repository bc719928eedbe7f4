"""What it means if libpq cannot connect, and what to do then; it says so in words alone, without a code."""

from __future__ import annotations

import re

# What libpq (fe-connect.c, fe-auth.c) and the server (postinit.c, auth.c, miscinit.c) say, and what that means. A
# server may say it in another language: then its words stand as they are.
_MEANINGS = (
    (
        r'role "(?P<role>[^"]+)" does not exist',
        'the server has no role {role}; name another one in the address, or a DBA runs: CREATE ROLE "{role}" LOGIN',
    ),
    (
        r'role "(?P<role>[^"]+)" is not permitted to log in',
        'the role {role} may not log in; a DBA runs: ALTER ROLE "{role}" LOGIN',
    ),
    (
        r'database "(?P<name>[^"]+)" does not exist',
        'the server has no database {name}; name another one in the address, or a DBA runs: CREATE DATABASE "{name}"',
    ),
    (
        r'permission denied for database "(?P<name>[^"]+)"',
        'your role may not connect to the database {name}; a DBA runs: GRANT CONNECT ON DATABASE "{name}" TO your role',
    ),
    (
        r'password authentication failed for user "(?P<role>[^"]+)"',
        "the password for {role} is wrong; correct it where it stands: ~/.pgpass, PGPASSWORD or the address",
    ),
    (
        r"no password supplied",
        "the server asks for a password and none was given; write a line HOST:PORT:DATABASE:USER:PASSWORD in "
        "~/.pgpass, or set PGPASSWORD",
    ),
    (
        r'Peer authentication failed for user "(?P<role>[^"]+)"',
        "on its socket the server takes {role} from the account of that name only; name a host: "
        "postgresql://{role}@localhost/DATABASE",
    ),
    (
        r'(?:no pg_hba.conf entry|pg_hba.conf rejects connection) for host "(?P<host>[^"]+)", user '
        r'"(?P<role>[^"]+)"',
        "the server does not let {role} in from {host}; a DBA adds a line for it to pg_hba.conf",
    ),
    (
        r"failed to resolve host '(?P<host>[^']+)'",
        "there is no machine {host}; check the name, or the network of this machine",
    ),
    (
        r'could not translate host name "(?P<host>[^"]+)"',
        "there is no machine {host}; check the name, or the network of this machine",
    ),
    (
        r'socket "(?P<socket>[^"]+)" failed: No such file or directory',
        "no server listens on the socket {socket}; start it, or name its host in the address",
    ),
    (
        r'"(?P<host>[^"]+)", port (?P<port>\d+) failed: Connection refused',
        "no server listens at {host}, port {port}; check host and port, or start it",
    ),
    (
        r"timeout expired|timed out",
        "there was no answer in time; check the host, a firewall or the VPN, or try again later",
    ),
    (
        r"No route to host|Network is unreachable",
        "there is no way to that host; check the network of this machine, or the VPN",
    ),
    (
        r"too many clients|remaining connection slots",
        "the server has no free connection; try again later",
    ),
    (
        r"the database system is (?P<what>starting up|shutting down|in recovery mode|not yet accepting "
        r"connections)",
        "the server is {what}; try again later",
    ),
    (
        r'definition of service "(?P<name>[^"]+)" not found',
        "there is no service {name}; write it in ~/.pg_service.conf",
    ),
    (
        r'invalid (?:URI query parameter: |connection option )"(?P<name>[^"]+)"',
        "libpq knows no parameter {name}; take it out of the address",
    ),
    (
        r"server does not support SSL, but SSL was required",
        "the server offers no TLS; leave out sslmode, or a DBA switches it on",
    ),
    (
        r'root certificate file "(?P<name>[^"]+)" does not exist',
        "there is no certificate {name} to know the server by; put it there, or name it with sslrootcert=",
    ),
    (
        r"certificate verify failed",
        "this machine does not trust the certificate of the server; name its issuer with sslrootcert=",
    ),
    (
        r'server certificate for "(?P<name>[^"]+)"[^;]* does not match host name "(?P<host>[^"]+)"',
        "the certificate of the server is for {name}, not for {host}; name that host in the address",
    ),
)


def meaning(words: str) -> str:
    """What goes on a sentence that something cannot be reached.

    Parameters
    ----------
    words : str
        Those of the driver, in one line and without secrets.

    Returns
    -------
    str
    """
    for pattern, said in _MEANINGS:
        found = re.search(pattern, words)
        if found is not None:
            return f": {said.format(**found.groupdict())}"
    return f" ({words}); check the address, or try again later"
