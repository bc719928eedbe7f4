"""What a watched model costs: predict of one row, in turns with the same model that nobody watches."""

from __future__ import annotations

from harness import median, place, python, table, take_turns

_PREPARE = """
import histhooks, joblib, numpy as np
histhooks.autolog("sklearn")
from sklearn.linear_model import LogisticRegression
X = np.random.default_rng(0).normal(size=(1000, 20))
joblib.dump(LogisticRegression().fit(X, X[:, 0] > 0), "model.joblib")
histhooks.flush()
histhooks.models.promote("model.joblib", model="credit", reason="benchmark", check=False)
"""
# The class of the model that nobody watches has a method of its own, which no hook stands before.
_MEASURE = """
import statistics, time, types
import histhooks, joblib, numpy as np
now = time.perf_counter_ns

class Trivial:
    def predict(self, X): return X[:, 0]

def like(kind):
    found = kind.predict
    copy = types.FunctionType(found.__code__, found.__globals__, "predict", found.__defaults__, found.__closure__)
    return type(kind.__name__, (kind,), {"predict": copy})

def pair(model, n):
    other = like(type(model))()
    vars(other).update(vars(model))
    histhooks.watch("credit", model)
    row, plain, watched = np.zeros((1, 20)), [], []
    for turn in range(n):
        for one, kept in ((other, plain), (model, watched))[:: 1 if turn % 2 else -1]:
            begun = now()
            one.predict(row)
            kept.append(now() - begun)
    return statistics.median(plain) / 1000, statistics.median(watched) / 1000

print(*pair(Trivial(), 20_000), *pair(joblib.load("model.joblib"), 4000))
"""


def serving(repeats: int) -> None:
    """A predict of one row of 20 columns, watched and not."""
    with place() as folder:
        python(folder, code=_PREPARE)
        taken = take_turns({"both": lambda: python(folder, code=_MEASURE).numbers}, repeats)["both"]
    trivial, watched, regression, watched_regression = (median(values) for values in taken)
    rows = {
        "a trivial model": (trivial, watched, watched - trivial, watched / trivial),
        "LogisticRegression": (
            *(regression, watched_regression, watched_regression - regression, watched_regression / regression),
        ),
    }
    note = "The added time is greater behind a real model, which leaves nothing of ours in the processor's caches."
    table("predict of one row, µs", ("plain", "watched", "added", "ratio"), rows, note)
