"""Preprocessing that saw the test set is in the record; of preprocessing that did not, nothing of the kind is."""

from __future__ import annotations

import pytest

from histhooks.testing import query, run_program

pytest.importorskip("sklearn")
pytest.importorskip("pandas")

PROGRAM = """
import warnings
warnings.simplefilter("ignore")
import histhooks
histhooks.autolog("sklearn")
import gc, weakref
import numpy as np, pandas as pd
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.datasets import load_breast_cancer
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

y = load_breast_cancer().target
seed = 0

def data():  # of each flow its own, so that none is found in another
    global seed
    seed += 1
    noise = np.random.default_rng(seed).normal(size=(569, 30))
    return load_breast_cancer().data * (1 + 0.01 * noise)

def words():
    global seed
    seed += 1
    return [f"s{seed}w{i} common s{seed}w{i * 7 % 50} s{seed}z{i * 31 % 97}" for i in range(569)]

def split(A):
    return train_test_split(A, y, random_state=0)

def judge(name, train, test, y_train, y_test, model=None):
    model = model or LogisticRegression(max_iter=50)
    model.fit(train, y_train)
    model.score(test, y_test)
    names.append(name)

names = []
X = data(); judge("leaky: scaled before the split", *split(StandardScaler().fit_transform(X)))
X = data(); s = StandardScaler().fit(X); a, b, c, d = split(X)
judge("leaky: fitted on all, used apart", s.transform(a), s.transform(b), c, d)
X = data(); judge("leaky: a chain", *split(PCA(5).fit_transform(StandardScaler().fit_transform(X))))
X = data(); judge("leaky: features chosen by all targets", *split(SelectKBest(k=5).fit_transform(X, y)))
X = pd.DataFrame(data()); X = X.mask(np.random.default_rng(0).random(X.shape) < 0.05)
judge("leaky: imputed in a frame", *split(SimpleImputer().fit_transform(X)))
X = pd.DataFrame(data()).add_prefix("c")
judge("leaky: pandas output", *split(StandardScaler().set_output(transform="pandas").fit_transform(X)))
X = data(); judge("leaky: cast to float32", *split(StandardScaler().fit_transform(X).astype("float32")))
judge("leaky: vectorized before the split", *split(TfidfVectorizer().fit_transform(words())))
X = data(); judge("leaky: columns taken later", *split(StandardScaler().fit_transform(X)[:, [3, 7, 9]]))
X = data(); judge("leaky: stacked beside raw columns", *split(np.hstack([X, StandardScaler().fit_transform(X)])))
X = data(); p = make_pipeline(StandardScaler(), PCA(4)).fit(X); a, b, c, d = split(X)
judge("leaky: a pipeline of transformers", p.transform(a), p.transform(b), c, d)

a, b, c, d = split(data()); s = StandardScaler()
judge("clean: fitted on the training rows", s.fit_transform(a), s.transform(b), c, d)
a, b, c, d = split(data()); s = StandardScaler().fit(a); s.fit(a)
judge("clean: fitted twice", s.transform(a), s.transform(b), c, d)
a, b, c, d = split(data())
judge("clean: inside a pipeline", a, b, c, d, make_pipeline(StandardScaler(), LogisticRegression(max_iter=50)))
judge("clean: stateless", *split(Normalizer().fit_transform(data())))
judge("clean: hashed words", *split(HashingVectorizer(n_features=256).fit_transform(words())))
a, b, c, d = split(data()); s, r = StandardScaler(), PCA(4)
judge("clean: a chain", r.fit_transform(s.fit_transform(a)), r.transform(s.transform(b)), c, d)
a, b, c, d = split(pd.DataFrame(data())); s = StandardScaler().set_output(transform="pandas")
judge("clean: pandas output", s.fit_transform(a), s.transform(b), c, d)
judge("clean: nothing was done", *split(data()))

class Halves(BaseEstimator):  # derives from no mixin
    def fit(self, X, y=None):
        return self
    def transform(self, X):
        return X / 2

X = data(); judge("leaky: an estimator of the program", *split(Halves().fit(X).transform(X)))

large = np.random.default_rng(0).normal(size=(20_000, 20))
out = StandardScaler().fit_transform(large)
alive = weakref.ref(large), weakref.ref(out)
del large, out
gc.collect()
assert [one() is None for one in alive] == [True, True], "data of a transformer is kept alive"
ids = [run.id for run in histhooks.History().runs(kind="fit", order_by="started_at asc")]
print(*(f"{i} {n}" for i, n in zip(ids, names, strict=True)), sep="\\n")
"""


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[object, ...]]]:
    """By the name of each flow: role, class, rows, fitted rows, how they were found, and use of targets."""
    store = tmp_path_factory.mktemp("flows") / "histhooks.db"
    code, out, err = run_program(PROGRAM, store, HISTHOOKS_STRICT="1")
    assert (code, err) == (0, "")
    names = dict(line.split(" ", 1) for line in out.splitlines())
    columns = "role, class_name, n_rows, n_fitted, by, uses_target, requires_fit, transform_run_id, fitted_dataset_id"
    found: dict[str, list[tuple[object, ...]]] = {name: [] for name in names.values()}
    for run_id, role, class_name, *rest in query(
        store, f"SELECT run_id, {columns} FROM transforms ORDER BY run_id, ordinal"
    ):
        if run_id in names:
            found[names[str(run_id)]].append((role, str(class_name).rpartition(".")[2], *rest))
    return found


