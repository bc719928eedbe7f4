"""Many at once: processes of every kind, threads, workers of a DataLoader, all on one store."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from histhooks._store.spools import waiting
from histhooks.testing import query, run_program
from histhooks.verify import verify

POINTS = "(SELECT coalesce(sum(m.count), 0) FROM metric_summaries AS m WHERE m.run_id = r.id AND m.name = 'loss')"


def runs(store: Path) -> dict[str, tuple[str, int]]:
    """Status and points of each run."""
    found = query(store, f"SELECT r.name, r.status, {POINTS} FROM runs AS r")
    return {str(name): (str(status), int(str(points))) for name, status, points in found}


def program_of(text: str, folder: Path) -> str:
    """What runs a file: processes that are spawned import it again."""
    script = folder / "crowd.py"
    script.write_text(textwrap.dedent(text))
    return f"import runpy, sys; sys.argv[0] = {str(script)!r}; runpy.run_path({str(script)!r}, run_name='__main__')"


WORKERS = """
import multiprocessing, sys
sys.path.insert(0, {folder!r})
import histhooks
def work(n):
    with histhooks.start_run(f"child {{n}}") as run:
        for step in range(1000):
            run.log({{"loss": float(step)}}, step=step)
"""
ONLY_WORKERS = """
import multiprocessing, sys
sys.path.insert(0, {folder!r})
from work import work
if __name__ == "__main__":
    if {how!r} == "loky":
        from joblib import Parallel, delayed
        Parallel(n_jobs=3, backend="loky")(delayed(work)(n) for n in range(3))
    else:
        context = multiprocessing.get_context({how!r})
        processes = [context.Process(target=work, args=(n,)) for n in range(3)]
        for process in processes: process.start()
        for process in processes: process.join()
"""
CROWD = """
import multiprocessing, sys
sys.path.insert(0, {folder!r})
import histhooks
from work import work
if __name__ == "__main__":
    with histhooks.start_run("parent") as run:
        run.log({{"loss": 1.0}})
        if {how!r} == "loky":
            from joblib import Parallel, delayed
            Parallel(n_jobs=2, backend="loky")(delayed(work)(n) for n in range(4))
        else:
            context = multiprocessing.get_context({how!r})
            processes = [context.Process(target=work, args=(n,)) for n in range(2)]
            for process in processes: process.start()
            for process in processes: process.join()
            with context.Pool(2) as pool:  # which sends its workers SIGTERM at the end
                pool.map(work, [2, 3], chunksize=1)
        run.log({{"loss": 2.0}})
"""


@pytest.mark.parametrize("how", ["fork", "spawn", "forkserver", "loky"])
def test_what_worker_processes_record_is_there_and_the_parents_run_goes_on(
    store_path: Path, tmp_path: Path, how: str
) -> None:
    if how == "loky":
        pytest.importorskip("joblib")
    (tmp_path / "work.py").write_text(WORKERS.format(folder=str(tmp_path)))
    program = program_of(CROWD.format(folder=str(tmp_path), how=how), tmp_path)
    code, _, err = run_program(program, store_path, HISTHOOKS_QUIET="0")
    assert (code, "locked" in err) == (0, False), err
    assert [line.partition(" → ")[0] for line in err.splitlines()] == [
        f"histhooks: recording to {store_path}", "histhooks: 1 run",
    ]  # fmt: skip
    children = {f"child {n}": ("finished", 1000) for n in range(4)}
    assert runs(store_path) == {"parent": ("finished", 2), **children}
    assert waiting(store_path) == []
    assert verify(store_path).problems == []


@pytest.mark.parametrize("how", ["fork", "spawn", "loky"])
def test_where_only_workers_record_one_of_them_tells_where(store_path: Path, tmp_path: Path, how: str) -> None:
    if how == "loky":
        pytest.importorskip("joblib")
    together = f"""
        import pathlib, time
        pathlib.Path({str(tmp_path)!r}, f"here-{{n}}").touch()
        while len(list(pathlib.Path({str(tmp_path)!r}).glob("here-*"))) < 3:
            time.sleep(0.01)
