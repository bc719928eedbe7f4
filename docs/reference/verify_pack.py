"""Verify a pack of evidence with the standard library, and its signature with openssl; histhooks is not needed.

Usage: python3 -I -S verify_pack.py PACK.zip|FOLDER [--key PUBLIC.pem]
Exit code: 0 everything fits, 1 something does not, 2 cannot tell: no pack, no key, or no openssl for a signature.
Of the pack it runs verify_ledger.py alone, and only if that is, byte for byte, the one that it knows.
"""

import base64
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path

MANIFEST, SIGNATURE, KEY = "MANIFEST.sha256", "MANIFEST.sig", "key.pub"
CITING = ("annex-iv.md", "model-card.md")
LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")
CITED = re.compile(r"(?<!\\)\[([\w.]+/[^\[\]\s]+)\]")
PAYLOAD = "application/vnd.in-toto+json"
LEDGER_SHA256 = "541564c59ae98eeb69c9e2731f7e28bad89b475cd21c57f1dd24e78b7dc03a75"  # of verify_ledger.py


class CannotTell(Exception):
    """No answer is possible."""


def members_of(path):
    """The members of a pack by name: bytes, or the reason why there are none."""
    path = Path(path)
    if path.is_dir():
        return {each.name: each.read_bytes() for each in sorted(path.iterdir()) if each.is_file()}
    try:
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
            found = {}
            for name in names:
                try:
                    found[name] = file.read(name) if names.count(name) == 1 else "it is in the pack twice"
                except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
                    found[name] = f"it cannot be read ({error})"
            return found
    except (OSError, zipfile.BadZipFile) as error:
        raise CannotTell(f"{path} is no pack that can be read ({error})") from error


def check_members(members):
    """Whether each member is as the manifest says, and none is missing or added."""
    problems, listed = [], {}
    manifest = members.get(MANIFEST)
    if not isinstance(manifest, bytes):
        return [f"{MANIFEST}: {manifest or 'it is missing'}"]
    for number, line in enumerate(manifest.decode("utf-8", "replace").splitlines(), start=1):
        found = LINE.fullmatch(line)
        if found is None:
            problems.append(f"{MANIFEST}: line {number} is not of its form")
        else:
            listed[found[2]] = found[1]
    for name in sorted({*listed, *members} - {MANIFEST, SIGNATURE}):
        data = members.get(name, "it is missing")
        if isinstance(data, str):
            problems.append(f"{name}: {data}")
        elif name not in listed:
            problems.append(f"{name}: {MANIFEST} does not list it")
        elif hashlib.sha256(data).hexdigest() != listed[name]:
            problems.append(f"{name}: its SHA-256 is not the one in {MANIFEST}")
    return problems


def openssl(public_key, signature, text):
    """Whether openssl says that a signature is by a key."""
    program = shutil.which("openssl")
    if program is None:
        raise CannotTell("there is no openssl to verify the signature with")
    with tempfile.TemporaryDirectory() as folder:
        for name, data in (("key", public_key), ("signature", signature), ("text", text)):
            Path(folder, name).write_bytes(data)
        command = [program, "dgst", "-sha256", "-verify", "key", "-signature", "signature", "text"]
        return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


def key_id(public_key):
    """The id by which signatures name a key: from the SHA-256 of its DER form."""
    body = re.sub(rb"-----[A-Z ]+-----|\s", b"", public_key)
    try:
        return hashlib.sha256(base64.b64decode(body)).hexdigest()[:16]
    except ValueError:
        return "of no form"


def check_signatures(members, trusted, is_by):
    """Whether manifest and bundle are signed by a key: its id, or None if they are not, and what is wrong."""
    signature, own = members.get(SIGNATURE), members.get(KEY)
    if signature is None and own is None:
        return None, [f"{SIGNATURE}: it is missing, and a signature was asked for"] if trusted else []
    if not isinstance(signature, bytes) or not isinstance(own, bytes):
        missing = KEY if isinstance(signature, bytes) else SIGNATURE
        return None, [f"{missing}: {members.get(missing) or 'it is missing'}"]
    key, problems = trusted or own, []
    if trusted and key_id(trusted) != key_id(own):
        key = own  # whether it is whole is another question
        problems.append(f"{KEY}: the pack is signed by key {key_id(own)}, not by {key_id(trusted)}")
    if isinstance(members.get(MANIFEST), bytes) and not is_by(key, signature, members[MANIFEST]):
        problems.append(f"{SIGNATURE}: it does not fit {MANIFEST}, so one of both was changed, or another key signed")
    bundle = members.get("model.sig")
    if isinstance(bundle, bytes):
        problems += check_bundle(bundle, key, is_by)
    return (None if problems else key_id(key)), problems


def check_bundle(data, key, is_by):
    """Whether the bundle of the model is signed by a key, and says one thing."""
    try:
        envelope = json.loads(data)["dsseEnvelope"]
        payload = base64.b64decode(envelope["payload"])
        signature = base64.b64decode(envelope["signatures"][0]["sig"])
        statement = json.loads(payload)
        digests = [bytes.fromhex(each["digest"]) for each in statement["predicate"]["resources"]]
        root = statement["subject"][0]["digest"]["sha256"]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        return [f"model.sig: it is not of its form ({error!r})"]
    text = b"DSSEv1 %d %s %d %s" % (len(PAYLOAD), PAYLOAD.encode(), len(payload), payload)
    problems = [] if is_by(key, signature, text) else ["model.sig: its signature does not fit"]
    if hashlib.sha256(b"".join(digests)).hexdigest() != root:
        problems.append("model.sig: the digest of the model is not that of its files")
    return problems