LEAKY = {
    "scaled before the split": [("StandardScaler", "rows")],
    "fitted on all, used apart": [("StandardScaler", "rows")],
    "a chain": [("StandardScaler", "rows"), ("PCA", "rows")],
    "features chosen by all targets": [("SelectKBest", "rows")],
    "imputed in a frame": [("SimpleImputer", "rows")],
    "pandas output": [("StandardScaler", "rows")],
    "cast to float32": [("StandardScaler", "rows")],
    "vectorized before the split": [("TfidfVectorizer", "rows")],
    "columns taken later": [("StandardScaler", "columns")],
    "stacked beside raw columns": [("StandardScaler", "columns")],
    "a pipeline of transformers": [("Pipeline", "rows")],
    "an estimator of the program": [("Halves", "rows")],
}


def test_of_each_leaky_flow_the_test_rows_are_among_those_that_were_fitted(
    flows: dict[str, list[tuple[object, ...]]],
) -> None:
    seen = {}
    for name, rows in flows.items():
        if name.startswith("leaky: "):
            test = [row for row in rows if row[0] == "test"]
            assert all(row[2] == row[3] for row in test), (name, test)
            seen[name.removeprefix("leaky: ")] = [(row[1], row[4]) for row in test]
    assert seen == LEAKY


def test_of_each_clean_flow_no_test_row_was_fitted(flows: dict[str, list[tuple[object, ...]]]) -> None:
    clean = {name: rows for name, rows in flows.items() if name.startswith("clean: ")}
    assert len(clean) == 8
    fitted = {name: [row[3] for row in rows if row[0] == "test" and row[3]] for name, rows in clean.items()}
    assert fitted == {name: [] for name in clean}
    assert flows["clean: nothing was done"] == flows["clean: inside a pipeline"] == []


def test_a_row_names_the_fit_and_its_data_and_whether_targets_were_used(
    flows: dict[str, list[tuple[object, ...]]],
) -> None:
    ((*_, uses_target, requires_fit, run_id, dataset_id),) = [
        row for row in flows["leaky: features chosen by all targets"] if row[0] == "train"
    ]
    assert (uses_target, requires_fit) == (1, 1)
    assert run_id
    assert dataset_id
    ((*_, uses_target, requires_fit, _, _),) = [row for row in flows["clean: stateless"] if row[0] == "train"]
    assert (uses_target, requires_fit) == (0, 0)
