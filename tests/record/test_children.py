"""How a child ended is in the record where anybody saw it: its parent, a parent without a session, `histhooks run`."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from histhooks.testing import query, run_program
from histhooks.verify import verify

ENDS = (
    "SELECT r.name, r.status, s.status, s.exit_code, s.signal FROM runs AS r JOIN sessions AS s ON s.id = r.session_id "
    "WHERE r.name LIKE 'child%' ORDER BY r.name"
)
CHILDREN = """
import multiprocessing, os, signal, subprocess, sys
import histhooks
histhooks.autolog()
CODE = '''
import os, signal, sys
import histhooks
def leave(name, how):
    run = histhooks.start_run(f"child {name} {how}")
    run.log({"loss": 0.0})
    if how == "ends": run.end(); return
    if how == "exit": run.end(); sys.exit(3)
    histhooks.flush()
    if how == "killed": os.kill(os.getpid(), signal.SIGKILL)
    os._exit(4)
'''
exec(CODE)
HOWS = ("ends", "exit", "killed", "leaves")
def main(is_short):
    for how in HOWS:
        pid = os.fork()
        if pid == 0:
            code = 0
            try: leave("os", how)
            except SystemExit as error: code = error.code
            histhooks.flush()
            os._exit(code)  # its session ends without a word
        os.waitpid(pid, 0)
        subprocess.run([sys.executable, "-c", f"{CODE}\\nleave('started', {how!r})"])
    for method in ("fork",) if is_short else ("fork", "spawn", "forkserver"):
        processes = [multiprocessing.get_context(method).Process(target=leave, args=(method, how)) for how in HOWS]
        for process in processes: process.start()
        for process in processes: process.join()
"""
EXPECTED = {
    "ends": ("finished", "finished", 0, None),
    "exit": ("finished", "failed", 3, None),
    "killed": ("killed", "killed", None, "SIGKILL"),
    "leaves": ("failed", "failed", 4, None),
}


def expected(*names: str) -> list[tuple[object, ...]]:
    found = [(f"child {name} {how}", *ends) for name in names for how, ends in EXPECTED.items()]
    # A block that was ended says how, also where its process left in another way.
    return sorted(found)


@pytest.mark.parametrize("parent", ["records", "has no session"])
def test_the_end_of_a_child_is_known_where_its_parent_saw_it(store_path: Path, tmp_path: Path, parent: str) -> None:
    begin = "run = histhooks.start_run('parent'); run.end()" if parent == "records" else ""
    program = f"{CHILDREN}\nif __name__ == '__main__':\n    {begin or 'pass'}\n    main(False)"
    (tmp_path / "parent.py").write_text(program)
    environment = {**os.environ, "HISTHOOKS_STORE": str(store_path)}
    subprocess.run([sys.executable, str(tmp_path / "parent.py")], env=environment, check=True, timeout=120)
    assert query(store_path, ENDS) == expected("os", "started", "fork", "spawn", "forkserver")
    assert verify(store_path).problems == []


def test_under_a_supervisor_the_end_of_a_grandchild_is_known_where_a_python_between_saw_it(
    store_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "parent.py").write_text(f"{CHILDREN}\nif __name__ == '__main__': main(True)")
    environment = {**os.environ, "HISTHOOKS_STORE": str(store_path)}
    command = [sys.executable, "-m", "histhooks", "run", str(tmp_path / "parent.py")]
    subprocess.run(command, env=environment, check=True, timeout=120)
    assert query(store_path, ENDS) == expected("os", "started", "fork")
    assert verify(store_path).problems == []


def test_waiting_is_as_without_us(store_path: Path) -> None:
    program = """
        import asyncio, copy, os, pickle, subprocess, sys
        import histhooks
        before = [os.waitpid, os.wait, os.wait3, os.wait4, os.waitid]
        def ask():
            found = []
            for wait in (lambda: os.waitpid(-1, os.WNOHANG), lambda: os.waitpid("1", 0), os.wait, os.waitpid,
                         lambda: os.waitid(os.P_ALL, 0, os.WEXITED), lambda: os.wait3(os.WNOHANG)):
                try: found.append(wait())
                except BaseException as error: found.append((type(error), str(error)))
            pid = os.fork()
            if pid == 0: os._exit(5)
            found.append(os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT).si_status)
            found.append(os.wait4(pid, 0)[1])
            found.append(subprocess.run([sys.executable, "-c", "raise SystemExit(6)"]).returncode)
            process = subprocess.Popen([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])
            found.append(process.wait()); found.append(process.poll())
            async def run():
                return await (await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(7)")).wait()
            found.append(asyncio.run(run()))
            return found
        plain = ask()
        with histhooks.start_run("watched"):
            assert ask() == plain
            assert pickle.loads(pickle.dumps(os.waitpid)) is copy.copy(os.waitpid) is before[0]
            assert repr(os.waitpid) == repr(before[0])
        from histhooks._record.engine import engine
        engine.finish()
        assert [os.waitpid, os.wait, os.wait3, os.wait4, os.waitid] == before
        histhooks.autolog()
        histhooks.disable()
        assert [os.waitpid, os.wait, os.wait3, os.wait4, os.waitid] == before
    """
    code, _, err = run_program(textwrap.dedent(program), store_path)
    assert code == 0, err


# A git that answers while the program waits for its children.
GIT = """#!/bin/sh
sleep 0.5
case "$*" in
  *get-regexp*) echo "user.email someone@example.org" ;;
  *) echo "fatal: not so" >&2; exit 128 ;;
