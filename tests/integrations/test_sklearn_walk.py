"""A walk over the estimators of scikit-learn: the same results, one run each, the right end, and nothing unread.

A sample of them here; all with ``HISTHOOKS_WALK=all python -m pytest tests/integrations/test_sklearn_walk.py``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from helpers.warm import run_warm
from histhooks.testing import query
from histhooks.verify import verify

pytest.importorskip("sklearn")

PROGRAM = """
import hashlib, sys, warnings
warnings.simplefilter("ignore")
import numpy as np, scipy.sparse

from sklearn.utils import all_estimators, get_tags
from sklearn.utils._test_common.instance_generator import _construct_instances

rng = np.random.RandomState(0)
X = np.abs(rng.rand(40, 4)) + 0.1
y = np.array([0, 1] * 20)
real = X @ np.array([1.0, 2.0, 0.5, 1.5]) + 1

def digest(value, depth=0):
    if depth > 4: return type(value).__name__
    if isinstance(value, np.ndarray):
        is_plain = value.dtype != object
        held = value.tobytes() if is_plain else repr([digest(v, depth + 1) for v in value.ravel()]).encode()
        return hashlib.sha256(repr((value.dtype, value.shape)).encode() + held).hexdigest()
    if scipy.sparse.issparse(value): return digest(value.toarray(), depth + 1)
    if isinstance(value, (list, tuple)): return [digest(v, depth + 1) for v in value]
    if isinstance(value, dict): return {str(k): digest(v, depth + 1) for k, v in value.items() if "time" not in str(k)}
    if isinstance(value, (int, float, str, bool, type(None), np.generic)): return repr(value)
    if hasattr(value, "get_params"):
        lasting = {k: v for k, v in vars(value).items() if "time" not in k and not k.endswith("_id")}
        return {k: digest(v, depth + 1) for k, v in lasting.items()}
    return type(value).__name__

STEP, START = @STEP@
for name, kind in all_estimators()[START::STEP]:
    try:
        instances = list(_construct_instances(kind))[:1]
    except Exception as error:
        print(name, "not made", type(error).__name__)
        continue
    for estimator in instances:
        tags = get_tags(estimator)
        target = real if tags.estimator_type == "regressor" else y
        if tags.target_tags.two_d_labels or tags.target_tags.multi_output and not tags.target_tags.single_output:
            target = np.column_stack([target, target])
        data = X
        if tags.input_tags.one_d_array: data = X[:, 0]
        elif tags.input_tags.string: data = ["some words", "other words"] * 20
        elif tags.input_tags.dict: data = [{"a": float(a)} for a in X[:, 0]]
        elif tags.input_tags.pairwise: data = X @ X.T
        elif tags.input_tags.categorical and not tags.input_tags.two_d_array: data = X.round()
        params = estimator.get_params()
        if "random_state" in params: estimator.set_params(random_state=0)
        np.random.seed(0)
        try:
            if name in ("LabelBinarizer", "LabelEncoder"): fitted = estimator.fit(y)
            elif name == "MultiLabelBinarizer": fitted = estimator.fit([[0], [1, 0]])
            else: fitted = estimator.fit(data, target)
        except Exception as error:
            print(name, "failed", type(error).__name__)
            continue
        print(name, "finished", hashlib.sha256(repr(digest(fitted)).encode()).hexdigest()[:16], np.random.rand())
"""
HOOK = "import histhooks; histhooks.autolog()\n"


def test_every_estimator_has_one_run_and_is_what_it_is_without_histhooks(tmp_path: Path) -> None:
    store = tmp_path / "histhooks.db"
    step = "1, 0" if os.environ.get("HISTHOOKS_WALK") == "all" else "12, 5"
    program = PROGRAM.replace("@STEP@", step)
    code, plain, err = run_warm(program, store, PYTHONHASHSEED="0")
    assert code == 0, err
    code, out, err = run_warm(HOOK + program, store, PYTHONHASHSEED="0")
    assert code == 0, err
    assert out.splitlines() == plain.splitlines()
    assert "histhooks" not in err
    lines = [line.split() for line in out.splitlines()]
    fits = [(name, how, rest[0] if how == "failed" else None) for name, how, *rest in lines if how != "not"]
    assert len([how for _, how, _ in fits if how == "finished"]) > len(fits) * 0.9
    sql = "SELECT model_class, status, error_type FROM runs WHERE parent_id IS NULL ORDER BY started_at, id"
    runs = query(store, sql)
    assert [(str(kind).rpartition(".")[2], status, error) for kind, status, error in runs] == fits
    failed = "SELECT model_class, collector, note FROM captures AS c JOIN runs ON id = run_id WHERE c.status = 'failed'"
    assert query(store, failed) == []
    assert query(store, "SELECT kind, title FROM events WHERE kind IN ('hook_error', 'refused')") == []
    assert query(store, "SELECT sum(hook_errors) FROM sessions") == [(0,)]
    assert verify(store).problems == []
