"""Heads that are kept outside: in git, in a file, and with a time stamp of an authority that runs here."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from histhooks import QueryError, evidence
from histhooks.testing import query, run_program
from histhooks.verify import verify

pytest.importorskip("cryptography", reason="cryptography is the extra `sign`")

PROGRAM = """
import histhooks
with histhooks.start_run("first") as run:
    run.log({"loss": 0.5}); run.log({"loss": 0.25})
histhooks.flush()
"""
AUTHORITY = """
[tsa]
default_tsa = here
[here]
serial = serial
crypto_device = builtin
signer_cert = tsa.pem
certs = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ordering = no
tsa_name = no
ess_cert_id_chain = no
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recorded") / "histhooks.db"
    assert run_program(PROGRAM, path)[0] == 0
    return path


@pytest.fixture
def store(recorded: Path) -> Path:
    evidence.keygen("team.pem")
    return Path(shutil.copy(recorded, Path.cwd() / "histhooks.db"))


def git(*arguments: str) -> str:
    identity = ["-c", "user.name=ada", "-c", "user.email=ada@example.org"]
    return subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(store: Path) -> Path:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    git("init", "-q")
    git("config", "user.name", "ada")
    git("config", "user.email", "ada@example.org")
    Path("train.py").write_text("pass", encoding="utf-8")
    git("add", "train.py")
    git("commit", "-q", "-m", "first")
    return store


ANSWERS = {"nothing": b"", "empty": b"\x30\x00", "in part": b"\x30\x02\x30\x00", "cut": b"\x30", "garbage": b"\x30\x85"}


