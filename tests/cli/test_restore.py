"""`histhooks restore`: the bytes of a recorded file, from its kept copy."""

import hashlib
import json
from pathlib import Path

import pytest

from helpers import verbs
from histhooks import History, QueryError, StoreError
from histhooks.export import export
from histhooks.testing import run_program
from histhooks.verify import verify

PROGRAM = """
import histhooks, pathlib
for number in range(2):
    with histhooks.start_run(f"run {number}") as run:
        pathlib.Path("out/deep").mkdir(parents=True, exist_ok=True)
        for name in ("model.pt", "last.ckpt"): pathlib.Path(name).write_bytes(f"{name} {number}".encode())
        pathlib.Path("out/deep/part.bin").write_bytes(b"part")
        run.log_artifact("last.ckpt", role="checkpoint", keep=True)
        run.log_artifact("model.pt", role="model", keep=True)
        run.log_artifact("out", keep=True)
        run.log_artifact("plain.txt") if pathlib.Path("plain.txt").write_text("plain") else None
        histhooks.flush()
"""


@pytest.fixture
def folder(store_path: Path) -> Path:
    code, _, err = run_program(PROGRAM, store_path)
    assert code == 0, err
    for name in ("model.pt", "last.ckpt"):
        (store_path.parent / name).unlink()
    return store_path.parent


def ask(folder: Path, *words: str, verb: str = "restore") -> tuple[int, bytes, str]:
    return verbs.ask_bytes(verb, *words, folder=folder, HISTHOOKS_STORE=str(folder / "histhooks.db"))


def copies(folder: Path) -> dict[bytes, Path]:
    return {path.read_bytes(): path for path in (folder / "histhooks.db.files").rglob("*") if path.is_file()}


def test_the_model_of_a_run_is_written_again(folder: Path) -> None:
    code, out, _ = ask(folder, "run 0", "-o", "again.pt")
    assert (code, (folder / "again.pt").read_bytes()) == (0, b"model.pt 0")
    assert b"again.pt" in out
    code, _, err = ask(folder, "run 1", "-o", "again.pt")
    assert (code, "is there already" in err, "--force" in err) == (2, True, True)
    assert ask(folder, "run 1", "-o", "again.pt", "--force")[0] == 0
    assert (folder / "again.pt").read_bytes() == b"model.pt 1"
    assert ask(folder, "run 0", "last.ckpt", "-o", "-")[1] == b"last.ckpt 0"
    assert ask(folder, "run 0", "part.bin", "-o", "-")[1] == b"part"
    sha256 = hashlib.sha256(b"model.pt 0").hexdigest()
    code, out, _ = ask(folder, sha256[:12], "-o", "third.pt", "--json")
    told = json.loads(out)
    assert (code, told["path"], told["sha256"], told["kept"]) == (0, "third.pt", sha256, True)
    assert [name.name for name in folder.glob(".*")] == []


def test_a_folder_is_written_again(folder: Path) -> None:
    code, _, err = ask(folder, "run 0", "out", "-o", "new/place")
    assert code == 0, err
    assert (folder / "new" / "place" / "deep" / "part.bin").read_bytes() == b"part"
    assert ask(folder, "run 0", "out", "-o", "new/place")[0] == 0  # into it, under its own name
    assert (folder / "new" / "place" / "out" / "deep" / "part.bin").exists()
    code, _, err = ask(folder, "run 0", "out", "-o", "-")
    assert (code, "is a folder" in err) == (2, True)


def test_without_a_target_it_lists_what_there_is(folder: Path) -> None:
    copies(folder)[b"last.ckpt 0"].unlink()
    code, out, err = ask(folder, "run 0")
    lines = out.decode().splitlines()
    assert (code, len(lines), "-o PATH" in err) == (0, 5, True)
    assert ["copy gone" in line for line in lines] == [False, True, False, False, False]
    assert "not kept" in lines[4]
    assert "out/ (1 file)" in lines[3]
    files = json.loads(ask(folder, "run 0", "--json")[1])["files"]
    assert [(file["kept"], file["lost"]) for file in files] == [(False, True), *[(True, False)] * 2, (False, False)]


