"""Packs of evidence: what is in them, that others' validators accept it, and that each change is named."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import textwrap
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from helpers.programs import HOST, ON_THAT_HOST
from histhooks import History, QueryError, StoreError, curate, evidence, models
from histhooks.evidence import _pack
from histhooks.testing import query, run_program
from histhooks.verify import verify

pytest.importorskip("cryptography", reason="cryptography is the extra `sign`")

ACCOUNT = "zaphodbb"
CITED = re.compile(r"(?<!\\)\[([\w.]+/[^\[\]\s]+)\]")
PROGRAM = """
import numpy
import histhooks
secret = "sk-" + "a1B2" * 10
open("model.bin", "wb").write(b"weights"); open("base.bin", "wb").write(b"base")
given = {"lr": 0.1, "api_key": secret, "odd [name]": "a*b_c<d>", "data": "/srv/an_n/my_rows/x_y.csv"}
with histhooks.start_run("first", params={**given, "also": "C:\\\\Users\\\\an_n\\\\q.csv"}) as run:
    for step in range(30):
        run.log({"loss": 1 / (1 + step), "val_acc": 1 - 1 / (2 + step)}, step=step, epoch=step // 10)
    run.log({"test_acc": 0.9})
    run.log_dataset("train", numpy.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), numpy.array([0, 1, 1]))
    run.log_dataset("test", numpy.array([[7.0, 8.0]]), numpy.array([1]))
    run.log_artifact("base.bin", role="checkpoint", direction="in")
    run.log_artifact("model.bin", role="model")
    run.log_results({"best": 3})
    run.note("card purpose: To show what a pack is.\\nAnd no more.")
    run.tag("card.limits", "Three rows are no data.")
with histhooks.start_run("bare"):
    pass
histhooks.flush()
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    path = folder / "histhooks.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HISTHOOKS_ACTOR", "ada lovelace")
        patch.setenv("LOGNAME", ACCOUNT)
        patch.setattr(socket, "gethostname", lambda: HOST)
        code, _, err = run_program(ON_THAT_HOST + PROGRAM, path)
        assert code == 0, err
        models.promote("first", model="demo", reason="the first one", store=path, check=False)
        evidence.sign("head", meaning="reviewed", key=evidence.keygen("team.pem").path, store=path)
        curate.waive("valid.none", "first", reason="shown on purpose", until="2099-01-01", store=path)
    whole = folder / "whole.db"
    with closing(sqlite3.connect(path)) as connection:  # what still lies in the log beside it, too
        connection.execute("VACUUM INTO ?", (str(whole),))
    return whole


@pytest.fixture
def store(tmp_path: Path, recorded: Path) -> Path:
    for name in ("team.pem", "team.pem.pub"):
        shutil.copy(recorded.parent / name, tmp_path / "work")
    return Path(shutil.copy(recorded, tmp_path / "histhooks.db"))


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def written(found: dict[str, bytes], path: Path) -> Path:
    """A pack with these members, whatever its manifest says."""
    with zipfile.ZipFile(path, "w") as file:
        for name, data in found.items():
            file.writestr(name, data)
    return path


