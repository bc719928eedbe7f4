"""What a run records of files and folders, and which copies it keeps."""

import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from histhooks import History
from histhooks.errors import StoreError
from histhooks.testing import query, run_program
from histhooks.verify import verify

LARGE = 9 << 20  # what is above 8 MiB is read beside the program


def record(store: Path, program: str, **variables: str) -> str:
    """Run a program that records to a store; what it said on stderr."""
    head = "import histhooks, os, pathlib\nhisthooks.autolog()\n"
    code, _, err = run_program(head + program, store, **variables)
    assert code == 0, err
    return err


def kept_names(store: Path) -> set[str]:
    folder = store.with_name(f"{store.name}.files")
    return {path.name for path in folder.rglob("*") if path.is_file()}


def notes(store: Path, collector: str) -> list[tuple[object, ...]]:
    return query(store, f"SELECT status, note FROM captures WHERE collector = '{collector}'")


def manifest_id(folder: Path) -> str:
    """As docs/guide/artifacts.md says it, with the standard library."""
    files = [
        [path.relative_to(folder).as_posix(), path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()]
        for path in folder.rglob("*")
        if path.is_file()
    ]
    text = json.dumps(["histhooks-folder-1", sorted(files)], separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


# --- folders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1000, LARGE])
def test_a_folder_is_known_by_a_manifest_that_anyone_can_compute(store_path: Path, size: int) -> None:
    folder = store_path.parent / "model"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "größe.bin").write_bytes(os.urandom(size))
    (folder / "empty").mkdir()
    record(store_path, "with histhooks.start_run('a') as run: run.log_artifact('model', role='model')")
    with History(store_path) as history:
        (found,) = history.run("a").artifacts
        assert (found["sha256"], found["format"], found["role"]) == (manifest_id(folder), "folder", "model")
        assert found["size_bytes"] == size + 5
        assert [Path(file["path"]).name for file in found.files] == ["saved_model.pb", "größe.bin"]
        assert found.is_folder
        assert not found["kept"]
    assert verify(store_path).ok


def test_what_is_no_file_in_a_folder_is_left_out_and_named(store_path: Path) -> None:
    folder = store_path.parent / "model"
    (folder / "inside").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"weights")
    (folder / "latest.bin").symlink_to("weights.bin")
    (folder / "gone.bin").symlink_to("nowhere")
    (folder / "round").symlink_to(folder, target_is_directory=True)
    os.mkfifo(folder / "pipe")
    record(store_path, "with histhooks.start_run('a') as run: run.log_artifact('model')")
    with History(store_path) as history:
        (found,) = history.run("a").artifacts
        assert [Path(file["path"]).name for file in found.files] == ["latest.bin", "weights.bin"]
    ((status, note),) = notes(store_path, "artifacts")
    assert status == "truncated"
    for words in ("gone.bin: its link leads nowhere", "round: it is a link to a folder", "pipe: it is no file"):
        assert words in str(note)


def test_the_store_itself_is_no_part_of_a_folder_that_it_lies_in(store_path: Path) -> None:
    (store_path.parent / "model.bin").write_bytes(b"weights")
    record(store_path, "with histhooks.start_run('a') as run: run.log_artifact('model.bin'); run.log_artifact('.')")
    with History(store_path) as history:
        names = [Path(file["path"]).name for file in history.run("a").artifacts[-1].files]
    assert "model.bin" in names
    assert not [name for name in names if name.startswith("histhooks.db")]


def test_a_file_of_a_folder_that_is_written_meanwhile_has_no_hash_and_is_named(store_path: Path) -> None:
    record(store_path, f"""
folder = pathlib.Path("model"); folder.mkdir()
for name in ("a.bin", "b.bin"): (folder / name).write_bytes(bytes({LARGE}))
from histhooks._host import folder_files
look = folder_files.look
def and_write(*args):
    found = look(*args)
    (folder / "b.bin").write_bytes(b"other")
    return found
folder_files.look = and_write
with histhooks.start_run("a") as run: run.log_artifact("model", keep=True)
""")  # fmt: skip
    with History(store_path) as history:
        found = history.run("a").artifacts["model"]
        assert [file["sha256"] is None for file in found.files] == [False, True]
        with pytest.raises(StoreError, match="was written, while its folder was recorded"):
            found.files[1].read_bytes()
    ((_, note),) = notes(store_path, "artifacts")
    assert "b.bin: it could not be read, or was written meanwhile" in str(note)
    assert query(store_path, "SELECT count(*) FROM events WHERE kind = 'kept'") == [(0,)]


