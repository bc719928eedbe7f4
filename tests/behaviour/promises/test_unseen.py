"""What a program could notice of the recorder beside its functions: warnings, frames, attributes, lazy data."""

from pathlib import Path

import pytest

from histhooks.testing import query, run_program

# Prints who enters `warnings.catch_warnings` beside the program: threads of the recorder, or its hooks.
SPY = """
import sys, threading, traceback, warnings
def spy(enter):
    def entered(self):
        frames = traceback.extract_stack()
        is_ours = any("/src/histhooks/" in frame.filename for frame in frames)
        if is_ours or threading.current_thread().name.startswith("histhooks"):
            print(threading.current_thread().name, [f"{frame.filename}:{frame.lineno}" for frame in frames[-8:]])
        return enter(self)
    return entered
warnings.catch_warnings.__enter__ = spy(warnings.catch_warnings.__enter__)
"""


def test_nothing_enters_catch_warnings_which_would_show_all_warnings_again(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    body = """
import histhooks; histhooks.autolog()
import time
import numpy as np, pandas as pd
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
X = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": pd.Categorical(["x", "y", "x", "y"]), "c": ["p", "q", "r", "s"]})
class Model(Ridge):
    def fit(self, X, y): return super().fit(np.ones((len(y), 2)), y)
    def score(self, X, y): return 1.0
y = pd.Series([1.0, 2.0, 3.0, 4.0])
Model().fit(X, y).score(X, y)
shown = []
warnings.simplefilter("default")
warnings.showwarning = lambda *args, **kwargs: shown.append(args)
def noisy(): warnings.warn("once per place")
for _ in range(300): noisy(); time.sleep(0.005)
histhooks.flush()
assert len(shown) == 1, shown
"""
    store = tmp_path / "histhooks.db"
    code, out, err = run_program(SPY + body, store)
    assert (code, out) == (0, ""), err
    assert query(store, "SELECT count(*) FROM environments") == [(1,)]
    ((kind, columns, size),) = query(
        store, "SELECT kind, n_columns, size_bytes FROM datasets WHERE kind = 'DataFrame' LIMIT 1"
    )
    assert (kind, columns) == ("DataFrame", 3)
    assert size > 32


LAZY = """
import histhooks; histhooks.autolog()
import warnings; warnings.simplefilter("error")
from sklearn.base import BaseEstimator
class Model(BaseEstimator):
    def fit(self, X, y=None): return self
    def partial_fit(self, X, y=None): return self
    def score(self, X, y=None): return 1.0
def refuse(self, *args): raise AssertionError("computed")
class Lazy:
    def collect(self): ...
    __len__ = __array__ = __iter__ = __getattr__ = refuse
    shape = columns = dtypes = dtype = nbytes = property(refuse)
data = [Lazy()]
try:
    import polars
    data.append(polars.DataFrame({"a": [1, 2]}).lazy().map_batches(refuse))
except ImportError: pass
try:
    import dask.array
    data.append(dask.array.ones((4, 2)).map_blocks(refuse, meta=dask.array.ones(1)._meta))
except ImportError: pass
for X in data:
    Model().fit(X)
    Model().fit(X, X).score(X, X)
    Model().partial_fit(X)
"""


def test_data_that_computes_when_it_is_looked_at_is_not_looked_at(tmp_path: Path) -> None:
    store = tmp_path / "histhooks.db"
    code, _, err = run_program(LAZY, store)
    assert code == 0, err
    kinds = {kind for (kind,) in query(store, "SELECT kind FROM datasets")}
    assert "Lazy" in kinds
    assert kinds <= {"Lazy", "LazyFrame", "Array"}
    assert query(store, "SELECT DISTINCT content_hash, coverage FROM datasets") == [(None, "none")]
    assert query(store, "SELECT count(*) FROM runs WHERE status <> 'finished' AND model_class NOT LIKE '%Model'") == [
        (0,)
    ]


ATTRIBUTES = """
import histhooks; histhooks.autolog()
import numpy as np
from sklearn.base import BaseEstimator
asked = []
class Odd(BaseEstimator):
    def __init__(self, alpha=1.0): self.alpha = alpha
    def __getattr__(self, name):
        if not name.startswith("__"): asked.append(name)
        raise AttributeError(name)
    @property
    def transform(self): asked.append("transform"); return None
    @property
    def predict(self): asked.append("predict"); raise RuntimeError("not fitted")
    @property
    def warm_start(self): asked.append("warm_start"); return True
    def __sklearn_tags__(self): asked.append("tags"); return super().__sklearn_tags__()
    def fit(self, X, y=None):
        assert not asked, asked
        return self
    def partial_fit(self, X, y=None): return self.fit(X)
for _ in range(2):
    model = Odd().fit(np.ones((3, 1)))
    asked.clear()
    model.fit(np.ones((3, 1)))
    asked.clear()
Odd().partial_fit(np.ones((3, 1)))
"""


def test_no_attribute_of_an_estimator_is_asked_for_before_its_fit(tmp_path: Path) -> None:
    store = tmp_path / "histhooks.db"
    code, _, err = run_program(ATTRIBUTES, store)
    assert code == 0, err
    assert query(store, "SELECT count(*), min(kind) FROM runs") == [(5, "fit")]


DEPTH = """
import inspect, sys
if "recorded" in sys.argv: import histhooks; histhooks.autolog()
from sklearn.base import BaseEstimator, clone
from sklearn.utils.parallel import Parallel, delayed
import xgboost
depths = []
class Inner(BaseEstimator):
    def fit(self, X, y=None): depths.append(len(inspect.stack())); return self
class Meta(BaseEstimator):
    def __init__(self, inner=None): self.inner = inner
    def fit(self, X, y=None): depths.append(len(inspect.stack())); clone(self.inner).fit(X); return self
class Boosted(xgboost.XGBRegressor):
    def fit(self, X, y): depths.append(len(inspect.stack())); return self
model = Inner()
for _ in range(5): model = Meta(model)
model.fit([[1.0]])
Boosted().fit([[1.0]], [1.0])
print(depths)
"""


def test_each_fit_that_is_nested_in_another_costs_one_frame(tmp_path: Path) -> None:
    pytest.importorskip("xgboost")
    program = tmp_path / "program.py"
    program.write_text(DEPTH)
    found = []
    for argument in ("plain", "recorded"):
        body = f"import sys, runpy; sys.argv = ['program.py', {argument!r}]; runpy.run_path({str(program)!r})"
        code, out, err = run_program(body, tmp_path / "histhooks.db")
        assert code == 0, err
        found.append(eval(out))
    assert [ours - plain for plain, ours in zip(*found, strict=True)] == [1, 2, 3, 4, 5, 6, 1]


UNSEEN = """
import histhooks; histhooks.autolog()
import functools
from types import MethodType
from sklearn.base import BaseEstimator
class Timed:
    def __init__(self, function): self.function = function
    def __get__(self, owner, kind=None): return MethodType(self, owner)
    def __call__(self, *args): return self.function(*args)
class Described(BaseEstimator):
    @Timed
    def fit(self, X, y=None): return self
class Late(BaseEstimator):
    def fit(self, X, y=None): return self
class Partial(BaseEstimator):
    def _fit(self, X, y=None, how=None): self.how_ = how; return self
    fit = functools.partialmethod(_fit, how="fast")
class Mixin:
    def fit(self, X, y=None): return self
class Mixed(Mixin, BaseEstimator): pass
class Seen(BaseEstimator):
    def fit(self, X, y=None): return self
class Lazy(BaseEstimator):
    def fit(self, X, y=None): yield self
def late(self, X, y=None): return self
def decorated(function):
    def inner(self, X, y=None): return function(self, X, y)
    return inner
Late.fit = late
Seen.fit = decorated(Seen.fit)
for kind in (Described, Lazy, Late, Seen, Partial, Mixed, Late): kind().fit([[1.0]])
assert Partial().fit([[1.0]]).how_ == "fast" and Mixin().fit(1)
"""


def test_what_no_hook_can_see_is_said_once(tmp_path: Path) -> None:
    store = tmp_path / "histhooks.db"
    code, _, err = run_program(UNSEEN, store, HISTHOOKS_QUIET="1")
    assert code == 0, err
    late = "calls of Late.fit are not recorded until now: it was put there after its class was made, and is seen"
    said = [
        "calls of Described.fit are not recorded: it is an object of Timed, and no function of Python",
        "calls of Lazy.fit are not recorded: it is a generator, which runs later than it is called",
        f"{late} from here on",
    ]
    assert err.splitlines() == [f"histhooks: {text}" for text in said]
    notes = query(store, "SELECT note FROM captures WHERE collector = 'fits' ORDER BY time")
    assert notes == [(text,) for text in said]
    kinds = query(store, "SELECT model_class FROM runs ORDER BY started_at")
    assert [str(name).rpartition(".")[2] for (name,) in kinds] == ["Seen", "Partial", "Mixed", "Late", "Partial"]


REFUSED = """
import sklearn, xgboost
from sklearn.linear_model import Ridge
if HOW == "old":
    sklearn.__version__ = "1.1.0"
else:
    class Tool:
        def __call__(self, *args): ...
    xgboost.callback.CallbackContainer.__init__ = Tool()
import histhooks
histhooks.autolog()
histhooks.autolog()
Ridge().fit([[1.0], [2.0]], [1.0, 2.0])
with histhooks.start_run("by hand"): pass
"""


@pytest.mark.parametrize(("how", "name", "why"), [("old", "sklearn", "1.1.0 is too old"), ("tool", "xgboost", "Tool")])
def test_a_framework_that_cannot_be_recorded_is_named_once_with_the_reason(
    how: str, name: str, why: str, tmp_path: Path
) -> None:
    pytest.importorskip("xgboost")
    store = tmp_path / "histhooks.db"
    code, _, err = run_program(f"HOW = {how!r}\n{REFUSED}", store, HISTHOOKS_STRICT="0", HISTHOOKS_QUIET="1")
    assert code == 0, err
    (line,) = err.splitlines()
    assert line.startswith(f"histhooks: {name} is not recorded: ")
    assert why in line
    assert query(store, "SELECT DISTINCT note FROM captures WHERE collector = 'hooks'") == [
        (line.removeprefix("histhooks: "),)
    ]


SEEDING = """
import copy, functools, inspect, pickle, random
import numpy as np
from numpy.random import default_rng, seed
held = {"partial": functools.partial(default_rng, 0), "dict": {"seed": seed}, "method": random.Random.seed}
functions = (np.random.seed, np.random.default_rng, random.seed)
def told(function):
    ask = (inspect.signature, inspect.getfullargspec, inspect.isroutine, inspect.ismethod)
    names = ("__name__", "__qualname__", "__module__", "__doc__", "__defaults__", "__kwdefaults__")
    said = [*(one(function) for one in ask), *(getattr(function, name) for name in names)]
    return [*said, function.__code__.co_varnames, function.__code__.co_name]
before = [told(function) for function in functions]
import histhooks; histhooks.autolog()
assert [told(function) for function in (np.random.seed, np.random.default_rng, random.seed)] == before
assert random.seed == functions[2] and random.seed.__func__ is random.Random.seed
for thing in (*held.values(), np.random.seed, np.random.default_rng, seed, default_rng):
    pickle.loads(pickle.dumps(thing)); copy.deepcopy(thing)
assert held["partial"]().random() == np.random.default_rng(0).random()
random.Random(5).seed(6); np.random.seed(3); random.seed(4)
with histhooks.start_run("one"): pass
histhooks.disable()
assert (np.random.seed, np.random.default_rng, random.seed) == functions
assert [told(function) for function in functions] == before
"""


def test_functions_that_seed_look_and_pickle_as_before(tmp_path: Path) -> None:
    store = tmp_path / "histhooks.db"
    code, _, err = run_program(SEEDING, store)
    assert code == 0, err
    seeds = set(query(store, "SELECT library, call, value FROM seeds"))
    assert {("numpy", "default_rng", "0"), ("numpy", "seed", "3"), ("random", "seed", "4")} <= seeds


NEAR = """
import sys
if ARGUMENT == "recorded": import histhooks; histhooks.autolog()
from sklearn.base import BaseEstimator
class Deep(BaseEstimator):
    def __init__(self, depth=0): self.depth = depth
    def fit(self, X, y=None):
        if self.depth: Deep(self.depth - 1).fit(X)
        return self
def most(low, high):
    while high - low > 1:
        middle = (low + high) // 2
        try: Deep(middle).fit([[1.0]])
        except RecursionError: high = middle
        else: low = middle
    return low
Deep().fit([[1.0]])
sys.setrecursionlimit(600)
print(most(1, 600))
"""


def test_near_the_recursion_limit_a_fit_goes_nearly_half_as_deep_as_without_us_and_never_fails_by_us(
    tmp_path: Path,
) -> None:
    found = []
    for argument in ("plain", "recorded"):
        code, out, err = run_program(
            f"ARGUMENT = {argument!r}\n{NEAR}", tmp_path / "histhooks.db", HISTHOOKS_STRICT="0"
        )
        assert code == 0, err
        found.append(int(out))
    plain, ours = found
    assert ours > plain / 2 - 30


ODD = """
import sys, warnings
if 'recorded' in sys.argv: import histhooks; histhooks.autolog()
import numpy as np, inspect, copy, pickle, functools, types, threading
from sklearn.base import BaseEstimator, clone
from dataclasses import dataclass, field
@dataclass
class D(BaseEstimator):
    a: int = 1
    def fit(self, X, y=None, *, w=None): return self
print(D().fit([[1]]), inspect.signature(D.fit))
m=D(); f=m.fit; g=functools.partial(f,[[1]]); print(f is not None, g() is m, list(map(f,[[[1]]]))[0] is m)
class G(BaseEstimator):
    def fit(self, X):
        yield 1
        yield 2
print(list(G().fit(1)), inspect.isgeneratorfunction(G.fit))
class A(BaseEstimator):
    async def fit(self, X): return 3
import asyncio
async def main(): return await asyncio.gather(*(A().fit(i) for i in range(3)))
print(asyncio.run(main()), inspect.iscoroutinefunction(A.fit))
class E(BaseEstimator):
    def fit(self, X): raise SystemExit(3)
try: E().fit(1)
except SystemExit as e: print('exit', e.code, e.__context__)
from unittest import mock
with mock.patch.object(D,'fit',autospec=True) as mm: D().fit([[2]]); print(mm.call_args)
with mock.patch.object(D,'fit',lambda self,X: 'mocked'): print(D().fit(1))
print(D().fit([[1]]))
def other(self, X, y=None, *, w=None): return 'other'
code=D.fit.__code__; D.fit.__code__=other.__code__; print(D().fit(1)); D.fit.__code__=code; print(D().fit([[1]]))
h=types.FunctionType(D.fit.__code__, D.fit.__globals__, 'h', D.fit.__defaults__)
h.__kwdefaults__=D.fit.__kwdefaults__
print(h(D(),[[1]]))
C=type('C',(D,),{}); print(C().fit([[1]]))
print(inspect.getclosurevars(D.fit).nonlocals, inspect.unwrap(D.fit) is D.fit, inspect.getsource(D.fit).strip())
print(hash(D.fit.__code__) is not None, D.fit.__code__ == D.fit.__code__, copy.copy(D.fit) is D.fit)
class L(BaseEstimator):
    def fit(self, X, y=None):
        fr=sys._getframe(); return sorted(fr.f_locals), fr.f_code.co_name, super().__class__ is not None
print(L().fit(1))
import traceback
class T(BaseEstimator):
    def fit(self, X): return self.inner(X)
    def inner(self, X): return 1/0
try: T().fit(1)
except ZeroDivisionError as e: print(''.join(traceback.format_exception(e)))
class X1(BaseEstimator):
    def fit(self, X):
        try: raise KeyError('a')
        except KeyError: raise ValueError('b')
try: X1().fit(1)
except ValueError as e: print(repr(e.__context__), len(list(traceback.walk_tb(e.__traceback__))))
import typing
class H(BaseEstimator):
    def fit(self, X: "np.ndarray", y: typing.Optional[int]=None) -> "H": return self
print(typing.get_type_hints(H.fit)['y'], H.fit.__annotations__['X'])
"""


def test_a_program_of_odd_things_prints_the_same_with_the_same_tracebacks(tmp_path: Path) -> None:
    path, found = tmp_path / "odd.py", []
    path.write_text(ODD)
    for argument in ("plain", "recorded"):
        start = f"import sys, runpy; sys.argv = ['odd', {argument!r}]"
        code, out, err = run_program(
            f"{start}; runpy.run_path({str(path)!r}, run_name='__main__')", tmp_path / "histhooks.db"
        )
        assert code == 0, err
        found.append(out)
    assert found[0] == found[1]
    assert "ZeroDivisionError" in found[0]
