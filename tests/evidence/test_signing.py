"""Keys and signatures: what is made, what verifies, and that each change of what was signed is seen."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import zlib
from contextlib import closing
from pathlib import Path

import pytest

from helpers.stores import alone
from histhooks import History, QueryError, curate, evidence
from histhooks._host.settings import given
from histhooks.testing import query, run_program
from histhooks.verify import verify

pytest.importorskip("cryptography", reason="cryptography is the extra `sign`")

PROGRAM = """
import histhooks
open("model.bin", "wb").write(b"weights")
with histhooks.start_run("first", params={"lr": 0.1}) as run:
    run.log({"loss": 0.5}); run.log({"loss": 0.25})
    run.log_artifact("model.bin", role="model")
histhooks.flush()
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recorded") / "histhooks.db"
    assert run_program(PROGRAM, path)[0] == 0
    return path


@pytest.fixture
def store(tmp_path: Path, recorded: Path) -> Path:
    return Path(shutil.copy(recorded, tmp_path / "histhooks.db"))


def cli(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "histhooks", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **variables})


def openssl(pem: Path, signature: bytes, text: str) -> bool:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    Path("signature").write_bytes(signature)
    Path("text").write_text(text, encoding="utf-8")
    command = ["openssl", "dgst", "-sha256", "-verify", str(pem), "-signature", "signature", "text"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_key_is_for_its_owner_alone_and_is_never_overwritten() -> None:
    keys = evidence.keygen("team.pem")
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    assert "PUBLIC KEY" in keys.public_path.read_text(encoding="ascii")
    before = keys.path.read_bytes()
    with pytest.raises(QueryError, match="there already"):
        evidence.keygen("team.pem")
    assert keys.path.read_bytes() == before


def test_a_key_of_the_user_lies_in_the_data_folder_and_is_found_by_sign(store: Path) -> None:
    keys = evidence.keygen()
    assert keys.path == Path(os.environ["XDG_DATA_HOME"]) / "histhooks" / "keys" / "signing.pem"
    assert evidence.sign("head", store=store).key_id == keys.id


def test_a_key_is_named_by_the_digest_of_its_public_half() -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    keys = evidence.keygen("team.pem")
    command = ["openssl", "pkey", "-pubin", "-in", str(keys.public_path), "-outform", "DER"]
    der = subprocess.run(command, capture_output=True, check=True).stdout
    assert keys.id == hashlib.sha256(der).hexdigest()[:16]


def test_a_signed_head_covers_all_that_was_there_and_openssl_agrees(store: Path) -> None:
    keys = evidence.keygen("team.pem")
    signature = evidence.sign("head", meaning="reviewed", key=keys.path, store=store)
    lines = signature.envelope.text.split("\n")
    assert lines[0] == "histhooks-head-1"
    assert lines[1] == "histhooks.db"
    assert lines[4] == signature.sha256
    assert lines[6:] == ["reviewed", ""]
    assert openssl(keys.public_path, signature.envelope.signature, signature.envelope.text)
    assert not openssl(keys.public_path, signature.envelope.signature, signature.envelope.text.replace("rev", "REV"))
    report = verify(store, key=keys.public_path, is_signed=True)
    assert report.problems == []
    assert report.is_signed is True
    ((found,),) = [report.signatures]
    assert (found["subject"], found["meaning"], found["is_valid"]) == ("head", "reviewed", True)
    # All lines but the one that holds the signature itself.
    assert found["covers"] == found["lines"] - 1
    assert alone(store)[0] == 0


def test_what_comes_after_a_signature_is_not_covered_by_it(store: Path) -> None:
    keys = evidence.keygen("team.pem")
    evidence.sign("head", key=keys.path, store=store)
    assert run_program(PROGRAM, store)[0] == 0
    (first,) = verify(store, is_signed=True).signatures
    evidence.sign("head", key=keys.path, store=store)
    again, second = verify(store, is_signed=True).signatures
    assert again["covers"] == first["covers"]
    assert second["covers"] == second["lines"] - 1 > first["covers"]


def test_a_rewritten_history_whose_ledger_fits_does_not_fit_its_signature(store: Path, tmp_path: Path) -> None:
    """Another history of the same name, put in the place of the signed one with the signature copied over."""
    keys = evidence.keygen("team.pem")
    evidence.sign("head", key=keys.path, store=store)
    forged = tmp_path / "forged" / "histhooks.db"
    forged.parent.mkdir()
    assert run_program(PROGRAM.replace("0.25", "0.01"), forged)[0] == 0
    evidence.sign("head", key=evidence.keygen("mine.pem").path, store=forged)
    assert verify(forged, is_signed=True).problems == []
    (envelope,) = query(store, "SELECT sha256, size_bytes, encoding, data FROM contents WHERE kind = 'envelope'")
    with closing(sqlite3.connect(forged)) as connection, connection:
        connection.execute(
            "INSERT INTO contents (sha256, kind, size_bytes, encoding, data) VALUES (?, 'envelope', ?, ?, ?)", envelope
        )
        connection.execute(
            "UPDATE signatures SET content_sha256 = ?, key_id = ?, subject_sha256 = (SELECT ?)",
            (envelope[0], keys.id, evidence.sign("head", key=keys.path, store=store).sha256),
        )
    report = verify(forged, key=keys.public_path)
    assert not report.ok
    assert report.is_signed is False
    assert report.signature_problems != []


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE signatures SET meaning = 'trained'", "another meaning"),
        ("UPDATE signatures SET subject_sha256 = 'ab'", "another subject sha256"),
        ("UPDATE signatures SET subject = 'file'", "another subject"),
        ("DELETE FROM contents WHERE kind = 'envelope'", "envelope is not there"),
        ("UPDATE contents SET data = x'00', encoding = 'plain' WHERE kind = 'envelope'", "cannot be read"),
        ("UPDATE ledger SET time = time + 1 WHERE seq = 0", "another one now"),
    ],
)
def test_a_changed_signature_is_named(store: Path, statement: str, said: str) -> None:
    keys = evidence.keygen("team.pem")
    evidence.sign("head", key=keys.path, store=store)
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute(statement)
    report = verify(store, key=keys.public_path)
    assert any(said in problem for problem in report.signature_problems), report.problems
    assert verify(store).ok is False  # the ledger covers signatures too


