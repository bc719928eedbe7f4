"""Which params tell runs apart, and how they are called in a table."""

from __future__ import annotations

from typing import Any

from histhooks._base.telling import inner, short_names, telling
from histhooks._base.text import largest_first, value_text

SCALE = {"$object": "sklearn.preprocessing._data.StandardScaler"}
LOGISTIC = {"$object": "sklearn.linear_model._logistic.LogisticRegression"}
FOREST = {"$object": "sklearn.ensemble._forest.RandomForestClassifier"}
PIPELINE = {"$object": "sklearn.pipeline.Pipeline"}


def pipeline(model: Any, columns: list[str] | None = None, **more: Any) -> dict[str, Any]:
    prepare = {"$object": "sklearn.compose._column_transformer.ColumnTransformer"}
    return {
        "estimator": PIPELINE,
        "estimator__steps": [["pre", prepare], ["clf", model]],
        "estimator__pre": prepare,
        "estimator__pre__transformers": [["num", SCALE, columns or ["a", "b"]]],
        "estimator__pre__num": SCALE,
        "estimator__clf": model,
        **{f"estimator__clf__{key}": value for key, value in more.items()},
    }


def told(params: list[dict[str, Any]], source: str = "argument", **other: str) -> list[str]:
    runs = {str(n): each for n, each in enumerate(params)}
    return telling(runs, {i: {key: other.get(key, source) for key in each} for i, each in runs.items()})


def test_what_holds_parts_with_params_of_their_own_is_left_out() -> None:
    assert inner(pipeline(LOGISTIC, C=1.0)) == {
        "estimator", "estimator__steps", "estimator__pre", "estimator__pre__transformers",
    }  # fmt: skip
    assert told([pipeline(LOGISTIC, C=1.0), pipeline(LOGISTIC, C=2.0)]) == ["estimator__clf__C"]
    assert told([pipeline(LOGISTIC), pipeline(FOREST)]) == ["estimator__clf"]
    assert inner({"steps": [SCALE], "estimator": LOGISTIC, "estimator__C": 1.0}) == set()


def test_what_only_the_list_of_parts_says_stays() -> None:
    assert told([pipeline(LOGISTIC), pipeline(LOGISTIC, ["a", "c"])]) == ["estimator__pre__transformers"]


def test_callbacks_that_have_params_and_second_names_are_left_out() -> None:
    params = {
        "early_stopping_rounds": 5,
        "callbacks": ["xgboost.callback.EarlyStopping"],
        "early_stopping.rounds": 5,
    }
    assert inner(params) == {"callbacks", "early_stopping.rounds"}
    assert inner({"callbacks": ["xgboost.callback.EarlyStopping"]}) == set()
    assert told([params, {**params, "early_stopping_rounds": 9, "early_stopping.rounds": 9}]) == [
        "early_stopping_rounds"
    ]


def test_a_param_of_the_program_hides_what_a_framework_made_of_it() -> None:
    rows = [
        {"lr": lr, "wd": wd, "optimizer.lr": float(lr), "optimizer.weight_decay": wd}
        for lr, wd in ((0.1, 0), (0.2, 0.5), (1, 0))
    ]
    assert told(rows) == ["lr", "wd"]
    assert told([{"epochs": 10, "patience": 10}, {"epochs": 20, "patience": 20}]) == ["epochs", "patience"]


def test_a_default_that_only_some_have_says_nothing_and_a_choice_does() -> None:
    rows: list[dict[str, Any]] = [{"a": 1, "momentum": 0}, {"a": 2}]
    assert told(rows, momentum="default") == ["a"]
    assert told(rows) == ["a", "momentum"]
    assert told([{"momentum": 0}, {"momentum": 0.9}], "default") == ["momentum"]


def test_equal_numbers_do_not_tell_runs_apart() -> None:
    sources = {"C": "argument", "verbose": "default"}
    runs = {"a": {"C": 1, "verbose": False}, "b": {"C": 1.0, "verbose": 0}}
    assert telling(runs, {"a": sources, "b": sources}) == []
    assert telling({**runs, "c": {"C": 2, "verbose": True}}, {"a": sources, "b": sources, "c": sources}) == [
        "C", "verbose"
    ]  # fmt: skip


def test_arguments_stand_where_no_param_says_them() -> None:
    assert told([{"--hard": "0.5"}, {"--hard": "0.9"}]) == ["--hard"]
    assert told([{"--hard": "0.5", "hard": 0.5}, {"--hard": "0.9", "hard": 0.9}]) == ["hard"]
    assert told([{"argument 1": "3", "max_depth": 3}, {"argument 1": "5", "max_depth": 5}]) == ["max_depth"]


def test_names_are_as_short_as_they_can_be() -> None:
    assert short_names(["clf__C", "optimizer.class", "early_stopping.patience", "cv"]) == {
        "clf__C": "C", "optimizer.class": "optimizer", "early_stopping.patience": "patience", "cv": "cv",
    }  # fmt: skip
    assert short_names(["a__C", "b__C"]) == {"a__C": "a__C", "b__C": "b__C"}
    assert short_names(["--lr", "__"]) == {"--lr": "lr", "__": "__"}


def test_values_are_in_words_of_python_and_objects_are_their_classes() -> None:
    assert value_text([["scale", SCALE], None, True, 0.1]) == '[["scale", StandardScaler()], None, True, 0.1]'
    assert value_text(0.7863749999999999) == "0.786375"
    assert value_text(0.7863749999999999, is_exact=True) == "0.7863749999999999"
    assert value_text({"$callable": "a.f", "keywords": {"k": 2}}) == "f(k=2)"
    assert value_text({"$array": {"shape": [3, 2], "dtype": "float64"}}) == "array(3 × 2, float64)"
    assert value_text({"$cut": {"items": [1, 2], "count": 9}}) == "[1, 2, … of 9]"
    assert value_text({"$bytes": 12}) == "12 bytes"
    assert value_text({}) == "{}"


def test_of_many_numbers_by_name_the_largest_are_first_and_other_values_keep_their_order() -> None:
    many = {f"x{n}": float(n) - 9 for n in range(10)}
    assert list(largest_first(many))[:3] == ["x0", "x1", "x2"]
    assert list(largest_first({"0": many, "1": many})["1"])[:2] == ["x0", "x1"]
    for other in ({"C": 1, "tol": 2}, {**many, "x0": None}, {**many, "x0": float("nan")}, {**many, "x0": True}, [1, 2]):
        assert largest_first(other) == other
        assert list(largest_first(other)) == list(other)
