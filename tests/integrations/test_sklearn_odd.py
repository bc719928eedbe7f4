"""Odd estimators, odd params and fits that fail: the run says what the host did, and nothing else is lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from helpers.warm import run_warm
from histhooks.testing import query, run_program
from histhooks.verify import verify

pytest.importorskip("sklearn")

MOMENTS = int(os.environ.get("HISTHOOKS_MOMENTS") or 60)  # of each hook at which Ctrl-C comes

SETUP = """
import warnings; warnings.simplefilter("ignore")
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
X, y = np.random.RandomState(0).rand(30, 2), np.array([0, 1] * 15)

class Elementwise:
    def __eq__(self, other): return np.array([True, False])
    __hash__ = None
class RaisesOnEq:
    def __eq__(self, other): raise AssertionError("no comparison")
class LooksUp:
    def __getattr__(self, name): raise KeyError(name)
class Outcome(BaseException): pass
class Properties:
    @property
    def shape(self): raise Outcome("shape")
    @property
    def dtype(self): raise SystemExit(3)
    def __len__(self): raise IndexError("len")
    def __bool__(self): raise ValueError("bool")
    def __repr__(self): raise KeyError("repr")
    __hash__ = None

class Model(ClassifierMixin, BaseEstimator):
    def __init__(self, a=1, odd=None, z=2): self.a, self.odd, self.z = a, odd, z
    def fit(self, X, y=None):
        if self.a < 0: raise RuntimeError("no a below zero")
        self.classes_ = np.unique(y); return self
    def partial_fit(self, X, y=None, classes=None): return self.fit(X, y)
    def predict(self, X): return np.zeros(len(X), int)

def ends(call):
    try: call()
    except Exception as error: print(type(error).__name__)
    else: print("ok")
"""
HOOK = "import histhooks; histhooks.autolog()\n"
FAILED = "SELECT collector, note FROM captures WHERE status = 'failed'"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "histhooks.db"


def record(store: Path, body: str) -> str:
    """Run a program without a line of histhooks and with it: it prints the same."""
    code, plain, err = run_warm(SETUP + body, store)
    assert code == 0, err
    code, out, err = run_warm(HOOK + SETUP + body, store)
    assert code == 0, err
    assert out == plain
    assert "histhooks" not in err
    assert verify(store).problems == []
    assert query(store, "SELECT count(*) FROM runs WHERE status = 'running'") == [(0,)]
    assert query(store, "SELECT sum(hook_errors) FROM sessions") == [(0,)]
    return out


def outcomes(store: Path, condition: str = "parent_id IS NULL") -> list[tuple[object, ...]]:
    return query(store, f"SELECT kind, status, error_type FROM runs WHERE {condition} ORDER BY started_at, id")


def test_a_param_that_cannot_be_compared_or_looked_at_costs_no_run(store: Path) -> None:
    body = """
for odd in (Elementwise, RaisesOnEq, LooksUp, Properties):
    class Its(Model):
        def __init__(self, a=1, odd=odd(), z=2): super().__init__(a, odd, z)
    for a in (3, -1):
        ends(lambda: Its(a, odd(), z=7).fit(X, y))
    model = Its(3, odd())
    for a in (3, 3, -1):
        model.a = a
        ends(lambda: model.partial_fit(X, y))
    ends(lambda: cross_val_score(Its(3, odd(), z=7), X, y, cv=2))
"""
    out = record(store, body).split()
    well = ["ok", "RuntimeError", "ok", "ok", "RuntimeError", "ok"]
    assert out == [*well * 2, *well[:-1], "KeyError", *well]  # clone() looks names up in what it clones
    loop = [("fit", "finished", None), ("fit", "failed", "RuntimeError"), ("fit", "failed", "RuntimeError")]
    validated = [*loop, ("validate", "finished", None)]
    assert outcomes(store) == [*validated * 2, *loop, ("validate", "failed", "KeyError"), *validated]
    assert query(store, "SELECT count(*) FROM params WHERE key = 'z' AND value = '7'") == [(8,)]
    assert query(store, "SELECT count(*) FROM metrics WHERE name = 'n_samples'") == [(8,)]


def test_params_are_read_one_by_one_where_get_params_fails(store: Path) -> None:
    body = """
class Raises(Model):
    def get_params(self, deep=True): raise self.error
for error in (KeyError("opts"), Outcome("odd"), SystemExit(3), RecursionError("deep")):
    Raises.error = error
    ends(lambda: Raises(5, z=7).fit(X, y))
    ends(lambda: Raises(-5, z=7).fit(X, y))