def alone(*arguments: str, cwd: Path | None = None) -> tuple[int, str]:
    """Run the verifier of a pack by a Python that finds no package, and no histhooks."""
    command = [sys.executable, "-I", "-S", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    return done.returncode, done.stdout + done.stderr


def test_a_pack_has_all_members_and_verifies_with_nothing_but_python_and_openssl(store: Path, tmp_path: Path) -> None:
    done = evidence.pack("demo@1", "demo.zip", sign=True, key="team.pem", store=store)
    assert done.version == "demo@1"
    assert set(members(done.path)) == {
        "index.html", "model-card.md", "annex-iv.md", "statement.intoto.json", "model.sig", "bom.cdx.json",
        "ro-crate-metadata.json", "store.db", "checks.json", "ledger.txt", "verify_ledger.py", "verify_pack.py",
        "MANIFEST.sha256", "MANIFEST.sig", "key.pub", "records.json",
    }  # fmt: skip
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path / "elsewhere"
    with zipfile.ZipFile(done.path) as file:
        file.extractall(folder)
    code, out = alone("verify_pack.py", ".", cwd=folder)
    assert code == 0, out
    assert f"signed by key {done.key_id}" in out
    shutil.copy("demo.zip", folder)
    shutil.copy("team.pem.pub", folder)
    code, out = alone("verify_pack.py", "demo.zip", "--key", "team.pem.pub", cwd=folder)
    assert code == 0, out
    assert "which you trust" in out
    assert alone("verify_ledger.py", "store.db", cwd=folder)[0] == 0
    assert verify(folder / "store.db").ok
    assert evidence.verify_pack("demo.zip", key="team.pem.pub", is_signed=True).ok


def test_the_same_record_gives_the_same_documents(store: Path) -> None:
    one, two = (members(evidence.pack("demo@1", name, store=store).path) for name in ("one.zip", "two.zip"))
    # The copy of the history has an author and a time of its own, and ledger lines of it.
    same = set(one) - {"store.db", "ledger.txt", "MANIFEST.sha256"}
    assert {name for name in same if one[name] != two[name]} == set()
    assert not any(name.startswith("MANIFEST.sig") for name in one)


def test_every_statement_cites_a_record_that_is_there_and_as_the_store_has_it(store: Path) -> None:
    found = members(evidence.pack("demo@1", "demo.zip", store=store).path)
    records = json.loads(found["records.json"])
    ids = set()
    for name in ("annex-iv.md", "model-card.md"):
        lines = [line for line in found[name].decode().splitlines() if line.startswith("- ")]
        body = [line for line in lines if line != "- histhooks" and not line.startswith("- name:")]
        assert len(body) > 20
        for line in body:
            cited = CITED.findall(line)
            assert cited or line == "- Not recorded.", line
            ids |= set(cited)
    assert ids <= set(records)
    pages = set(re.findall(r'<li id="r\d+">([^<]+)</li>', found["index.html"].decode()))
    assert pages <= set(records)
    Path("part.db").write_bytes(found["store.db"])
    for table in {each.partition("/")[0] for each in records} - {"checks.json"}:
        (count,) = query(Path("part.db"), f"SELECT count(*) FROM {table}")[0]
        assert 0 < sum(each.startswith(f"{table}/") for each in records) <= count
    run_id = evidence.pack("first", "run.zip", store=store).run_id
    assert records[f"params/{run_id}/0"]["key"] == "lr"
    assert {"model_events", "model_versions", "signatures", "run_artifacts"} <= {e.partition("/")[0] for e in records}


def test_what_is_not_on_record_is_said_and_nothing_is_made_up(store: Path) -> None:
    done = evidence.pack("bare", "bare.zip", store=store)
    found = members(done.path)
    annex = found["annex-iv.md"].decode()
    for title in ("2(d) Data", "2(g) Validation", "4 Why", "6 Changes", "9 Monitoring", "1(h) Instructions"):
        assert re.search(rf"^## {re.escape(title)}.*\n\n- Not recorded\.$", annex, re.MULTILINE), title
    card = found["model-card.md"].decode()
    for title in ("What it is for", "How well it does", "What it learned from", "License"):
        assert f"## {title}\n\n- Not recorded." in card
    assert "model-index" not in card
    assert any(gap.startswith("1(a)") for gap in done.gaps)  # who made it is no purpose


def test_gaps_are_closed_by_what_a_person_says(store: Path) -> None:
    before = evidence.pack("first", "a.zip", store=store).gaps
    assert not any(gap.startswith(("1(a)", "3 ")) for gap in before)  # a note and a tag of the program say them
    keys = (
        "instructions oversight security metrics standards declaration monitoring provider lifecycle hardware changes"
    )
    for key in keys.split():
        curate.note("first", f"card {key}: said on purpose", store=store)
    assert evidence.pack("first", "b.zip", store=store).gaps == ()
    assert "said on purpose" in members(Path("b.zip"))["annex-iv.md"].decode()


@pytest.mark.parametrize("way", ["flip", "drop"])
def test_one_byte_changed_in_a_member_is_named(store: Path, way: str) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    done = evidence.pack("demo@1", "demo.zip", sign=True, key="team.pem", store=store)
    found = members(done.path)
    Path("verify_pack.py").write_bytes(found["verify_pack.py"])
    for name, data in found.items():
        middle = len(data) // 2
        changed = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :] if way == "flip" else None
        others = {each: value for each, value in found.items() if each != name}
        altered = written({**others, name: changed} if changed is not None else others, Path("altered.zip"))
        if name == "MANIFEST.sha256" and changed is None:
            with pytest.raises(QueryError, match=name):
                evidence.verify_pack(altered)
            continue
        report = evidence.verify_pack(altered)
        assert not report.ok, name
        assert any(name in problem for problem in report.problems), (name, report.problems)
        if name in ("store.db", "MANIFEST.sig", "model.sig", "index.html"):
            code, out = alone("verify_pack.py", "altered.zip")
            assert code == 1, out
            assert name in out


