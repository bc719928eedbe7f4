"""The seams by which rows are followed through transformers of scikit-learn."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import pytest

pytest.importorskip("sklearn")
np = pytest.importorskip("numpy")

from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: E402
from sklearn.pipeline import Pipeline, make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils import _set_output  # noqa: E402

import histhooks  # noqa: E402
from histhooks.integrations.sklearn import _transforms  # noqa: E402


def test_the_function_that_all_outputs_pass_through_is_where_it_was() -> None:
    names = list(inspect.signature(_set_output._wrap_data_with_container).parameters)
    assert names == ["method", "data_to_wrap", "original_input", "estimator"]
    assert _transforms.is_wrapped_by_host(vars(StandardScaler)["transform"])
    assert not _transforms.is_wrapped_by_host(vars(TfidfVectorizer)["transform"])
    assert not _transforms.is_wrapped_by_host(vars(Pipeline)["transform"])


def test_disable_puts_everything_back() -> None:
    before = _set_output._wrap_data_with_container.__code__, TfidfVectorizer.transform.__code__
    histhooks.autolog("sklearn")
    assert _set_output._wrap_data_with_container.__code__ is not before[0]
    assert TfidfVectorizer.transform.__code__ is not before[1]
    histhooks.disable()
    assert (_set_output._wrap_data_with_container.__code__, TfidfVectorizer.transform.__code__) == before


def made(words: list[str], X: Any) -> bytes:
    scaler = StandardScaler()
    out = [scaler.fit_transform(X), scaler.transform(X[:5]), TfidfVectorizer().fit_transform(words).toarray()]
    pipeline = make_pipeline(StandardScaler(), StandardScaler()).fit(X)
    return pickle.dumps([*out, pipeline.transform(X), pipeline, scaler])


def test_what_comes_out_is_the_same_with_and_without() -> None:
    X, words = np.arange(40.0).reshape(10, 4) ** 2, [f"a{n} b" for n in range(10)]
    signature, without = inspect.signature(TfidfVectorizer.transform), made(words, X)
    histhooks.autolog("sklearn")
    assert made(words, X) == without
    assert inspect.signature(TfidfVectorizer.transform) == signature
    with pytest.raises(ValueError, match="features"):
        StandardScaler().fit(X).transform(X[:, :2])
    with pytest.raises(AttributeError):
        StandardScaler().fit(X).transform_all(X)