class Nothing(Model):
    def get_params(self, deep=True): return None
ends(lambda: Nothing(5, z=7).fit(X, y))
class Forgets(Model):
    def __init__(self, a=1, gone=3, z=2): self.a, self.z = a, z
ends(lambda: Forgets(5, z=7).fit(X, y))
class Circle(Model): pass
circle = Circle(5, z=7); circle.odd = circle
ends(lambda: circle.fit(X, y))
ends(lambda: Pipeline([(1, StandardScaler()), ("m", LogisticRegression())]).fit(X, y))
"""
    record(store, body)
    good, bad = ("fit", "finished", None), ("fit", "failed", "RuntimeError")
    assert outcomes(store) == [good, bad] * 4 + [good] * 3 + [("fit", "failed", "TypeError")]
    assert query(store, "SELECT count(*) FROM params WHERE key = 'z' AND value = '7' AND source = 'argument'") == [
        (11,)
    ]
    told = [str(note) for collector, note in query(store, FAILED) if collector == "params"]
    assert "get_params: KeyError: 'opts'" in told
    assert "get_params: Outcome: odd" in told
    assert "gone: AttributeError: 'Forgets' object has no attribute 'gone'" in told


def test_results_of_another_shape_cost_their_own_fact(store: Path) -> None:
    body = """
class Grid(Model):
    def fit(self, X, y=None):
        self.cv_results_ = self.odd; self.n_iter_ = 7; self.classes_ = Properties(); return self
one = {"params": [{"a": 1}]}
shapes = ([(1, .5)], None, {"params": 3}, one, {**one, "split0_test_score": ["x"], 5: 1},
          {"params": ["a"], "mean_test_score": []}, {"scores": np.ones(3)}, {**one, "split_x": [1]})
for shape in shapes:
    ends(lambda: Grid(odd=shape).fit(X, y))
"""
    record(store, body)
    kinds = [kind for kind, status, _ in outcomes(store) if status == "finished"]
    assert kinds == [*["fit"] * 3, *["search"] * 3, "fit", "search"]
    assert query(store, "SELECT count(*) FROM results WHERE key = 'n_iter' AND value = '7'") == [(8,)]
    assert query(store, "SELECT count(*), min(status), max(status) FROM runs WHERE kind = 'candidate'") == [
        (4, "finished", "finished")
    ]


def test_a_candidate_whose_fits_raised_failed_and_says_why(store: Path) -> None:
    body = """
from sklearn.experimental import enable_halving_search_cv
from sklearn.model_selection import HalvingGridSearchCV, RandomizedSearchCV
class Sometimes(Model):
    def fit(self, X, y=None):
        if self.a == 5 and X[0, 0] == self.odd: raise ValueError("not\\nthis fold")
        return super().fit(X, y)
grid, few = {"a": [-1, 1]}, dict(cv=3)
two = dict(scoring=["accuracy", "f1"], refit="accuracy")
ends(lambda: GridSearchCV(Model(), grid, error_score=0, **few).fit(X, y))
ends(lambda: GridSearchCV(Model(), grid, error_score=np.nan, refit=False, **few).fit(X, y))
ends(lambda: RandomizedSearchCV(Model(), grid, n_iter=2, error_score=0, **two, **few).fit(X, y))
halving = dict(min_resources=12, factor=2)
ends(lambda: HalvingGridSearchCV(Model(), {"a": [-1, 1, 2, 3]}, error_score=0, **halving, **few).fit(X, y))
ends(lambda: GridSearchCV(Sometimes(odd=X[10, 0]), {"a": [5]}, error_score=0, **few).fit(X, y))
ends(lambda: GridSearchCV(Model(), {"a": [-1, -2]}, **few).fit(X, y))
ends(lambda: cross_validate(Sometimes(5, X[10, 0]), X, y, cv=3, error_score=0))
ends(lambda: cross_val_score(Model(-1), X, y, cv=3))
"""
    out = record(store, body).split()
    assert out == ["ok"] * 5 + ["ValueError", "ok", "ValueError"]
    assert [status for _, status, _ in outcomes(store)] == [*["finished"] * 5, "failed", "finished", "failed"]
    sql = """
    SELECT c.status, c.error_type, c.error_message, p.id FROM runs AS c JOIN runs AS p ON p.id = c.parent_id
    ORDER BY p.started_at, c.started_at, c.id
    """
    by_search: dict[object, list[tuple[object, ...]]] = {}
    for *how, parent in query(store, sql):
        by_search.setdefault(parent, []).append(tuple(how))
    bad, good = ("failed", "RuntimeError", "no a below zero"), ("finished", None, None)
    first, second, third, halving, partly, none = by_search.values()
    assert first == second == third == [bad, good]
    assert halving[:4] == [bad, good, good, good]
    assert len(halving) > 4
    assert partly == [good]
    assert none == [bad, bad]
    events = query(
        store, "SELECT title, body LIKE '%ValueError: not%' FROM events WHERE title LIKE '1 of 3 fits failed'"
    )
    assert len(events) == 3
    counts = (
        "SELECT value FROM results JOIN runs ON id = run_id WHERE kind = 'search' AND key = '{}' ORDER BY started_at"
    )
    assert query(store, counts.format("n_failed_fits"))[:3] == [("3",)] * 3
    assert query(store, counts.format("n_fits"))[:3] == [("6",)] * 3
    iterations = query(store, "SELECT DISTINCT value FROM results WHERE key = 'iter' ORDER BY value")
    assert iterations[:2] == [("0",), ("1",)]
    assert query(store, "SELECT value FROM results WHERE key = 'n_resources' ORDER BY value LIMIT 1") == [("12",)]


def test_a_fit_that_raised_in_a_worker_process_says_why(store: Path) -> None:
    body = """
