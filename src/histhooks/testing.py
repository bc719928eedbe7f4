"""Contract tests for integrations: training is the same with histhooks as without.

A case is a piece of a program. Each check runs it in fresh processes, with and without ``histhooks.autolog()``, and
compares bytes. Checks raise AssertionError and need no test framework.

>>> from histhooks.testing import Case, check_all
>>> case = Case(
...     name="sklearn",
...     setup="from sklearn.linear_model import LogisticRegression; X, y = [[0.0], [1.0]], [0, 1]",
...     train="model = LogisticRegression().fit(X, y); result = model.coef_",
...     failing="LogisticRegression(C=-1).fit(X, y)",
...     functions=("sklearn.linear_model._logistic:LogisticRegression.fit",),
... )
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path

_PROLOGUE = """
import os, pickle, random, sys, threading
random.seed(7)
numpy = sys.modules.get("numpy")
"""
_EPILOGUE = """
print(hash_of(result), random.random(), stream())
"""
_HELPERS = """
import hashlib
def hash_of(value):
    return hashlib.sha256(pickle.dumps(value)).hexdigest()
def stream():
    numpy = sys.modules.get("numpy")
    return None if numpy is None else numpy.random.random()
def seed():
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(7)
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One integration, as pieces of a program.

    Attributes
    ----------
    name : str
        The name for ``autolog()``.
    setup : str
        Imports and data.
    train : str
        An outer fit that stores its outcome in ``result``, a value that pickles. It must be the same with histhooks.
    failing : str
        An outer fit that raises.
    functions : tuple of str
        The wrapped functions, as ``module:qualified.name``.
    is_loop : bool
        Whether training is a loop in the program itself, not inside a framework call. An exception is then seen only if
        it ends the program, and inside a block the loop is the block's run.

    Examples
    --------
    >>> from histhooks.testing import Case, check_all
    >>> case = Case(
    ...     name="sklearn",
    ...     setup="from sklearn.linear_model import LogisticRegression; X, y = [[0.0], [1.0]], [0, 1]",
    ...     train="model = LogisticRegression().fit(X, y); result = model.coef_",
    ...     failing="LogisticRegression(C=-1).fit(X, y)",
    ...     functions=("sklearn.linear_model._logistic:LogisticRegression.fit",),
    ... )
    >>> check_all(case)  # doctest: +SKIP
    """

    name: str
    setup: str
    train: str
    failing: str
    functions: tuple[str, ...]
    is_loop: bool = False


def run_program(program: str, store: Path, **variables: str) -> tuple[int, str, str]:
    """Run a program in a new process; return its exit code, stdout and stderr.

    Examples
    --------
    >>> from pathlib import Path
    >>> from histhooks.testing import run_program
    >>> run_program("print(1)", Path("other.db").absolute())
    (0, '1\\n', '')
    """
    ours = {"HISTHOOKS_STORE": str(store), "HISTHOOKS_QUIET": "1", "HISTHOOKS_STRICT": "1", **variables}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)],
        env={**os.environ, **ours}, cwd=store.parent, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def query(store: Path, sql: str) -> list[tuple[object, ...]]:
    """Rows of a store.

    Examples
    --------
    >>> from histhooks.testing import query
    >>> query("histhooks.db", "SELECT DISTINCT name FROM runs")
    [('train',)]
    """
    connection = sqlite3.connect(store)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def _program(case: Case, *, is_recorded: bool, body: str, is_late: bool = False) -> str:
    autolog = f"import histhooks; histhooks.autolog({case.name!r})" if is_recorded else ""
    first, second = ("", autolog) if is_late else (autolog, "")
    return "\n".join([_PROLOGUE, _HELPERS, first, case.setup, second, "seed()", body])


def _ok(outcome: tuple[int, str, str]) -> str:
    code, out, err = outcome
    assert code == 0, f"exit code {code}:\n{err}"
    return out


# Prints at the very end which packages were imported, except the standard library, the dependencies of histhooks, and
# integrations of other packages.
_IMPORTED = """
import atexit, sys
def _imported():
    from importlib.metadata import entry_points
    ours = {"histhooks", "_histhooks", "psutil", "xxhash", "wrapt", "pynvml"}
    ours |= {entry.module.partition(".")[0] for entry in entry_points(group="histhooks.integrations")}
    names = {name.partition(".")[0] for name in list(sys.modules)} - set(sys.stdlib_module_names) - ours
    names -= {name for name in names if name.startswith("_sysconfigdata")}  # a build's own part of the library
    print("imported", sorted(name for name in names if getattr(sys.modules.get(name), "__file__", None)))
    print("filters", len(sys.modules["warnings"].filters))