def test_a_member_that_was_added_or_is_damaged_is_named(store: Path) -> None:
    done = evidence.pack("demo@1", "demo.zip", store=store)
    found = members(done.path)
    report = evidence.verify_pack(written({**found, "extra.txt": b"x"}, Path("more.zip")))
    assert report.problems == ("extra.txt: MANIFEST.sha256 does not list it",)
    raw = bytearray(done.path.read_bytes())
    with zipfile.ZipFile(io.BytesIO(raw)) as file:
        info = file.getinfo("index.html")
    raw[info.header_offset + 30 + len("index.html") + 200] ^= 0xFF
    Path("damaged.zip").write_bytes(raw)
    assert any("index.html" in each for each in evidence.verify_pack("damaged.zip").problems)
    for name, data in (("no.zip", b"text"), ("other.zip", None)):
        if data is None:
            written({"a": b"1"}, Path(name))
        else:
            Path(name).write_bytes(data)
        with pytest.raises(QueryError):
            evidence.verify_pack(name)


def test_a_record_that_is_not_as_the_history_has_it_is_named_also_if_the_manifest_fits(store: Path) -> None:
    found = members(evidence.pack("demo@1", "demo.zip", store=store).path)
    records = json.loads(found["records.json"])
    (place,) = [each for each in records if each.startswith("params/") and records[each]["key"] == "lr"]
    records[place]["value"] = "0.2"
    found["records.json"] = json.dumps(records).encode()
    lines = [
        f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in found.items() if name != "MANIFEST.sha256"
    ]
    found["MANIFEST.sha256"] = "".join(lines).encode()
    forged = written(found, Path("forged.zip"))
    assert evidence.verify_pack(forged).problems == (f"records.json: {place} is not as store.db has it",)
    Path("verify_pack.py").write_bytes(found["verify_pack.py"])
    code, out = alone("verify_pack.py", "forged.zip")
    assert (code, place in out) == (1, True)


def test_a_pack_signed_again_by_another_key_does_not_pass_for_the_trusted_one(store: Path) -> None:
    evidence.pack("demo@1", "forged.zip", sign=True, key=evidence.keygen("mine.pem").path, store=store)
    report = evidence.verify_pack("forged.zip", key="team.pem.pub")
    assert not report.ok
    assert any(each.startswith("key.pub: the pack is signed by key") for each in report.problems)
    assert evidence.verify_pack("forged.zip").signed_by is not None
    evidence.pack("demo@1", "plain.zip", store=store)
    assert evidence.verify_pack("plain.zip").ok
    assert not evidence.verify_pack("plain.zip", key="team.pem.pub").ok
    assert not evidence.verify_pack("plain.zip", is_signed=True).ok