import joblib
with joblib.parallel_config("loky", n_jobs=2):
    ends(lambda: GridSearchCV(LogisticRegression(), {"C": [-1, 1]}, cv=2, error_score=0).fit(X, y))
"""
    record(store, body)
    sql = "SELECT status, error_type, error_message LIKE '%The ''C'' parameter%' FROM runs WHERE kind = 'candidate'"
    assert query(store, sql + " ORDER BY started_at, id") == [
        ("failed", "InvalidParameterError", 1),
        ("finished", None, None),
    ]


def test_a_search_inside_a_search_is_no_part_of_its_candidates(store: Path) -> None:
    body = """
inner = GridSearchCV(Model(), {"a": [-1, 1]}, cv=2, error_score=0)
ends(lambda: GridSearchCV(inner, {"estimator__z": [1, 2]}, cv=2).fit(X, y))
ends(lambda: cross_validate(inner, X, y, cv=2))
"""
    record(store, body)
    assert outcomes(store) == [("search", "finished", None), ("validate", "finished", None)]
    assert outcomes(store, "parent_id IS NOT NULL") == [("candidate", "finished", None)] * 2
    assert query(store, "SELECT count(*) FROM results WHERE key = 'n_failed_fits'") == [(0,)]


def test_ctrl_c_at_any_moment_leaves_no_run_open_and_reaches_the_program(store: Path) -> None:
    body = """
import random, signal
signal.signal(signal.SIGALRM, signal.default_int_handler)
moments, n = random.Random(0), 0
Model().fit(X, y).score(X, y)
for _ in range(60):
    model = Model()
    try:
        signal.setitimer(signal.ITIMER_REAL, moments.uniform(1e-5, 3e-3))
        for _ in range(20):
            model.fit(X, y).partial_fit(X, y).score(X, y)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:  # Python loses one that comes while it calls back for something that is gone
        n += 1
del model
assert n > 30
"""
    code, _, err = run_program(HOOK + SETUP + body, store)
    assert code == 0, err
    assert verify(store).problems == []
    assert query(store, "SELECT hook_errors FROM sessions") == [(0,)]
    found = dict(query(store, "SELECT status, count(*) FROM runs GROUP BY status"))
    # An interrupt may leave a loop of `partial_fit` to the end of the session; never `finished`.
    assert found.keys() <= {"finished", "interrupted", "ended"}
    assert found.get("ended", 0) <= 3
    assert found["interrupted"]


def test_an_end_of_an_iterator_that_a_fit_raises_is_a_failure_as_any_other(store: Path) -> None:
    body = """
class Ends(Model):
    def fit(self, X, y=None):
        raise StopIteration(3)
ends(lambda: Ends().fit(X, y))
ends(lambda: Ends().partial_fit(X, y))
ends(lambda: cross_val_score(Ends(), X, y, cv=2, error_score="raise"))
"""
    assert record(store, body).split()[:2] == ["StopIteration", "StopIteration"]
    assert outcomes(store)[:2] == [("fit", "failed", "StopIteration")] * 2


def test_a_candidate_whose_fits_raised_a_group_of_exceptions_is_failed_with_its_name(store: Path) -> None:
    body = """
class Groups(Model):
    def fit(self, X, y=None):
        if self.a == 2: raise ExceptionGroup("several", [ValueError(1), KeyError(2)])
        return super().fit(X, y)