atexit.register(_imported)
"""


def check_same_result(case: Case) -> None:
    """Clause 1: the same bytes, and random streams at the same position, whatever the order of imports.

    Also checks that no package is imported that the program did not import, and that no warnings filter is added.
    """
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "histhooks.db"
        body = case.train + _EPILOGUE
        plain = _ok(run_program(_IMPORTED + _program(case, is_recorded=False, body=body), store))
        assert not store.exists()
        for is_late in (False, True):
            program = _IMPORTED + _program(case, is_recorded=True, body=body, is_late=is_late)
            recorded = _ok(run_program(program, store))
            assert recorded == plain, f"with histhooks: {recorded}without: {plain}"
        ((count,),) = query(store, "SELECT count(*) FROM runs WHERE parent_id IS NULL")
        assert count == 2, f"two processes with one outer fit each left {count} runs"


def check_failure_passes_through(case: Case) -> None:
    """Clause 2: the host's exception is the host's, and the run says what it was."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "histhooks.db"
        lines = textwrap.indent(case.failing, "    ")
        body = f"try:\n{lines}\nexcept Exception as error:\n    print(type(error).__qualname__, error)\n"
        if case.is_loop:
            _check_loop_fails(case, store)
            return
        plain = _ok(run_program(_program(case, is_recorded=False, body=body), store))
        recorded = _ok(run_program(_program(case, is_recorded=True, body=body), store))
        assert recorded == plain
        rows = query(store, "SELECT status, error_type FROM runs")
        assert rows == [("failed", plain.split()[0])], rows


def _check_loop_fails(case: Case, store: Path) -> None:
    plain = run_program(_program(case, is_recorded=False, body=case.failing), store)
    recorded = run_program(_program(case, is_recorded=True, body=case.failing), store)
    assert recorded[:2] == plain[:2]
    last, expected = recorded[2].splitlines()[-1], plain[2].splitlines()[-1]
    assert last == expected, recorded[2]
    rows = query(store, "SELECT status, error_type FROM runs")
    assert rows == [("failed", expected.partition(":")[0])], rows