def test_bytes_that_are_gone_or_others_are_never_given(folder: Path) -> None:
    found = copies(folder)
    found[b"last.ckpt 0"].unlink()
    found[b"model.pt 0"].write_bytes(b"model.pt X")
    code, _, err = ask(folder, "run 0", "-o", "again.pt")
    assert (code, "is not what was recorded" in err, (folder / "again.pt").exists()) == (1, True, False)
    code, _, err = ask(folder, "run 0", "last.ckpt", "-o", "again.pt")
    assert (code, "the kept copy is gone, and it is no longer where it was" in err) == (1, True)
    with History(folder / "histhooks.db") as history:
        artifacts = history.run("run 0").artifacts
        for read in (artifacts["model.pt"].open, artifacts["model.pt"].read_bytes, lambda: artifacts["model.pt"].path):
            with pytest.raises(StoreError, match="is not what was recorded"):
                read()
        assert artifacts["plain.txt"].read_bytes() == b"plain"  # from where it was
        (folder / "plain.txt").write_text("other")
        with pytest.raises(StoreError, match="is not what was recorded"):
            artifacts["plain.txt"].read_bytes()


def test_a_name_that_is_not_known_is_refused_with_those_that_are(folder: Path) -> None:
    for words in (("run 0", "nosuch.pt", "-o", "x"), ("nosuch", "-o", "x"), (), ("run 0", "model.pt")):
        code, _, err = ask(folder, *words)
        assert code == 2, words
        assert err
    with History(folder / "histhooks.db") as history:
        with pytest.raises(QueryError, match=r"no file 'nosuch.pt'; it has last.ckpt, model.pt, out, plain.txt"):
            history.run("last").artifacts["nosuch.pt"]
        assert history.run("last").artifacts.find()["path"].endswith("model.pt")


def test_verify_names_missing_and_altered_copies_apart_from_the_history(folder: Path) -> None:
    found = copies(folder)
    assert verify(folder / "histhooks.db").kept_files == 5
    found[b"last.ckpt 0"].unlink()
    found[b"part"].unlink()
    found[b"model.pt 0"].write_bytes(b"model.pt X")
    code, out, _ = ask(folder, verb="verify")
    text = out.decode()
    assert (code, "ALTERED" in text, "of the kept files, 3 do not match" in text) == (1, False, True)
    assert text.count("missing: the kept copy") == 2
    assert "model.pt of run" in text
    assert "is not what was kept" in text
    report = verify(folder / "histhooks.db")
    assert (report.ok, len(report.file_problems)) == (False, 3)
    assert verify(folder / "histhooks.db", kept_files=False).ok
    assert ask(folder, "--no-files", verb="verify")[0] == 0


def test_an_export_takes_the_copies_along_where_that_is_asked_for(folder: Path) -> None:
    done = export("run 0", to=folder / "one.db", store=folder / "histhooks.db")
    report = verify(folder / "one.db")
    assert (done.kept_files, report.ok, report.kept_elsewhere) == (0, True, 3)
    done = export("run 0", to=folder / "two.db", store=folder / "histhooks.db", files=True)
    report = verify(folder / "two.db")
    assert (done.kept_files, report.ok, report.kept_files, report.kept_elsewhere) == (3, True, 3, 0)
    with History(folder / "two.db") as history:
        assert history.run("run 0").artifacts["part.bin"].read_bytes() == b"part"
    with pytest.raises(QueryError, match="kept files go with a store"):
        export("run 0", to=folder / "two.json", store=folder / "histhooks.db", files=True)
    code, _, err = ask(folder, "run 0", "--files", verb="export")
    assert (code, "-o FILE.db" in err) == (2, True)


def test_show_and_the_report_say_what_is_kept(folder: Path) -> None:
    copies(folder)[b"last.ckpt 0"].unlink()
    out = ask(folder, "run 0", verb="show")[1].decode()
    assert "checkpoint: last.ckpt, 11 B" in out
    assert "its kept copy is gone" in out
    assert "out/ (1 file), 4 B" in out
    assert ask(folder, "run 0", "-o", "report.md", verb="report")[0] == 0
    assert "| gone |" in (folder / "report.md").read_text()