"""
    (tmp_path / "work.py").write_text(WORKERS.format(folder=str(tmp_path)) + together)
    program = program_of(ONLY_WORKERS.format(folder=str(tmp_path), how=how), tmp_path)
    code, _, err = run_program(program, store_path, HISTHOOKS_QUIET="0")
    assert code == 0, err
    assert err.count("recording to") == err.count(" · head ") == 1, err
    assert runs(store_path) == {f"child {n}": ("finished", 1000) for n in range(3)}


def test_what_a_program_that_records_starts_says_nothing_and_histhooks_run_does(
    store_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "inner.py").write_text(
        "import histhooks\nwith histhooks.start_run('inner') as run: run.log({'loss': 1.0})\n"
    )
    (tmp_path / "outer.py").write_text(
        "import histhooks, subprocess, sys\n"
        "with histhooks.start_run('outer') as run:\n"
        "    subprocess.run([sys.executable, 'inner.py'], check=True)\n"
        "    subprocess.run([sys.executable, '-m', 'histhooks', 'run', 'inner.py'], check=True)\n"
    )
    code, _, err = run_program(
        "import subprocess, sys; subprocess.run([sys.executable, '-m', 'histhooks', 'run', 'outer.py'], check=True)",
        store_path,
        HISTHOOKS_QUIET="0",
    )
    assert code == 0, err
    assert err.count("recording to") == err.count(" · head ") == 2, err
    assert sorted(runs(store_path)) == ["inner", "outer"]
    assert query(store_path, "SELECT count(*) FROM runs") == [(3,)]


def test_workers_of_a_data_loader_leave_a_live_run_alone(store_path: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    program = """
        import torch, histhooks
        if __name__ == "__main__":
            histhooks.autolog("torch")
            torch.manual_seed(0)
            data = torch.utils.data.TensorDataset(torch.randn(64, 4), torch.randn(64, 1))
            model = torch.nn.Linear(4, 1)
            optimizer = torch.optim.SGD(model.parameters(), 0.01)
            with histhooks.start_run("around"):
                for epoch in range(2):
                    for x, y in torch.utils.data.DataLoader(data, 16, num_workers=2):
                        optimizer.zero_grad()
                        torch.nn.functional.mse_loss(model(x), y).backward()
                        optimizer.step()
    """
    code, _, err = run_program(program_of(program, tmp_path), store_path)
    assert code == 0, err
    found = query(store_path, f"SELECT r.kind, r.status, {POINTS} FROM runs AS r ORDER BY r.kind")
    assert found == [("block", "finished", 8)]
    assert query(store_path, "SELECT count(*) FROM sessions") == [(1,)]
    assert verify(store_path).problems == []


def test_sixteen_threads_that_fit_leave_sixteen_runs(store_path: Path) -> None:
    pytest.importorskip("sklearn")
    program = """
import threading
import histhooks
histhooks.autolog("sklearn")
from sklearn.linear_model import SGDClassifier
X, y = [[0.0, 1.0], [1.0, 0.0]] * 20, [0, 1] * 20
start = threading.Barrier(16)
models = [SGDClassifier(alpha=(n + 1) / 1000, random_state=n) for n in range(16)]
def work(model):
    start.wait()
    for _ in range(3):
        model.fit(X, y)
threads = [threading.Thread(target=work, args=(model,)) for model in models]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    code, _, err = run_program(program, store_path)
    assert code == 0, err
    assert query(store_path, "SELECT status, parent_id, count(*) FROM runs") == [("finished", None, 48)]
    found = query(store_path, "SELECT value, count(*) FROM latest_params WHERE key = 'alpha' GROUP BY value")
    assert sorted((float(str(value)), count) for value, count in found) == [((n + 1) / 1000, 3) for n in range(16)]
    assert verify(store_path).problems == []


def test_a_fork_while_the_first_line_is_said_leaves_no_complaint(store_path: Path) -> None:
    program = """
import os, time
import histhooks
os.register_at_fork(before=lambda: time.sleep(1.0))  # our thread speaks meanwhile
run = histhooks.start_run("mine")
child = os.fork()
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
run.end()
"""
    code, _, err = run_program(program, store_path, HISTHOOKS_QUIET="0")
    assert code == 0, err
    assert [line.partition(" ")[0] for line in err.splitlines()] == ["histhooks:", "histhooks:"]


def test_forks_go_on_while_somebody_else_locks_the_store(store_path: Path) -> None:
    """Who starts the workers of a DataLoader must not wait for who reads and writes the store."""
    program = """
import os, sqlite3, time
import histhooks
def fork():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
run = histhooks.start_run("mine")
run.log({"loss": 0.0})
assert histhooks.flush()
begin = time.monotonic()
for _ in range(30): fork()
patience_s = max(10.0, 10 * (time.monotonic() - begin))
other = sqlite3.connect(os.environ["HISTHOOKS_STORE"], isolation_level=None)
other.execute("BEGIN IMMEDIATE")
run.log({"loss": 1.0})
assert not histhooks.flush(1.5)
begin, forks = time.monotonic(), 0
while time.monotonic() - begin < patience_s and forks < 30:
    fork()
    forks += 1
print(forks)
other.execute("COMMIT")
other.close()
run.end()
"""
    code, out, err = run_program(program, store_path)
    assert (code, out.strip()) == (0, "30"), err
    assert query(store_path, "SELECT value FROM metrics WHERE name = 'loss'") == [(0.0,), (1.0,)]
    assert waiting(store_path) == []
    assert verify(store_path).problems == []