@pytest.mark.parametrize("is_signed", [True, False])
def test_no_program_of_the_pack_is_run_that_the_verifier_does_not_know(store: Path, is_signed: bool) -> None:
    given = {"sign": True, "key": "team.pem"} if is_signed else {}
    found = members(evidence.pack("demo@1", "demo.zip", store=store, **given).path)
    Path("verify_pack.py").write_bytes(found["verify_pack.py"])
    found["verify_ledger.py"] = b"open('harm', 'w').close()\ndef verify(db): return [], 1, None\n"
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in found.items() if "MANIFEST" not in name]
    found["MANIFEST.sha256"] = "".join(lines).encode()
    forged = written(found, Path("forged.zip"))
    with zipfile.ZipFile(forged) as file:
        file.extractall("forged")
    trusted = ("--key", "team.pem.pub") if is_signed and shutil.which("openssl") else ()
    for pack in ("forged.zip", "forged"):
        code, out = alone("verify_pack.py", pack, *trusted)
        assert (code, "store.db: not recomputed" in out) == (1 if is_signed else 2, True), out
        assert not list(Path().rglob("harm"))


def test_a_key_that_cannot_be_read_leaves_the_question_open(store: Path) -> None:
    found = members(evidence.pack("demo@1", "demo.zip", sign=True, key="team.pem", store=store).path)
    Path("verify_pack.py").write_bytes(found["verify_pack.py"])
    Path("text.pub").write_text("no key", encoding="ascii")
    for key in ("none.pub", "text.pub", "."):
        code, out = alone("verify_pack.py", "demo.zip", "--key", key)
        assert (code, out.startswith("cannot tell: ")) == (2, True), out


def test_no_secret_and_no_data_come_into_a_pack(store: Path) -> None:
    found = members(evidence.pack("demo@1", "demo.zip", sign=True, key="team.pem", store=store).path)
    for name, data in found.items():
        assert b"sk-a1B2" not in data, name
        assert b"PRIVATE KEY" not in data.replace(b'b"PRIVATE KEY"', b""), name


def test_an_anonymous_pack_names_no_person_no_machine_and_no_path(store: Path, recorded: Path) -> None:
    done = evidence.pack("demo@1", "demo.zip", anonymous=True, sign=True, key="team.pem", store=store)
    found = members(done.path)
    assert "store.db" not in found
    assert ACCOUNT.encode() in members(evidence.pack("demo@1", "named.zip", store=store).path)["store.db"]
    hidden = ["ada lovelace", HOST, ACCOUNT, str(recorded.parent), "/tmp/"]
    hidden += [f"{home}/" for home in [os.path.expanduser("~").rstrip("/")] if home]
    hidden += ["an_n", "an\\_n", "my_rows", "my\\_rows"]
    assert b"x_y.csv" in found["records.json"]
    for name, data in found.items():
        text = data.decode("utf-8", "replace")
        assert [word for word in hidden if word in text and not name.endswith(".py")] == [], name
    report = evidence.verify_pack("demo.zip", key="team.pem.pub")
    assert report.problems == ()
    assert report.records > 20


def test_one_document_can_be_written_alone(store: Path) -> None:
    evidence.pack("demo@1", "README.md", formats="model-card", store=store)
    assert Path("README.md").read_text(encoding="utf-8").startswith("---\n")
    evidence.pack("demo@1", "bom.json", formats="cyclonedx", store=store)
    assert json.loads(Path("bom.json").read_bytes())["specVersion"] == "1.6"
    small = members(evidence.pack("demo@1", "small.zip", formats="in-toto", store=store).path)
    assert "statement.intoto.json" in small
    assert "annex-iv.md" not in small
    with pytest.raises(QueryError, match="ZIP"):
        evidence.pack("demo@1", "pack.txt", store=store)
    with pytest.raises(QueryError, match="a format is"):
        evidence.pack("demo@1", "pack.zip", formats="pdf", store=store)


