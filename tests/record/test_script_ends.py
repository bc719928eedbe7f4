"""A program that ends well is finished, one that fails failed; and where nobody can know it, the session says `ended`.

Each program is a process of its own, as a script, and for some ways also with ``-m``, ``-c``, from standard input, as a
folder and as a zip file. Its exit code is held against what the record says of it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from histhooks.testing import query, run_program
from histhooks.verify import verify

# Whether sys.monitoring shows what becomes of a SystemExit that the program may catch.
IS_SEEN = sys.version_info >= (3, 12)
FINISHED, ENDED = ("finished", None), ("ended", None)


def failed(code: int) -> tuple[str, int | None]:
    return "failed", code


BEGIN = """
import argparse, atexit, contextlib, os, signal, sys, threading, time
import histhooks
histhooks.autolog()
run = histhooks.start_run("open")
run.log({"loss": 1.0})
def leave(*code):
    sys.exit(*code)
def catch(code):
    try: leave(0)
    except SystemExit: pass
    raise SystemExit(code)
"""
# what a program does last, its exit code, and how its session and the run that it leaves open are
WAYS = {
    "the last line": ("pass", 0, FINISHED),
    "the last line after exceptions that were caught": (
        "for n in range(3):\n    try: 1 / n\n    except ZeroDivisionError: pass", 0, FINISHED,
    ),
    "the last line after an exit that was caught": ("try: leave(3)\nexcept SystemExit: pass", 0, FINISHED),
    "the last line of a function": ("def main():\n    with open(os.devnull): return 3\nmain()", 0, FINISHED),
    "the last line, after which a thread goes on": (
        "threading.Thread(target=lambda: (time.sleep(0.3), run.log({'loss': 0.5}))).start()", 0, FINISHED,
    ),
    "the last line, after which a thread fails": (
        "threading.Thread(target=lambda: (time.sleep(0.3), 1 / 0)).start()", 0, FINISHED,
    ),
    "the last line, after which a callback fails": ("atexit.register(lambda: 1 / 0)", 0, FINISHED),
    "the last line, after somebody printed an exception": ("sys.last_value = ValueError('old')", 0, FINISHED),
    "sys.exit()": ("sys.exit()", 0, FINISHED),
    "sys.exit(None)": ("sys.exit(None)", 0, FINISHED),
    "sys.exit(0)": ("sys.exit(0)", 0, FINISHED),
    "sys.exit(False)": ("sys.exit(False)", 0, FINISHED),
    "sys.exit(0) in a function": ("leave(0)", 0, FINISHED),
    "sys.exit(3)": ("sys.exit(3)", 3, failed(3)),
    "sys.exit(3) in a function": ("leave(3)", 3, failed(3)),
    "sys.exit of a text": ("sys.exit('no data')", 1, failed(1)),
    "exit()": ("exit()", 0, FINISHED),
    "quit(4)": ("quit(4)", 4, failed(4)),
    "an exit of argparse": ("argparse.ArgumentParser().parse_args(['--unknown'])", 2, failed(2)),
    "an exit of argparse after --help": (
        "argparse.ArgumentParser().parse_args(['--help'])", 0, FINISHED if IS_SEEN else ENDED,
    ),
    "sys.exit(0) in a block": ("with open(os.devnull): leave(0)", 0, FINISHED if IS_SEEN else ENDED),
    "sys.exit(3) in a block": ("with open(os.devnull): leave(3)", 3, failed(3) if IS_SEEN else ENDED),
    "sys.exit(0), which something else follows": (
        "try: leave(0)\nfinally: raise SystemExit(3)", 3, failed(3) if IS_SEEN else ENDED,
    ),
    "sys.exit(0), which is caught, and another end": ("catch(3)", 3, failed(3) if IS_SEEN else ENDED),
    "sys.exit(3), which is caught, and a good end": (
        "try: leave(3)\nexcept SystemExit: pass\nsys.exit(0)", 0, FINISHED,
    ),
    "an object in whose end somebody exits": (
        "class Odd:\n    def __del__(self): leave(0)\ndef main():\n    Odd()\n    catch(3)\nmain()", 3,
        failed(3) if IS_SEEN else ENDED,
    ),
    "raise SystemExit(0)": ("raise SystemExit(0)", 0, ENDED),
    "raise SystemExit(3)": ("raise SystemExit(3)", 3, ENDED),
    "an exception": ("raise ValueError('no')", 1, failed(1)),
    "an exception after an exit that was caught": (
        "try: leave(0)\nexcept SystemExit: pass\nraise ValueError('no')", 1, failed(1),
    ),
    "an exception while it exits": ("try: leave(0)\nfinally: raise ValueError('no')", 1, failed(1)),
    "a wrong call of sys.exit": ("sys.exit(1, 2)", 1, failed(1)),
    "Ctrl-C": ("raise KeyboardInterrupt", -signal.SIGINT, ("interrupted", None)),
    "os._exit(0)": ("from histhooks._record import forks; forks._LEAVE_S = 60.0; os._exit(0)", 0, ("running", None)),
    "SIGTERM": (
        "histhooks.flush(); os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", -signal.SIGTERM, ("killed", None),
    ),
    "SIGKILL": ("histhooks.flush(); os.kill(os.getpid(), 9)", -9, ("running", None)),
}  # fmt: skip


def run(folder: Path, store: Path, *words: str, program: str = "") -> int:
    """Run Python with these words; the program on standard input."""
    environment = {**os.environ, "HISTHOOKS_STORE": str(store), "HISTHOOKS_QUIET": "1", "HISTHOOKS_STRICT": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *words], input=program, env=environment, cwd=folder, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "histhooks" not in done.stderr, done.stderr
    return done.returncode


def ends(store: Path) -> list[tuple[object, ...]]:
    assert verify(store).problems == []
    sql = "SELECT s.status, s.exit_code, r.status FROM sessions AS s JOIN runs AS r ON r.session_id = s.id"
    return query(store, f"{sql} ORDER BY r.name")


@pytest.mark.parametrize("way", WAYS)
def test_how_a_script_ended_is_never_guessed(store_path: Path, tmp_path: Path, way: str) -> None:
    last, exit_code, (status, recorded) = WAYS[way]
    (tmp_path / "train.py").write_text(f"{BEGIN}{last}\n")
    assert run(tmp_path, store_path, "train.py") == exit_code
    assert ends(store_path) == [(status, recorded, status)]


INSIDE = """
import os, sys
import histhooks
def main(code=None):
    histhooks.autolog()
    histhooks.start_run("open").log({{"loss": 1.0}})
    return code