esac
"""
WAITS = {
    "wait": "os.wait()",
    "waitpid": "os.waitpid(-1, 0)",
    "group": "os.waitpid(0, 0)",
    "wait3": "os.wait3(0)[:2]",
    "wait4": "os.wait4(-1, options=0)[:2]",
    "waitid": "(lambda found: (found.si_pid, found.si_status << 8))(os.waitid(os.P_ALL, 0, os.WEXITED))",
    "look": "(os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT), os.wait())[1]",
}


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="this system waits for children in another way")
@pytest.mark.parametrize("how", sorted(WAITS))
def test_a_program_that_waits_for_any_child_is_given_its_own_alone(store_path: Path, tmp_path: Path, how: str) -> None:
    """What histhooks asks git is no child of the program, whose answer counts for histhooks all the same."""
    git = tmp_path / "bin" / "git"
    git.parent.mkdir()
    git.write_text(GIT)
    git.chmod(0o755)
    program = f"""
import os, time
import histhooks
from histhooks._collect import origin
from histhooks._record import gathering
origin._PATIENCE_S = gathering._LOOK_S = 60.0  # this machine may be a busy one
histhooks.autolog()
with histhooks.start_run("parent") as run:
    run.log({{"loss": 0.0}})
    time.sleep(0.2)  # git has been started
    children = [os.fork() or os._exit(number) for number in range(3)]
    late = os.fork() or (time.sleep(1.5), os._exit(7))
    seen = []
    while True:
        try:
            seen.append({WAITS[how]})
        except ChildProcessError:
            break
    print(sorted(code >> 8 for _, code in seen), {{pid for pid, _ in seen}} == {{*children, late}})
"""
    path = os.pathsep.join((str(git.parent), os.defpath))
    assert run_program(program, store_path, PATH=path) == (0, "[0, 1, 2, 7] True\n", "")
    assert query(store_path, "SELECT actor FROM sessions") == [("someone@example.org",)]
    notes = query(store_path, "SELECT note FROM captures WHERE note LIKE 'git: fatal: not so%'")
    assert notes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_while_a_process_is_being_started_waits_for_its_children_at_once(store_path: Path) -> None:
    """The lock that another thread of the parent held is a new one in the child."""
    program = """
        import os, threading, time
        import histhooks
        from histhooks._host import own_children
        histhooks.autolog()
        run = histhooks.start_run("parent")
        run.log({"loss": 0.0})
        histhooks.flush()
        held, done = threading.Event(), threading.Event()
        def start():
            with own_children.starting():
                held.set()
                done.wait()
        thread = threading.Thread(target=start)
        thread.start()
        held.wait()
        own_children._PATIENCE_S = 1e6
        child = os.fork()
        if child == 0:
            grandchild = os.fork() or os._exit(3)
            os._exit(5 if os.wait() == (grandchild, 3 << 8) else 1)
        print(os.waitpid(child, 0)[1] >> 8)
        done.set()
        thread.join()
        run.end()
    """
    assert run_program(program, store_path) == (0, "5\n", "")