def test_a_folder_of_too_many_files_is_refused_by_a_note(store_path: Path) -> None:
    record(store_path, """
from histhooks._host import folder_files
look = folder_files.look
folder_files.look = lambda folder, without, most=300: look(folder, without, min(most, 300))
folder = pathlib.Path("many"); folder.mkdir()
for number in range(301): (folder / str(number)).write_bytes(b"")
with histhooks.start_run("a") as run: run.log_artifact("many")
""")  # fmt: skip
    assert query(store_path, "SELECT count(*) FROM run_artifacts") == [(0,)]
    ((status, note),) = notes(store_path, "artifacts")
    assert (status, "holds more than 300 files" in str(note)) == ("skipped", True)


# --- copies -----------------------------------------------------------------------------------------------------------


def test_by_default_only_hashes_are_recorded(store_path: Path) -> None:
    record(store_path, """
pathlib.Path("model.bin").write_bytes(b"weights")
with histhooks.start_run("a") as run: run.log_artifact("model.bin", role="model")
""")  # fmt: skip
    assert kept_names(store_path) == set()
    assert not store_path.with_name("histhooks.db.files").exists()


@pytest.mark.parametrize("size", [1000, LARGE])
def test_a_file_is_kept_as_it_was_at_the_call(store_path: Path, size: int) -> None:
    record(store_path, f"""
for number in range(2):
    with histhooks.start_run(f"run {{number}}") as run:
        pathlib.Path("model.bin").write_bytes(bytes({size}))
        run.log_artifact("model.bin", role="model", keep=True)
        os.remove("model.bin")
        pathlib.Path("model.bin").write_bytes(b"another")
""")  # fmt: skip
    content = bytes(size)
    sha256 = hashlib.sha256(content).hexdigest()
    assert kept_names(store_path) == {sha256}
    with History(store_path) as history:
        for name in ("run 0", "run 1"):
            found = history.run(name).artifacts["model.bin"]
            assert found["kept"]
            assert found.read_bytes() == content
            assert found.path == store_path.with_name("histhooks.db.files") / sha256[:2] / sha256
    report = verify(store_path)
    assert (report.ok, report.kept_files, report.kept_bytes) == (True, 1, size)


@pytest.mark.parametrize("size", [1000, LARGE])
def test_a_folder_is_kept_with_all_its_files_and_saved_as_it_was(store_path: Path, size: int) -> None:
    record(store_path, f"""
import tempfile
with histhooks.start_run("a") as run:
    folder = pathlib.Path("model/deep"); folder.mkdir(parents=True)
    (folder / "a.bin").write_bytes(bytes({size})); (folder.parent / "b.txt").write_text("b")
    run.log_artifact("model", role="model", keep=True)
    histhooks.flush()
    (folder / "a.bin").unlink(); (folder.parent / "b.txt").unlink()
""")  # fmt: skip
    with History(store_path) as history:
        found = history.run("a").artifacts[0]
        assert found["kept"]
        saved = found.save(store_path.parent / "again")
        assert manifest_id(saved) == found["sha256"]
        assert history.run("a").artifacts["deep/a.bin"].read_bytes() == bytes(size)
    assert verify(store_path).kept_files == 2