ends(lambda: GridSearchCV(Groups(), {"a": [1, 2]}, cv=2).fit(X, y))
"""
    assert record(store, body) == "ok\n"
    sql = "SELECT status, error_type, error_message FROM runs WHERE kind = 'candidate' ORDER BY id"
    assert query(store, sql) == [
        ("finished", None, None),
        ("failed", "ExceptionGroup", "several (2 sub-exceptions)"),
    ]


def test_fits_behind_a_descriptor_of_any_kind_also_of_a_mixin_are_said(store: Path) -> None:
    body = """
import histhooks; histhooks.autolog()
class Called:
    def __call__(self, X, y=None): return self
class Delegates:
    def __get__(self, model, kind): return lambda X, y=None: model
class Mixin:
    fit = Called()
class A(Mixin, BaseEstimator): pass
class B(BaseEstimator):
    @property
    def fit(self): return lambda X, y=None: self
class C(BaseEstimator):
    @classmethod
    def fit(cls, X, y=None): return cls
class D(BaseEstimator): fit = Delegates()
class E(BaseEstimator):
    fit = Model.fit
    @property
    def partial_fit(self): raise AttributeError("partial_fit")
for kind in (A, B, C, D): kind().fit(X, y)
"""
    code, _, err = run_program(SETUP + body, store)
    assert code == 0, err
    said = [line.split(" are ")[0] for line in err.splitlines() if "are not recorded" in line]
    assert said == [f"histhooks: calls of {name}.fit" for name in ("Mixin", "B", "C", "D")]


def test_ctrl_c_wherever_python_looks_for_it_in_a_hook_ends_the_run_and_is_not_lost(store: Path) -> None:
    body = f"""
import dis, gc, sys
from histhooks import recorder
from histhooks._record.engine import engine
LOOKS = ("JUMP_BACKWARD", "RESUME")  # and after a call of C
n, at, before = 0, 0, None
def look(frame, event, arg):
    global n, before
    if event == "opcode" and frame.f_lineno is not None:  # else a generator is thrown away, which looks for no signal
        op = dis.opname[frame.f_code.co_code[frame.f_lasti]]
        was, before = before, (id(frame), op.startswith("CALL"))
        if op in LOOKS or was == (id(frame), True):
            n += 1
            if n == at:
                raise KeyboardInterrupt
    return look
def trace(frame, event, arg):
    if "/histhooks/" in frame.f_code.co_filename:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return look
def is_interrupted(call, moment):
    global n, at
    n, at = 0, moment
    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False
model = Model().fit(X, y)
def partial():
    other = Model()
    other.partial_fit(X, y)
    other.partial_fit(X, y)
def validate(): cross_val_score(Model(), X, y, cv=2)
def search(): GridSearchCV(Model(), {{"a": [1]}}, cv=2).fit(X, y)
for call in (lambda: Model().fit(X, y), lambda: model.score(X, y), partial, validate, search):
    for _ in range(3):
        assert not is_interrupted(call, 0)
    n_moments, n_reached = n, 0
    for moment in range(1, n_moments, max(1, n_moments // {MOMENTS})):
        n_reached += is_interrupted(call, moment)
        gc.collect(0)
        engine.session.end_gone()
        assert not engine.session.live, (moment, engine.session.live)
        assert recorder.current_run() is None and not recorder.is_task(), moment
    assert n_reached > {MOMENTS} // 2, (n_reached, n_moments)
"""
    code, _, err = run_program(HOOK + SETUP + body, store)
    assert (code, err) == (0, "")
    assert verify(store).problems == []
    assert query(store, "SELECT hook_errors FROM sessions") == [(0,)]
    found = dict(query(store, "SELECT status, count(*) FROM runs GROUP BY status"))
    assert found.keys() == {"finished", "interrupted"}


def test_a_loop_of_partial_fit_is_finished_with_its_program_unless_the_end_stops_a_call(store: Path) -> None:
    body = """
import threading
class Waits(Model):
    def partial_fit(self, X, y=None, classes=None):
        if classes is not None: inside.set(); threading.Event().wait()
        return self.fit(X, y)
inside = threading.Event()
good, stopped = Model(), Waits()
for part in range(3): good.partial_fit(X, y)
stopped.partial_fit(X, y)
threading.Thread(target=stopped.partial_fit, args=(X, y, [0, 1]), daemon=True).start()
inside.wait()
"""
    code, _, err = run_program(HOOK + SETUP + body, store)
    assert code == 0, err
    assert query(store, "SELECT model_class, status FROM runs ORDER BY started_at") == [
        ("__main__.Model", "finished"),
        ("__main__.Waits", "ended"),
    ]