def check_records(members):
    """Whether each id that a document cites is in records.json: the number of ids, and what is wrong."""
    try:
        records = json.loads(members["records.json"])
    except (KeyError, ValueError, TypeError) as error:
        return 0, [f"records.json: it cannot be read ({error!r})"]
    problems, count = [], 0
    for name in CITING:
        data = members.get(name)
        if isinstance(data, bytes):
            ids = CITED.findall(data.decode("utf-8", "replace"))
            count += len(ids)
            problems += [
                f"{name}: it cites {each}, which records.json does not have" for each in ids if each not in records
            ]
    return count, problems


def check_rows(members):
    """Whether each record that is a row of the store is as the store has it."""
    store = members.get("store.db")
    if not isinstance(store, bytes):
        return []
    try:
        records = json.loads(members["records.json"])
        with opened(store) as db:
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            return [
                f"records.json: {each} is not as store.db has it"
                for each, row in records.items()
                if each.partition("/")[0] in tables and not has_row(db, each.partition("/")[0], row)
            ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"records.json: it cannot be read ({error!r})"]
    except sqlite3.Error as error:
        return [f"store.db: it cannot be read ({error})"]


def has_row(db, table, row):
    """Whether a table has a row with these values; of bytes a record has the hash alone."""
    columns = [name for name, value in row.items() if not isinstance(value, dict)]
    if not columns or not all(re.fullmatch("[a-z0-9_]+", name) for name in columns):
        return False
    where = " AND ".join(f'"{name}" IS ?' for name in columns)
    return db.execute(f'SELECT 1 FROM "{table}" WHERE {where}', [row[name] for name in columns]).fetchone() is not None


@contextmanager
def opened(store):
    """A store that is in memory, as a file for as long as it takes."""
    handle, path = tempfile.mkstemp(suffix=".db")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(store)
        db = sqlite3.connect(path)
        try:
            yield db
        finally:
            db.close()
    finally:
        os.unlink(path)


def check_ledger(members):
    """Whether the store fits its ledger: the number of lines, None if nothing was recomputed, and what is wrong."""
    store, verifier = members.get("store.db"), members.get("verify_ledger.py")
    if not isinstance(store, bytes) or not isinstance(verifier, bytes):
        return None, []
    if hashlib.sha256(verifier).hexdigest() != LEDGER_SHA256:
        return None, []  # whoever made the pack could have written anything into it
    names = {"__name__": "verify_ledger"}
    exec(compile(verifier, "verify_ledger.py", "exec"), names)
    try:
        with opened(store) as db:
            problems, lines, _ = names["verify"](db)
    except sqlite3.Error as error:
        return 0, [f"store.db: it cannot be read ({error})"]
    return lines, [f"store.db: {each}" for each in problems]


def verify(path, key=None, is_by=openssl):
    """What is found in a pack, as plain values."""
    members = members_of(path)
    if MANIFEST not in members:
        raise CannotTell(f"{path} is no pack of evidence: it has no {MANIFEST}")
    problems = check_members(members)
    changed = {each.partition(":")[0] for each in problems}
    signed_by, wrong = check_signatures(members, key, is_by)
    problems += wrong
    cited, wrong = check_records(members)
    problems += wrong
    problems += check_rows(members)
    lines = None
    if "verify_ledger.py" not in changed and "store.db" not in changed:
        lines, wrong = check_ledger(members)
        problems += wrong
    return {
        "ok": not problems,
        "problems": list(dict.fromkeys(problems)),
        "members": len(members),
        "signed_by": signed_by,
        "is_signed": SIGNATURE in members,
        "is_trusted": key is not None,
        "records": cited,
        "ledger_lines": lines,
        "has_store": "store.db" in members,
    }


def words(found):
    """The answer in lines."""
    out = [f"changed: {each}" for each in found["problems"]]
    out.append(f"{found['members']} members: " + ("all as the manifest says" if found["ok"] else "NOT as they were"))
    if found["signed_by"]:
        whose = "which you trust" if found["is_trusted"] else "whose public half is in the pack: compare its id"
        out.append(f"signed by key {found['signed_by']}, {whose}")
    elif not found["is_signed"]:
        out.append("not signed: whoever had the pack could have changed it whole")
    if found["ledger_lines"] is not None:
        out.append(f"store.db: {found['ledger_lines']} ledger lines recomputed")
    elif found["has_store"]:
        out.append("store.db: not recomputed, since the pack has no verify_ledger.py that this program knows: take the")
        out.append("          verify_pack.py of the version that made the pack, or run histhooks verify --pack")
    out.append(f"{found['records']} ids of records cited")
    return out


def main(arguments):
    """Verify the pack that is named."""
    key = None
    if len(arguments) != 1 and not (len(arguments) == 3 and arguments[1] == "--key"):
        print(__doc__)
        return 2
    try:
        if len(arguments) == 3:
            key = Path(arguments[2]).read_bytes()
            if b"PUBLIC KEY" not in key:
                raise CannotTell(f"{arguments[2]} is no public key in PEM form")
        found = verify(arguments[0], key)
    except (CannotTell, OSError) as error:
        print(f"cannot tell: {error}")
        return 2
    print("\n".join(words(found)))
    if found["ok"] and found["has_store"] and found["ledger_lines"] is None:
        return 2
    return 0 if found["ok"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