def test_a_large_folder_may_be_removed_after_the_call(store_path: Path) -> None:
    record(store_path, f"""
import tempfile
with histhooks.start_run("a") as run, tempfile.TemporaryDirectory() as place:
    folder = pathlib.Path(place, "model"); folder.mkdir()
    for name in ("a.bin", "b.bin"): (folder / name).write_bytes(name.encode() * {LARGE // 4})
    run.log_artifact(folder, role="model", keep=True)
""")  # fmt: skip
    with History(store_path) as history:
        found = history.run("a").artifacts["model"]
        assert found["kept"]
        assert found.files[1].read_bytes() == b"b.bin" * (LARGE // 4)
    assert verify(store_path).ok


def test_a_folder_of_many_files_that_is_removed_before_it_is_read_is_named(store_path: Path) -> None:
    err = record(store_path, f"""
import shutil, threading
from histhooks._record.file_work import work
busy = threading.Event()
work.add(lambda: busy.wait(30))
with histhooks.start_run("a") as run:
    folder = pathlib.Path("model"); folder.mkdir()
    for number in range(40): (folder / str(number)).write_bytes(bytes({LARGE // 40}))
    run.log_artifact(folder, role="model")
    shutil.rmtree(folder)
    pathlib.Path("later.bin").write_bytes(b"later")
    run.log_artifact("later.bin", keep=True)
    busy.set()
""")  # fmt: skip
    assert "model is not recorded: it cannot be read (No such file or directory)" in err
    ((status, note),) = notes(store_path, "artifacts")
    assert (status, "model is not recorded" in str(note)) == ("failed", True)
    with History(store_path) as history:
        assert history.run("a").artifacts["later.bin"]["kept"]


def test_a_copy_has_the_permissions_of_the_store(store_path: Path) -> None:
    record(store_path, "with histhooks.start_run('a') as run: pass")
    store_path.chmod(0o660)
    record(store_path, """
pathlib.Path("model.bin").write_bytes(b"weights")
with histhooks.start_run("b") as run: run.log_artifact("model.bin", keep=True)
""")  # fmt: skip
    (path,) = (path for path in store_path.with_name("histhooks.db.files").rglob("*") if path.is_file())
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o770


def test_what_is_beyond_the_bound_is_not_kept_and_said(store_path: Path) -> None:
    err = record(store_path, """
pathlib.Path("small.bin").write_bytes(bytes(1000)); pathlib.Path("large.bin").write_bytes(bytes(2_000_000))
with histhooks.start_run("a") as run:
    run.log_artifact("large.bin", keep=True); run.log_artifact("small.bin", keep=True)
""", HISTHOOKS_KEEP_MB="1")  # fmt: skip
    assert "large.bin is not kept: 1 MB of a session are kept, and no more (HISTHOOKS_KEEP_MB)" in err
    assert kept_names(store_path) == {hashlib.sha256(bytes(1000)).hexdigest()}
    ((status, note),) = notes(store_path, "kept_files")
    assert (status, "large.bin is not kept" in str(note)) == ("failed", True)
    with History(store_path) as history:
        assert [file["kept"] for file in history.run("a").artifacts] == [False, True]
    assert verify(store_path).ok


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=12m,mode=755", "none", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("nothing can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_on_a_full_disk_copies_go_elsewhere_and_come_home_later(small_disk: Path) -> None:
    store = small_disk / "histhooks.db"
    program = f"""
with histhooks.start_run("a") as run:
    pathlib.Path("model.bin").write_bytes(bytes({LARGE}))
    run.log_artifact("model.bin", keep=True)
    histhooks.flush()
    os.remove("model.bin")
"""
    record(store, program)
    assert kept_names(store) == set()
    with History(store) as history:  # found where it waits
        found = history.run("a").artifacts["model.bin"]
        assert found["kept"]
        assert found.read_bytes() == bytes(LARGE)
    assert verify(store).ok
    done = subprocess.run([sys.executable, "-m", "histhooks", "sync", str(store)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert kept_names(store) == {hashlib.sha256(bytes(LARGE)).hexdigest()}
    assert verify(store).kept_files == 1


def test_where_no_disk_has_room_training_goes_on_without_the_copy(small_disk: Path) -> None:
    store = small_disk / "histhooks.db"
    err = record(store, f"""
with histhooks.start_run("a") as run:
    pathlib.Path("model.bin").write_bytes(bytes({LARGE}))
    run.log_artifact("model.bin", keep=True)
    run.log({{"loss": 1.0}})
    histhooks.flush()
    os.remove("model.bin")
""", XDG_STATE_HOME=str(small_disk / "state"))  # fmt: skip
    assert "model.bin is not kept: the disk of" in err
    with History(store) as history:
        run = history.run("a")
        assert (run.status, len(run.metrics("loss"))) == ("finished", 1)
        assert run.artifacts[0]["sha256"] == hashlib.sha256(bytes(LARGE)).hexdigest()
        with pytest.raises(StoreError, match="no copy was kept, and it is no longer where it was"):
            run.artifacts[0].read_bytes()
    assert list(small_disk.rglob("*.parts/*")) == []


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other accounts can enter, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        if shutil.which("setpriv") is None or os.geteuid() != 0:
            pytest.skip("no other account can be taken here")
        if any(not folder.stat().st_mode & stat.S_IXOTH for folder in Path(place).parents):
            pytest.skip(f"another account cannot enter {place}")
        yield Path(place)


def test_beside_a_store_in_a_folder_that_cannot_be_written_copies_go_to_the_users_own(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_folder / "histhooks.db"
    record(store, "with histhooks.start_run('first') as run: pass")
    home = open_folder / "own"
    home.mkdir()
    for path in (store, home):
        os.chown(path, 1234, 1234)
    (home / "model.bin").write_bytes(b"weights")
    program = (
        "import histhooks\nwith histhooks.start_run('a') as run: run.log_artifact('own/model.bin', keep=True)\n"
        "print(histhooks.flush())"
    )
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    environment = {**os.environ, "HISTHOOKS_STORE": str(store), "HOME": str(home), "XDG_DATA_HOME": str(home)}
    command = ["setpriv", "--reuid=1234", "--regid=1234", "--clear-groups", sys.executable, "-c", program]
    if subprocess.run([*command[:-1], "import histhooks"], capture_output=True, check=False).returncode != 0:
        pytest.skip("another account cannot run this Python")
    done = subprocess.run(
        command, env=environment, cwd=open_folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert not store.with_name("histhooks.db.files").exists()
    with History(store) as history:
        assert history.run("a").artifacts[0].read_bytes() == b"weights"


def test_a_killed_process_leaves_no_half_file_and_what_it_leaves_is_swept(store_path: Path) -> None:
    program = f"""
import histhooks, pathlib, sys, time
from histhooks._store import kept_files
write = kept_files.Part.write
def slowly(part, data):
    write(part, data)
    part._file.flush()
    print("half", flush=True)
    time.sleep(60)
kept_files.Part.write = slowly
with histhooks.start_run("a") as run:
    pathlib.Path("model.bin").write_bytes(bytes({LARGE}))
    run.log_artifact("model.bin", keep=True)
    time.sleep(60)
"""
    environment = {**os.environ, "HISTHOOKS_STORE": str(store_path)}
    process = subprocess.Popen(
        [sys.executable, "-c", program], env=environment, cwd=store_path.parent, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    parts = store_path.with_name("histhooks.db.files") / ".parts"
    later = (
        "pathlib.Path('m').write_bytes(b'1')\nwith histhooks.start_run('b') as run: run.log_artifact('m', keep=True)"
    )
    (part,) = parts.iterdir()
    os.utime(part, (0, 0))
    record(store_path, later)
    assert list(parts.iterdir()) == [part]  # it is being written
    process.send_signal(signal.SIGKILL)
    process.communicate()
    os.utime(part, (0, 0))
    record(store_path, later.replace("b'1'", "b'2'"))
    assert list(parts.iterdir()) == []
    assert kept_names(store_path) == {hashlib.sha256(text).hexdigest() for text in (b"1", b"2")}
    report = verify(store_path)
    assert report.problems == []


def test_processes_that_keep_the_same_files_at_once_leave_each_once(store_path: Path) -> None:
    program = f"""
import histhooks, os, pathlib
for number in range(20):
    name = f"{{os.getpid()}}-{{number}}.bin"
    pathlib.Path(name).write_bytes(bytes([number]) * (number % 2 * {LARGE} + 1000))
    with histhooks.start_run(name) as run: run.log_artifact(name, keep=True)
    histhooks.flush()
    os.remove(name)
"""
    environment = {**os.environ, "HISTHOOKS_STORE": str(store_path)}
    processes = [
        subprocess.Popen([sys.executable, "-c", program], env=environment, cwd=store_path.parent) for _ in range(3)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    assert len(kept_names(store_path)) == 20
    report = verify(store_path)
    assert (report.problems, report.kept_files) == ([], 20)
    with History(store_path) as history:
        assert all(run.artifacts[0]["kept"] for run in history.runs(limit=None))


def test_a_forked_child_keeps_nothing_of_its_parents_work(store_path: Path) -> None:
    record(store_path, """
import threading
from histhooks._record.file_work import work
busy = threading.Event()
with histhooks.start_run("a") as run:
    pathlib.Path("model.bin").write_bytes(b"weights")
    work.add(lambda: busy.wait(30))
    run.log_artifact("model.bin", keep=True)
    child = os.fork()
    if not child:
        with histhooks.start_run("child") as own: own.log_artifact("model.bin", keep=True)
        histhooks.flush()
        os._exit(len(work))
    assert os.waitpid(child, 0)[1] == 0
    busy.set()
""")  # fmt: skip
    with History(store_path) as history:
        assert [history.run(name).artifacts[0]["kept"] for name in ("a", "child")] == [True, True]


def test_the_copy_is_made_beside_the_program(store_path: Path) -> None:
    record(store_path, f"""
import threading
from histhooks._store import kept_files
write, threads = kept_files.Part.write, set()
def noted(part, data):
    threads.add(threading.current_thread())
    write(part, data)
kept_files.Part.write = noted
with histhooks.start_run("a") as run:
    for size in (1000, {LARGE}):
        pathlib.Path("model.bin").write_bytes(bytes(size))
        run.log_artifact("model.bin", keep=True)
    histhooks.flush()
assert threads and threading.main_thread() not in threads, threads
""")  # fmt: skip


# --- models -----------------------------------------------------------------------------------------------------------

SAVES = """
pathlib.Path("model.bin").write_bytes(b"weights"); pathlib.Path("plot.png").write_bytes(b"png")
pathlib.Path("start.bin").write_bytes(b"start"); pathlib.Path("no.bin").write_bytes(b"no")
with histhooks.start_run("a") as run:
    run.log_artifact("model.bin", role="model"); run.log_artifact("plot.png")
    run.log_artifact("start.bin", role="checkpoint", direction="in")
    run.log_artifact("no.bin", role="model", keep=False)
"""
WEIGHTS = {hashlib.sha256(b"weights").hexdigest()}


def test_models_that_runs_write_are_kept_where_the_program_asks_for_it(store_path: Path) -> None:
    record(store_path, f"histhooks.autolog(keep_models=True){SAVES}")
    assert kept_names(store_path) == WEIGHTS


@pytest.mark.parametrize(("value", "expected"), [("1", WEIGHTS), ("off", set())])
def test_models_are_kept_where_the_environment_asks_for_it(store_path: Path, value: str, expected: set[str]) -> None:
    record(store_path, SAVES, HISTHOOKS_KEEP_MODELS=value)
    assert kept_names(store_path) == expected


def test_models_are_kept_where_pyproject_asks_for_it_unless_the_program_does_not(store_path: Path) -> None:
    (store_path.parent / "pyproject.toml").write_text("[tool.histhooks]\nkeep_models = true\n")
    record(store_path, SAVES)
    assert kept_names(store_path) == WEIGHTS
    shutil.rmtree(store_path.with_name("histhooks.db.files"))
    record(store_path, f"histhooks.autolog(keep_models=False){SAVES}")
    assert kept_names(store_path) == set()


def test_what_is_asked_of_a_file_that_is_not_there_is_refused_with_a_warning(store_path: Path) -> None:
    err = record(store_path, "with histhooks.start_run('a') as run: run.log_artifact('nosuch', keep=True)",
                 HISTHOOKS_STRICT="")  # fmt: skip
    assert "no file or folder 'nosuch' to record" in err