_STAY_FUNCTIONS = """
import functools, importlib, inspect, pickle, types
import histhooks
from histhooks._hooks.patching import all_patches
CODE = (
    "co_varnames co_argcount co_posonlyargcount co_kwonlyargcount co_nlocals co_flags co_name co_qualname co_filename"
    " co_firstlineno co_freevars"
)
def attempt(ask, thing):
    try:
        return str(ask(thing))
    except (TypeError, ValueError, OSError) as error:
        return type(error).__name__
def told(function):
    code = getattr(function, "__code__", None)
    asked = [inspect.signature, inspect.getfullargspec, inspect.getsource, inspect.getfile, inspect.unwrap]
    asked += [inspect.iscoroutinefunction, inspect.isroutine, inspect.ismethod]
    out = {{ask.__name__: attempt(ask, function) for ask in asked}}
    out |= {{name: getattr(code, name, None) for name in CODE.split()}}
    names = ("__name__", "__qualname__", "__module__", "__doc__", "__defaults__", "__kwdefaults__", "__closure__")
    return out | {{name: getattr(function, name, None) for name in names}} | {{"dict": dict(vars(function))}}
def find(place):
    module, _, name = place.partition(":")
    found = importlib.import_module(module)
    for part in name.split("."):
        owner, found = found, inspect.getattr_static(found, part)
    return found
before = {{place: find(place) for place in {functions!r}}}
looks = {{place: told(function) for place, function in before.items()}}
codes = {{place: function.__code__ for place, function in before.items()}}
keeps = {{p: functools.partial(f) for p, f in before.items() if "." not in p.partition(":")[2]}}
pickles = {{place: pickle.dumps(kept) for place, kept in keeps.items()}}
histhooks.autolog({name!r})
during = {{place: find(place) for place in before}}
for place, original in before.items():
    wrapper = during[place]
    assert wrapper is not original or wrapper.__code__ is not codes[place], f"{{place}} is not recorded"
    assert type(wrapper) is types.FunctionType, place
    assert told(wrapper) == looks[place], place
    if "." not in place.partition(":")[2]:
        assert pickle.loads(pickle.dumps(wrapper)) is wrapper, place
        assert pickle.dumps(keeps[place]) == pickles[place], place
# All that are recorded by now, also those that no case names.
everyone = {{id(patch.wrapper): patch.wrapper for patch in all_patches()}}.values()
said = [(function, told(function)) for function in everyone]
histhooks.autolog({name!r})
histhooks.disable()
for place, original in before.items():
    assert find(place) is original, place
    assert original.__code__ is codes[place], place
for function, words in said:
    assert told(function) == words, function
histhooks.disable()
"""


def check_functions_stay_functions(case: Case) -> None:
    """Clauses 3 and 8: all that inspect says of a recorded function is as before, and ``disable()`` puts it back.

    That holds for those that the case names, and for every function that the integration has recorded by now.
    """
    body = _STAY_FUNCTIONS.format(functions=case.functions, name=case.name)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "histhooks.db"
        _ok(run_program(_program(case, is_recorded=False, body=body), store))


def check_disabled_records_nothing(case: Case) -> None:
    """Clause 8: after ``disable()`` nothing is recorded, and ``paused()`` hides what begins inside."""
    body = f"""
import histhooks
with histhooks.paused():
{textwrap.indent(case.train, "    ")}
histhooks.disable()
{case.train}
"""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "histhooks.db"
        _ok(run_program(_program(case, is_recorded=True, body=body), store))
        assert not store.exists()


def check_threads_stand_alone(case: Case) -> None:
    """Clause 6: three threads that the program started and that fit leave three runs."""
    body = f"""
def work():
{textwrap.indent(case.train, "    ")}
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "histhooks.db"
        _ok(run_program(_program(case, is_recorded=True, body=body), store))
        rows = query(store, "SELECT status FROM runs WHERE parent_id IS NULL")
        assert rows == [("finished",)] * 3, rows


def check_block_is_parent(case: Case) -> None:
    """Clause 6: a fit inside a block is a child of it, a loop is the block's own, and the history fits its ledger."""
    from histhooks.verify import verify

    lines = textwrap.indent(case.train, "    ")
    body = f"import histhooks\nwith histhooks.start_run('outer'):\n{lines}\n"
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "histhooks.db"
        _ok(run_program(_program(case, is_recorded=True, body=body), store))
        sql = "SELECT count(*) FROM runs AS r JOIN runs AS p ON p.id = r.parent_id WHERE p.name = 'outer'"
        if case.is_loop:
            sql = "SELECT count(*) FROM runs JOIN optimizers ON run_id = runs.id WHERE runs.name = 'outer'"
        assert query(store, sql) == [(1,)]
        report = verify(store)
        assert report.ok, report.problems


CHECKS = (
    check_same_result,
    check_failure_passes_through,
    check_functions_stay_functions,
    check_disabled_records_nothing,
    check_threads_stand_alone,
    check_block_is_parent,
)


def check_all(case: Case) -> None:
    """Hold an integration to every check.

    Raises
    ------
    AssertionError
        At the first that does not hold.
    """
    for check in CHECKS:
        check(case)