class Authority:
    """An authority for time stamps: openssl behind a server on this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fault = ""
        (folder / "tsa.cnf").write_text(AUTHORITY, encoding="ascii")
        (folder / "serial").write_text("01\n", encoding="ascii")
        self._openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "tsa.key", "-out", "tsa.pem", "-days", "2",
            "-subj", "/CN=authority of a test", "-addext", "extendedKeyUsage=critical,timeStamping",
            "-addext", "keyUsage=critical,digitalSignature",
        )  # fmt: skip
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.headers["Content-Type"] == "application/timestamp-query"
                body = authority.answer(self.rfile.read(int(self.headers["Content-Length"])))
                if authority.fault == "no HTTP":
                    self.wfile.write(b"garbage\r\n\r\n")
                    return
                self.send_response(500 if authority.fault == "status" else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return None

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def answer(self, question: bytes) -> bytes:
        if self.fault == "text":
            return b"<html>no</html>"
        if self.fault in ANSWERS:
            return ANSWERS[self.fault]
        if self.fault == "other":  # as if it had been asked something else
            self._openssl("ts", "-query", "-digest", "ab" * 32, "-sha256", "-cert", "-out", "question")
        else:
            (self.folder / "question").write_bytes(question)
        if self.fault == "refusal":
            question = question.replace(
                bytes.fromhex("0609608648016503040201"), bytes.fromhex("0609608648016503040203")
            )
            (self.folder / "question").write_bytes(question)
        self._openssl("ts", "-reply", "-queryfile", "question", "-config", "tsa.cnf", "-out", "answer")
        return (self.folder / "answer").read_bytes()


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Authority]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path / "authority"
    folder.mkdir()
    found = Authority(folder)
    thread = threading.Thread(target=found.server.serve_forever)
    thread.start()
    try:
        yield found
    finally:
        found.server.shutdown()
        thread.join()
        found.server.server_close()


def rewrite(store: Path, recorded: Path) -> None:
    """Put another history of the same program in the place of a store."""
    store.unlink()
    assert run_program(PROGRAM.replace("0.25", "0.01"), store)[0] == 0


def test_a_head_in_a_file_is_found_in_the_history_and_misses_in_another_one(store: Path, recorded: Path) -> None:
    first = evidence.witness("file:heads.jsonl", key="team.pem", store=store)
    evidence.witness("file:heads.jsonl", key="team.pem", store=store)
    lines = Path("heads.jsonl").read_text(encoding="ascii").splitlines()
    assert len(lines) == 2
    assert first.signature.sha256 in json.loads(lines[0])["text"]
    report = verify(store, witness="file:heads.jsonl", key="team.pem.pub")
    assert (report.problems, report.witnessed) == ([], 2)
    rewrite(store, recorded)
    report = verify(store, witness="file:heads.jsonl")
    assert len(report.signature_problems) == 2
    assert all("another history" in problem for problem in report.signature_problems)


def test_a_line_that_somebody_added_to_the_file_is_not_by_the_key(store: Path) -> None:
    evidence.witness("file:heads.jsonl", key="team.pem", store=store)
    text = Path("heads.jsonl").read_text(encoding="ascii")
    Path("heads.jsonl").write_text(text + text.replace("reviewed", "approved"), encoding="ascii")
    report = verify(store, witness="file:heads.jsonl", key="team.pem.pub")
    assert report.witnessed == 1
    assert ["its signature is not by key" in problem for problem in report.signature_problems] == [True]


def test_heads_of_other_stores_in_one_file_are_left_out(store: Path, tmp_path: Path) -> None:
    other = Path(shutil.copy(store, tmp_path / "other.db"))
    evidence.witness("file:heads.jsonl", key="team.pem", store=other)
    assert not verify(store, witness="file:heads.jsonl").ok
    evidence.witness("file:heads.jsonl", key="team.pem", store=store)
    assert verify(store, witness="file:heads.jsonl").witnessed == 1


def test_git_keeps_heads_in_notes_which_change_no_commit(repository: Path, recorded: Path) -> None:
    before = git("rev-parse", "HEAD"), git("status", "--porcelain", "--untracked-files=no")
    done = [evidence.witness("git", key="team.pem", store=repository) for _ in range(2)]
    assert (git("rev-parse", "HEAD"), git("status", "--porcelain", "--untracked-files=no")) == before
    assert {each.place for each in done} == {before[0].strip()}
    note = git("notes", "--ref=histhooks", "show", "HEAD")
    assert all(each.signature.sha256 in note for each in done)
    assert "refs/notes/histhooks" in git("for-each-ref")
    assert verify(repository, witness="git", key="team.pem.pub").witnessed == 2
    git("commit", "-q", "--allow-empty", "-m", "second")
    evidence.witness("git", key="team.pem", store=repository)
    assert verify(repository, witness="git").witnessed == 3
    rewrite(repository, recorded)
    assert len(verify(repository, witness="git").signature_problems) == 3


def test_a_time_stamp_is_kept_in_the_history_and_openssl_verifies_it(store: Path, authority: Authority) -> None:
    done = evidence.witness(f"rfc3161:{authority.url}", key="team.pem", store=store, to="head.json")
    assert done.time is not None
    assert abs(done.time - done.signature.time) < 3_600_000_000
    assert done.place == "127.0.0.1"
    ca = str(authority.folder / "tsa.pem")
    command = ["openssl", "ts", "-verify", "-data", "head.json", "-in", "head.json.tsr", "-CAfile", ca]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    Path("head.json").write_bytes(Path("head.json").read_bytes() + b" ")
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0
    rows = query(store, "SELECT subject, algorithm, key_id FROM signatures ORDER BY time")
    assert rows == [("head", "ecdsa-p256-sha256", done.signature.key_id), ("head", "rfc3161", "127.0.0.1")]
    report = verify(store, key="team.pem.pub", is_signed=True)
    assert report.problems == []
    assert [each["is_valid"] for each in report.signatures] == [True, None]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("text", "no time stamp"),
        ("other", "something else"),
        ("status", "gives no time stamp"),
        ("refusal", "refuses"),
        ("no HTTP", "gives no time stamp"),
        *((fault, "is no time stamp of this head") for fault in ANSWERS),
    ],
)
def test_an_answer_that_is_no_time_stamp_of_this_head_is_refused(
    store: Path, authority: Authority, fault: str, said: str
) -> None:
    authority.fault = fault
    with pytest.raises(QueryError, match=said):
        evidence.witness(f"rfc3161:{authority.url}", key="team.pem", store=store)
    assert query(store, "SELECT count(*) FROM signatures WHERE algorithm = 'rfc3161'") == [(0,)]
    assert verify(store, is_signed=True).ok  # the signed head is there all the same


def test_what_cannot_be_a_witness_says_why(store: Path) -> None:
    for where, said in (
        ("paper", "a witness is git"),
        ("file:", "a witness is git"),
        ("git:origin", "a witness is git"),
        ("file:none/heads.jsonl", "cannot be written"),
        ("rfc3161:ftp://example.org", "no address"),
        ("rfc3161:http://127.0.0.1:9/", "gives no time stamp"),
    ):
        with pytest.raises(QueryError, match=said):
            evidence.witness(where, key="team.pem", store=store)
    Path("odd.jsonl").write_text('{"form": "x"}\n', encoding="ascii")
    for where, said in (("file:none.jsonl", "cannot be read"), ("file:odd.jsonl", "no signed head")):
        with pytest.raises(QueryError, match=said):
            verify(store, witness=where)


def test_the_verbs_keep_a_head_and_verify_it(store: Path) -> None:
    def cli(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "histhooks", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))

    done = cli("witness", store, "file:heads.jsonl", "--key", "team.pem", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["place"] == "heads.jsonl"
    assert cli("verify", store, "--witness", "file:heads.jsonl").returncode == 0
    assert cli("verify", store, "--witness", "paper").returncode == 2
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("DELETE FROM ledger WHERE seq = 0 AND session_id IN (SELECT max(session_id) FROM ledger)")
    assert cli("verify", store, "--witness", "file:heads.jsonl").returncode == 1