def test_a_pack_is_not_written_over_a_file_and_only_of_what_there_is(store: Path) -> None:
    Path("demo.zip").write_bytes(b"mine")
    with pytest.raises(StoreError, match="--force"):
        evidence.pack("demo@1", "demo.zip", store=store)
    assert Path("demo.zip").read_bytes() == b"mine"
    assert evidence.pack("demo@1", "demo.zip", store=store, force=True).size_bytes > 1000
    for what in ("demo@7", "none@1", "nothing"):
        with pytest.raises(QueryError):
            evidence.pack(what, "other.zip", store=store)
    assert not Path("other.zip").exists()


def test_a_pack_is_not_written_over_a_file_that_came_meanwhile(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zipped = _pack._zipped

    def late(work: _pack._Work) -> bytes:
        Path("demo.zip").write_bytes(b"mine")
        return zipped(work)

    monkeypatch.setattr(_pack, "_zipped", late)
    with pytest.raises(StoreError, match="--force"):
        evidence.pack("demo@1", "demo.zip", store=store)
    assert Path("demo.zip").read_bytes() == b"mine"
    assert not list(Path().glob(".demo.zip*"))


def test_writing_a_pack_changes_no_byte_of_the_store(store: Path) -> None:
    with History(store) as history:
        before = history.sql("SELECT session_id, seq, digest FROM ledger ORDER BY 1, 2")
        evidence.pack("demo@1", "demo.zip", sign=True, key="team.pem", store=store)
        assert history.sql("SELECT session_id, seq, digest FROM ledger ORDER BY 1, 2") == before


def test_a_signed_pack_can_be_signed_again_by_a_reviewer(store: Path) -> None:
    evidence.pack("demo@1", "demo.zip", sign=True, key="team.pem", store=store)
    signature = evidence.sign("demo.zip", meaning="approved", key="team.pem", store=store)
    assert signature.subject == "pack"
    version = evidence.sign("demo@1", meaning="validated", key="team.pem", store=store)
    assert (version.subject, version.name) == ("version", "demo@1")
    assert verify(store, key="team.pem.pub", is_signed=True).problems == []


def test_the_bill_of_materials_is_valid_by_the_validator_of_cyclonedx(store: Path) -> None:
    json_validation = pytest.importorskip("cyclonedx.validation.json")
    from cyclonedx.schema import SchemaVersion

    for what in ("demo@1", "bare"):
        evidence.pack(what, "bom.json", formats="cyclonedx", store=store, force=True)
        validator = json_validation.JsonStrictValidator(SchemaVersion.V1_6)
        assert validator.validate_str(Path("bom.json").read_text(encoding="utf-8")) is None
    assert validator.validate_str('{"bomFormat": "CycloneDX", "specVersion": "1.6", "odd": 1}') is not None


def test_the_value_of_folds_is_their_mean(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    program = """
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_validate
    import histhooks
    histhooks.autolog()
    X, y = load_iris(return_X_y=True)
    print(cross_validate(LogisticRegression(max_iter=300), X, y, cv=4)["test_score"].mean())
    """
    path = tmp_path / "folds.db"
    code, out, err = run_program(textwrap.dedent(program), path)
    assert code == 0, err
    mean = float(out.split()[-1])
    evidence.pack("last", "README.md", formats="model-card", store=path)
    (value,) = re.findall(r"value: ([\d.]+)", Path("README.md").read_text(encoding="utf-8"))
    assert float(value) == pytest.approx(mean)
    assert "on average over 4 folds" in Path("README.md").read_text(encoding="utf-8")
    evidence.pack("last", "bom.json", formats="cyclonedx", store=path)
    card = json.loads(Path("bom.json").read_bytes())["metadata"]["component"]["modelCard"]
    (score,) = [e for e in card["quantitativeAnalysis"]["performanceMetrics"] if e["type"] == "test_score"]
    assert float(score["value"]) == pytest.approx(mean)


def test_the_crate_opens_with_rocrate_and_names_the_run(store: Path, tmp_path: Path) -> None:
    rocrate = pytest.importorskip("rocrate.rocrate")
    done = evidence.pack("demo@1", "demo.zip", store=store)
    with zipfile.ZipFile(done.path) as file:
        file.extractall(tmp_path / "crate")
    crate = rocrate.ROCrate(tmp_path / "crate")
    (action,) = crate.get_by_type("CreateAction")
    assert action["name"] == "Training: first"
    assert {each.id for each in crate.data_entities} == set(members(done.path)) - {
        "MANIFEST.sha256", "ro-crate-metadata.json",
    }  # fmt: skip


def test_the_statement_has_the_form_of_in_toto_and_slsa(store: Path) -> None:
    evidence.pack("demo@1", "statement.json", formats="in-toto", store=store)
    found = json.loads(Path("statement.json").read_bytes())
    assert found["_type"] == "https://in-toto.io/Statement/v1"
    assert found["predicateType"] == "https://slsa.dev/provenance/v1"
    ((subject,),) = [found["subject"]]
    assert subject["name"] == "model.bin"
    (sha256,) = query(store, "SELECT sha256 FROM model_versions")[0]
    assert subject["digest"] == {"sha256": sha256}
    materials = found["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert any(each["name"].startswith("data: train") and each["digest"] for each in materials)
    assert any(each["name"].startswith("checkpoint:") for each in materials)
    assert any(each.get("uri", "").startswith("pkg:pypi/click@") for each in materials)
    assert found["predicate"]["buildDefinition"]["externalParameters"]["params"]["lr"] == 0.1
    evidence.pack("bare", "bare.json", formats="in-toto", store=store)
    assert len(json.loads(Path("bare.json").read_bytes())["subject"]) == 1  # what has no file is its record


def test_model_signing_accepts_the_bundle_and_refuses_another_byte(store: Path) -> None:
    program = shutil.which("model_signing")
    if program is None:
        pytest.skip("model_signing is not installed (PyPI: model-signing)")
    done = evidence.pack("demo@1", "demo.zip", sign=True, key="team.pem", store=store)
    Path("model.sig").write_bytes(members(done.path)["model.sig"])
    Path("model.bin").write_bytes(b"weights")
    command = [program, "verify", "key", "model.bin", "--signature", "model.sig", "--public_key", "team.pem.pub"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    Path("model.bin").write_bytes(b"weighte")
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_the_card_has_the_metadata_that_the_hub_reads(store: Path) -> None:
    huggingface_hub = pytest.importorskip("huggingface_hub")
    evidence.pack("demo@1", "README.md", formats="model-card", store=store)
    results = huggingface_hub.ModelCard.load("README.md").data.eval_results
    values = {(each.dataset_split, each.metric_name): each.metric_value for each in results}
    assert values["test", "test_acc"] == 0.9
    assert ("validation", "val_acc") in values


def test_the_verb_has_the_exit_codes_of_its_answers(store: Path) -> None:
    def cli(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "histhooks", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = cli("evidence", "--store", store, "demo@1", "-o", "demo.zip", "--sign", "team.pem", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["version"] == "demo@1"
    assert told["key_id"]
    strict = cli("evidence", store, "demo@1", "-o", "strict.zip", "--require", "annex-iv")
    assert strict.returncode == 1
    assert "7 Harmonised standards" in strict.stderr
    assert Path("strict.zip").exists()
    assert cli("evidence", store, "demo@9", "-o", "no.zip").returncode == 2
    assert cli("evidence", store, "demo@1", "-o", "own.zip", "--sign").returncode == 2  # no key was made
    evidence.keygen()
    assert cli("evidence", "--store", store, "-o", "own.zip", "--sign", "demo@1").returncode == 0  # a key is a file
    assert evidence.verify_pack("own.zip", is_signed=True).ok
    assert cli("verify", "--pack", "demo.zip", "--key", "team.pem.pub").returncode == 0
    assert cli("verify", "--pack", "strict.zip", "--signed").returncode == 1
    assert cli("verify", "--pack", "none.zip").returncode == 2