def test_each_byte_of_a_signature_counts(store: Path) -> None:
    keys = evidence.keygen("team.pem")
    Path("note.txt").write_text("text", encoding="utf-8")
    evidence.sign("note.txt", key=keys.path, store=store)
    ((data, encoding),) = query(store, "SELECT data, encoding FROM contents WHERE kind = 'envelope' LIMIT 1")
    plain = zlib.decompress(data) if encoding == "zlib" else data
    facts = json.loads(plain)
    for place in range(0, len(base64.b64decode(facts["signature"])), 7):
        raw = bytearray(base64.b64decode(facts["signature"]))
        raw[place] ^= 1
        changed = json.dumps({**facts, "signature": base64.b64encode(raw).decode()}).encode()
        copy = store.with_name("copy.db")
        shutil.copy(store, copy)
        with closing(sqlite3.connect(copy)) as connection, connection:
            connection.execute("UPDATE contents SET data = ?, encoding = 'plain' WHERE kind = 'envelope'", (changed,))
        assert verify(copy, key=keys.public_path).signature_problems != [], place


def test_a_key_that_signed_nothing_is_no_yes(store: Path) -> None:
    signer, other = evidence.keygen("team.pem"), evidence.keygen("other.pem")
    assert verify(store, key=other.public_path).is_signed is False
    evidence.sign("head", key=signer.path, store=store)
    report = verify(store, key=other.public_path)
    assert not report.ok
    assert signer.id in report.problems[0]
    assert verify(store, key=signer.path).is_signed is True  # of a private key, its public half


def test_a_signed_file_is_no_signed_head(store: Path) -> None:
    keys = evidence.keygen("team.pem")
    Path("note.txt").write_text("text", encoding="utf-8")
    found = evidence.sign("note.txt", key=keys.path, store=store, to="note.json")
    assert (found.subject, found.name) == ("file", "note.txt")
    assert json.loads(Path("note.json").read_bytes())["text"] == found.envelope.text
    assert verify(store, key=keys.public_path).is_signed is True
    assert verify(store, key=keys.public_path, is_signed=True).is_signed is False