def careful(code):
    try: sys.exit(main(0))
    except SystemExit: pass
    return code
{last}
"""
INSIDE_WAYS = {
    "sys.exit(main())": (0, FINISHED),
    "sys.exit(main(3))": (3, failed(3)),
    "sys.exit(int(main('4')))": (4, failed(4)),
    "raise SystemExit(main())": (0, FINISHED),
    "raise SystemExit(main(5))": (5, failed(5)),
    "if True: sys.exit(careful(6))": (6, failed(6)),
    "with open(os.devnull): sys.exit(main(7))": (7, failed(7)),
    "try: sys.exit(main(0))\nexcept SystemExit: raise SystemExit(8)": (8, failed(8)),
    "try: sys.exit(main(9))\nexcept SystemExit: pass": (0, FINISHED),
    "SystemExit(main(1))": (0, FINISHED),
    "print(main(1))": (0, FINISHED),
    "raise ValueError(main())": (1, failed(1)),
}


@pytest.mark.parametrize("last", INSIDE_WAYS)
def test_a_program_that_exits_with_what_recorded_ends_as_it_does(store_path: Path, tmp_path: Path, last: str) -> None:
    exit_code, expected = INSIDE_WAYS[last]
    (tmp_path / "train.py").write_text(INSIDE.format(last=last))
    assert run(tmp_path, store_path, "train.py") == exit_code
    status = ends(store_path)[0][:2]
    # Before Python 3.12, nobody sees a call of what was taken from `sys` before recording began.
    assert status == expected or (not IS_SEEN and status == ENDED)
    assert status == expected or last not in ("SystemExit(main(1))", "print(main(1))", "raise ValueError(main())")


STARTS = {
    "a script": ("train.py",),
    "a module": ("-m", "package.train"),
    "a package": ("-m", "package"),
    "a folder": ("package",),
    "a zip file": ("train.pyz",),
    "standard input": (),
    "standard input, by its name": ("-",),
    "-c": ("-c",),
    "another name in sys.modules": ("train.py", "renamed"),
}
RENAMED = "if 'renamed' in sys.argv: sys.modules['__main__'] = sys\n"


@pytest.mark.parametrize("start", STARTS)
def test_a_program_ends_alike_however_it_is_started(store_path: Path, tmp_path: Path, start: str) -> None:
    package = tmp_path / "package"
    package.mkdir()
    words = STARTS[start]
    for last, exit_code in (("pass", 0), ("leave(3)", 3)):
        program = f"{BEGIN}{RENAMED}{last}\n"
        for path in (tmp_path / "train.py", package / "train.py", package / "__main__.py", package / "__init__.py"):
            path.write_text("" if path.stem == "__init__" else program)
        with zipfile.ZipFile(tmp_path / "train.pyz", "w") as archive:
            archive.writestr("__main__.py", program)
        given = (*words, program) if words == ("-c",) else words
        assert run(tmp_path, store_path, *given, program="" if len(given) > 1 else program) == exit_code
    sql = "SELECT status, exit_code FROM sessions ORDER BY started_at"
    assert query(store_path, sql) == [FINISHED, failed(3)]


@pytest.mark.parametrize(
    ("words", "last"),
    [
        (("-m", "pdb"), "1 / 0"),
        (("-m", "pdb"), "pass"),
        (("-m", "cProfile", "-o", os.devnull), "leave(3)"),
        ((), "1 / 0"),
    ],
)
def test_nothing_is_said_of_a_script_that_another_program_runs(
    store_path: Path, tmp_path: Path, words: tuple[str, ...], last: str
) -> None:
    (tmp_path / "train.py").write_text(f"{BEGIN}{last}\n")
    launcher = "import runpy\ntry: runpy.run_path('train.py', run_name='__main__')\nexcept BaseException: pass\n"
    (tmp_path / "launcher.py").write_text(launcher)
    run(tmp_path, store_path, *(*words, "train.py") if words else ("launcher.py",), program="continue\nquit\n" * 2)
    statuses = {status for row in ends(store_path) for status in row[::2]}  # pdb starts a script anew
    assert statuses <= ({"ended", "failed"} if last in ("leave(3)", "1 / 0") else {"ended"})


@pytest.mark.parametrize("words", [("-i", "train.py"), ("-i",)])
def test_a_console_has_no_end_of_its_own(store_path: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "train.py").write_text(f"{BEGIN}\n")
    run(tmp_path, store_path, *words, program=f"{BEGIN if len(words) == 1 else ''}\n1 / 0\n")
    assert ends(store_path) == [("ended", None, "ended")]


def test_what_the_end_of_a_program_cuts_short_is_not_finished(store_path: Path) -> None:
    program = """
        import threading, time, histhooks
        def begin(name):
            with histhooks.start_run(name):
                yield
        def work(name, is_long):
            run = histhooks.start_run(name)
            run.log({"loss": 1.0})
            ready.set()
            if is_long: time.sleep(60)
        generator = begin("a block in a generator")
        next(generator)
        for name, is_long in (("a daemon that trains", True), ("a thread that is over", False)):
            ready = threading.Event()
            thread = threading.Thread(target=work, args=(name, is_long), daemon=True)
            thread.start(); ready.wait()
        thread.join()
    """
    assert run_program(textwrap.dedent(program), store_path)[0] == 0
    assert query(store_path, "SELECT status FROM sessions") == [("finished",)]
    assert query(store_path, "SELECT name, status FROM runs ORDER BY name") == [
        ("a block in a generator", "ended"), ("a daemon that trains", "ended"), ("a thread that is over", "finished"),
    ]  # fmt: skip


def test_a_forked_child_has_an_end_of_its_own(store_path: Path) -> None:
    program = """
        import os, sys, histhooks
        histhooks.autolog()
        run = histhooks.start_run("a parent")
        pid = os.fork()
        if pid == 0:
            histhooks.start_run("child")
            sys.exit(3)
        os.waitpid(pid, 0)
    """
    assert run_program(textwrap.dedent(program), store_path)[0] == 0
    assert ends(store_path) == [("finished", None, "finished"), ("failed", 3, "failed")]


def test_what_is_seen_later_wins_over_what_the_program_could_know(store_path: Path, tmp_path: Path) -> None:
    # Its callback runs after the one of histhooks, which is registered later.
    (tmp_path / "train.py").write_text(f"import atexit, os\natexit.register(os._exit, 7)\n{BEGIN}")
    assert run(tmp_path, store_path, "-m", "histhooks", "run", "train.py") == 7
    assert ends(store_path) == [("failed", 7, "finished")]


def test_sys_exit_is_as_without_us(store_path: Path) -> None:
    program = """
        import atexit, builtins, copy, inspect, pickle, subprocess, sys, threading, traceback
        from sys import exit as bound_before
        import histhooks
        held, pickled = [sys.exit], pickle.dumps(sys.exit)  # not as a name, which would get the stand-in
        def ask(leave):
            found = [repr(leave), leave.__name__, leave.__qualname__, leave.__module__, leave.__doc__, leave.__self__,
                     str(inspect.signature(leave)), callable(leave), inspect.unwrap(leave) is held[0],
                     pickle.loads(pickle.dumps(leave)) is sys.exit, copy.deepcopy(leave) is leave or leave is held[0]]
            for given in ((), (None,), (0,), (3,), ("text",), ((1, 2),), (True,), (1, 2), (SystemExit(5),)):
                try:
                    leave(*given)
                except BaseException as error:
                    shown = traceback.format_exception(error)
                    found.append((type(error), error.args, getattr(error, "code", None), error.__context__, shown))
            try: leave(status=1)
            except TypeError as error: found.append(str(error))
            class Window:
                close = leave
            try: Window().close()
            except SystemExit as error: found.append(error.code)
            thread = threading.Thread(target=leave, args=(2,)); thread.start(); thread.join()
            return found
        plain = ask(sys.exit)
        histhooks.autolog()
        run = histhooks.start_run()
        assert sys.exit is not held[0] and bound_before is sys.exit  # a name of the program too
        watched = ask(sys.exit)
        assert watched == plain, [pair for pair in zip(plain, watched) if pair[0] != pair[1]]
        assert pickle.loads(pickled) is sys.exit
        histhooks.disable()
        assert sys.exit is held[0] is bound_before
        run.end()
        for mine in (lambda code=0: held[0](code), held[0]):  # what somebody else puts there stays
            sys.exit = mine
            histhooks.autolog()
            assert (sys.exit is mine) == (mine is not held[0])
            histhooks.disable()
            assert sys.exit is mine
    """
    code, _, err = run_program(textwrap.dedent(program), store_path)
    assert code == 0, err


@pytest.mark.skipif(not IS_SEEN, reason="sys.monitoring is there from Python 3.12 on")
def test_an_id_of_a_tool_is_taken_only_if_it_is_free_and_given_back(store_path: Path) -> None:
    program = """
        import sys, histhooks
        from sys import monitoring
        def named(): return [monitoring.get_tool(number) for number in range(6)]
        histhooks.autolog()
        histhooks.start_run("open")
        def caught():
            try: sys.exit(0)
            except SystemExit: pass
        assert named() == [None] * 6
        monitoring.use_tool_id(4, "theirs")
        caught()
        assert named() == [None, None, None, "histhooks", "theirs", None]
        for name in ("debugger", "coverage", "profiler", "optimizer"):
            monitoring.use_tool_id({"debugger": 0, "coverage": 1, "profiler": 2, "optimizer": 5}[name], name)
        import cProfile
        def fails(): raise ValueError
        for _ in range(11_000):
            try: fails()
            except ValueError: pass
        assert monitoring.get_tool(3) is None  # nobody can still be on the way out
        monitoring.use_tool_id(3, "theirs too")
        caught()
        assert "histhooks" not in named()
        sys.exit(0)
    """
    code, _, err = run_program(textwrap.dedent(program), store_path)
    assert code == 0, err
    assert ends(store_path) == [("finished", None, "finished")]