def test_keys_of_openssl_sign_and_others_are_refused_by_what_they_are(store: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    for curve, name in (("prime256v1", "good.pem"), ("secp384r1", "long.pem")):
        command = ["openssl", "ecparam", "-name", curve, "-genkey", "-noout", "-out", name]
        subprocess.run(command, check=True, capture_output=True)
    assert len(evidence.sign("head", key="good.pem", store=store).key_id) == 16
    with pytest.raises(QueryError, match="secp384r1"):
        evidence.sign("head", key="long.pem", store=store)
    command = ["openssl", "ec", "-in", "good.pem", "-aes256", "-passout", "pass:secret", "-out", "locked.pem"]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(QueryError, match="password"):
        evidence.sign("head", key="locked.pem", store=store)
    Path("odd.pem").write_text("no key", encoding="utf-8")
    for path, said in (("odd.pem", "no private key"), ("none.pem", "cannot be read")):
        with pytest.raises(QueryError, match=said):
            evidence.sign("head", key=path, store=store)
    with pytest.raises(QueryError, match="no key that can be read"):
        verify(store, key="odd.pem")


def test_a_key_may_be_given_as_text_in_the_environment(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = evidence.keygen("team.pem")
    monkeypatch.setenv("HISTHOOKS_SIGN_KEY", keys.path.read_text(encoding="ascii"))
    assert evidence.sign("head", store=store).key_id == keys.id
    assert "PRIVATE KEY" not in given()["HISTHOOKS_SIGN_KEY"]  # as doctor shows it


def test_no_private_key_and_no_secret_comes_into_the_store(store: Path) -> None:
    keys = evidence.keygen("team.pem")
    evidence.sign("head", key=keys.path, store=store)
    body = "".join(keys.path.read_text(encoding="ascii").splitlines()[1:-1])
    raw = store.read_bytes()
    assert b"PRIVATE KEY" not in raw
    assert body.encode() not in raw


def test_a_key_in_the_environment_of_a_training_is_not_recorded(tmp_path: Path) -> None:
    pem = evidence.keygen("team.pem").path.read_text(encoding="ascii")
    path = tmp_path / "trained.db"
    assert run_program(PROGRAM, path, HISTHOOKS_SIGN_KEY=pem)[0] == 0
    body = pem.splitlines()[1]
    with closing(sqlite3.connect(path)) as connection:
        dump = "".join(connection.iterdump())
        blobs = connection.execute("SELECT encoding, data FROM contents").fetchall()
    texts = [zlib.decompress(data) if encoding == "zlib" else data for encoding, data in blobs]
    assert len(dump) > 10_000
    assert body not in dump
    assert not any(body.encode() in text for text in texts)


def test_the_author_of_a_signature_can_be_erased(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HISTHOOKS_ACTOR", "ada lovelace")
    keys = evidence.keygen("team.pem")
    evidence.sign("head", key=keys.path, store=store)
    assert query(store, "SELECT author FROM signatures") == [("ada lovelace",)]
    monkeypatch.setenv("HISTHOOKS_ACTOR", "somebody")
    curate.redact(users=("ada lovelace",), reason="on request", store=store)
    assert query(store, "SELECT author FROM signatures") == [(None,)]
    report = verify(store, key=keys.public_path, is_signed=True)
    assert report.problems == []
    assert alone(store)[0] == 0


def test_signing_without_a_key_says_how_to_make_one(store: Path) -> None:
    with pytest.raises(QueryError, match="histhooks keygen"):
        evidence.sign("head", store=store)
    assert query(store, "SELECT count(*) FROM sessions WHERE kind = 'command'") == [(0,)]
    with pytest.raises(QueryError, match="no file nothing"):
        evidence.sign("nothing", key=evidence.keygen("team.pem").path, store=store)
    with pytest.raises(QueryError, match="not 'perfect'"):
        evidence.sign("head", meaning="perfect", store=store)


def test_the_verbs_have_the_exit_codes_of_their_answers(store: Path) -> None:
    made = cli("keygen", "-o", "team.pem", "--json")
    assert made.returncode == 0
    assert json.loads(made.stdout)["public_path"] == "team.pem.pub"
    assert cli("keygen", "-o", "team.pem").returncode == 2
    assert cli("verify", store, "--signed").returncode == 1
    done = cli("sign", store, "head", "--key", "team.pem", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["subject"] == "head"
    assert cli("verify", store, "--signed", "--key", "team.pem.pub").returncode == 0
    assert cli("verify", store).returncode == 0
    assert cli("verify", store, "--key", "none.pub").returncode == 2
    assert cli("sign", "--store", store).returncode == 2
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE points SET value = 0.1 WHERE n = 1")
    assert cli("verify", store, "--signed", "--key", "team.pem.pub").returncode == 1


def test_cryptography_is_imported_only_by_what_needs_it_and_named_where_it_is_missing(store: Path) -> None:
    program = f"""
import sys
from histhooks import evidence
from histhooks.verify import verify
assert verify({str(store)!r}).ok
assert not [name for name in sys.modules if name.partition(".")[0] == "cryptography"]
sys.modules["cryptography"] = None  # as if it were not installed
for call in (lambda: evidence.keygen("x.pem"), lambda: evidence.sign("head", store={str(store)!r}),
             lambda: verify({str(store)!r}, is_signed=True)):
    try:
        call()
    except Exception as error:
        print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout.count("QueryError signatures need cryptography, which is missing: pip install 'histhooks[sign]'")
        == 3
    )


def test_a_history_of_before_has_no_signatures_and_says_so(store: Path) -> None:
    with History(store) as history:
        assert history.sql("SELECT count(*) AS n FROM signatures") == [{"n": 0}]
    assert verify(store).signatures == []
