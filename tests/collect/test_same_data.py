"""The split of data that a model is scored on: by what it holds, never by a name, and unsaid where nobody can know."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.warm import run_warm
from histhooks._collect.fingerprint import describe, print_at
from histhooks._collect.known_data import KnownData
from histhooks._record.run_data import DataFacts
from histhooks.testing import query
from histhooks.verify import verify

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 3)), np.arange(40) % 2
V = RNG.normal(size=(20, 3))
NEW = RNG.normal(size=(20, 3))
BIG = RNG.normal(size=(100_000, 3))  # 2.4 MB, of which a hash takes a sample
WORDS = pd.DataFrame({"word": list("abcd"), "number": [1.0, 2.0, 3.0, 4.0]})


def known(train: Any, valid: Any = None, y: Any = None) -> KnownData:
    data = KnownData()
    data.add("train", print_at(train, y))
    if valid is not None:
        data.add("valid", print_at(valid))
    return data


def split(data: KnownData, X: Any) -> str | None:
    return data.split_of(print_at(X))[0]


class Loader:
    """Data whose values nobody may ask for."""


@pytest.mark.parametrize(
    "same",
    [
        X, X.copy(), X[:], np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2], X.astype("float64", order="F"),
        X.tolist(),
        pd.DataFrame(X), pd.DataFrame(X, columns=list("abc")), pd.DataFrame(X, index=range(7, 47)),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_the_training_data_is_known_again_in_any_container_and_any_order_of_memory(same: Any) -> None:
    assert split(known(X, V), same) == "train"
    assert split(known(same, V), X) == "train"
    assert split(known(V, same), X) == "valid"
    assert split(known(X, same), X) == "train"


@pytest.mark.parametrize("other", [NEW, X[:39], X[1:], np.vstack([X, X]), X[::-1], X + 1e-9, pd.DataFrame(NEW)])
def test_other_data_is_test_and_a_part_of_the_training_data_is_other_data(other: Any) -> None:
    assert split(known(X, V), other) == "test"


def test_data_that_was_changed_in_place_is_new() -> None:
    data = X.copy()
    seen = known(data)
    assert split(seen, data) == "train"
    data[3, 1] += 1.0
    assert split(seen, data) == "test"


def test_a_frame_with_text_is_compared_in_its_own_kind() -> None:
    assert split(known(WORDS), WORDS.copy()) == "train"
    assert split(known(WORDS), WORDS.assign(word=list("abce"))) == "test"
    assert split(known(WORDS), WORDS.iloc[:3]) == "test"
    assert split(known(WORDS), WORDS.to_dict("list")) is None


def test_a_sample_that_is_alike_proves_nothing_but_for_the_very_same_object() -> None:
    assert describe(BIG)["coverage"] == "sample"
    changed = BIG.copy()
    changed[30_000] += 1.0
    seen = known(BIG)
    assert split(seen, BIG) == "train"
    assert split(seen, BIG.copy()) is None
    assert split(seen, changed) is None
    assert split(seen, np.asfortranarray(BIG)) is None
    assert split(seen, BIG.astype("float32")) is None
    assert split(seen, BIG + 1.0) == "test"
    assert split(seen, BIG[:99_999]) == "test"
    assert split(seen, NEW) == "test"


def test_what_cannot_be_read_is_known_by_identity_only() -> None:
    loader = Loader()
    seen = known(loader)
    assert split(seen, loader) == "train"
    assert split(seen, Loader()) is None
    assert split(seen, X) is None
    assert "not hashed" in seen.split_of(print_at(X))[1]
    assert split(KnownData(), X) is None
    assert split(known(X, loader), X) == "train"
    assert split(known(X, loader), NEW) is None


def test_a_stand_in_is_the_data_that_it_stands_for() -> None:
    import weakref

    matrix, other = Loader(), Loader()
    stand_ins = [
        type("DMatrix", (), {"shape": (40, 3), "stands_for": weakref.ref(thing)})() for thing in (matrix, matrix, other)
    ]
    assert split(known(stand_ins[0]), stand_ins[1]) == "train"
    assert split(known(stand_ins[0]), stand_ins[2]) is None


def test_a_model_that_goes_on_was_trained_on_what_came_before() -> None:
    later = known(V)
    assert split(later, X) == "test"
    later.earlier = known(X)
    assert (split(later, X), split(later, V), split(later, NEW)) == ("train", "train", "test")


def test_integers_that_float64_does_not_hold_are_compared_as_they_are() -> None:
    large = np.array([[2**60], [5]])
    assert split(known(large), large + np.array([[1], [0]])) == "test"
    assert split(known(large), large.copy()) == "train"
    assert split(known(large), large.astype("float64")) is None


NUMBERS = st.lists(st.lists(st.floats(width=32) | st.integers(-9, 9), min_size=2, max_size=2), min_size=1, max_size=6)


@given(NUMBERS, NUMBERS)
def test_two_data_are_one_exactly_where_their_numbers_are(one: list[Any], other: list[Any]) -> None:
    first, second = np.array(one, dtype="float64"), pd.DataFrame(np.array(other, dtype="float64"))
    is_same = first.tobytes() == np.array(other, dtype="float64").tobytes()
    assert split(known(first), second) == ("train" if is_same else "test")


PROGRAM = """
import numpy as np, histhooks
from histhooks.integrations._estimators import log_scored, saw
histhooks.autolog()
rng = np.random.default_rng(0)
X, V, NEW, PART = (rng.normal(size=(20, 3)) for _ in range(4))
y = np.arange(20) % 2
def score(run, *data, **facts):
    scored = log_scored(run, *data, **facts)
    name = scored.named("score")
    run.declare_metric(name, metric="score", split=scored.split, direction=1)
    run.log({name: 0.5})
with histhooks.start_run("training") as run:
    run.log_dataset("train", X, y)
    run.log_dataset("valid", V)
    saw(run, PART)
    for data in (X, V, NEW, NEW, PART, [object()] * 20):
        score(run, data, trained_by=run)
    score(run, NEW, y, trained_by=run, is_own=False)
with histhooks.start_run("later") as later:
    later.link("continues", run.id)
    score(later, X, trained_by=later)
with histhooks.start_run("elsewhere") as other:
    score(other, X, trained_by=None)
with histhooks.start_run("elsewhere too") as other:
    score(other, NEW, trained_by=None)
"""


def test_scores_on_other_data_are_other_series_with_the_data_beside_them(store_path: Path) -> None:
    code, _, errors = run_warm(PROGRAM, store_path)
    assert (code, errors) == (0, "")
    sql = "SELECT r.name, s.name, s.metric, s.split, s.count FROM metric_summaries s JOIN runs r ON r.id = s.run_id " \
        "WHERE s.split IS NOT 'system' ORDER BY r.started_at, s.name"  # fmt: skip
    assert query(store_path, sql) == [
        ("training", "score", "score", "test", 2),
        ("training", "train_score", "score", "train", 2),
        ("training", "unsaid_score", "score", None, 2),
        ("training", "valid_score", "score", "valid", 1),
        ("later", "train_score", "score", "train", 1),
        ("elsewhere", "unsaid_score", "score", None, 1),
        ("elsewhere too", "score", "score", "test", 1),
    ]
    sql = "SELECT role FROM run_datasets d JOIN runs r ON r.id = d.run_id WHERE r.name = 'training' ORDER BY d.ordinal"
    roles = [role for (role,) in query(store_path, sql)]
    assert roles == ["train", "valid", "train", "valid", "test", "test", "train", "evaluated", "evaluated"]
    notes = [str(note) for (note,) in query(store_path, "SELECT note FROM captures WHERE collector = 'split'")]
    assert len(notes) == 3
    assert all(note.startswith("evaluated: on which data is not said: ") for note in notes)
    assert verify(store_path).problems == []


def test_a_store_that_wants_a_split_of_each_metric_takes_one_without(store_path: Path) -> None:
    """A store as histhooks made it at 1.1 before the split of a metric could be NULL."""
    step = Path(verify.__code__.co_filename).parents[1] / "migrations"
    with closing(sqlite3.connect(store_path)) as db:
        for name in ("0001_initial.sql", "0002_fewer_indexes.sql"):
            db.executescript((step / name).read_text(encoding="utf-8"))
        db.executescript(
            "CREATE TABLE _sqlite_migrations (id INTEGER PRIMARY KEY, migration_set TEXT, name TEXT, applied_at TEXT);"
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES "
            "('histhooks', '0001_initial', ''), ('histhooks', '0002_fewer_indexes', '');"
            "PRAGMA application_id = 1212765012; PRAGMA user_version = 1001;"
        )
    program = "import histhooks\nwith histhooks.start_run('{}') as run:\n    {}run.log({{'x': 1.0}})"
    assert run_warm(program.format("before", ""), store_path)[0] == 0
    assert run_warm(program.format("after", "run.declare_metric('x', split='unsaid'); "), store_path)[0] == 0
    assert query(store_path, "SELECT split FROM metrics WHERE name = 'x' AND split IS NULL") == [(None,)]
    assert query(store_path, "SELECT count(*) FROM metrics WHERE name = 'x'") == [(2,)]
    assert query(store_path, "PRAGMA foreign_key_check") == query(store_path, "SELECT 1 WHERE 0")
    assert verify(store_path).problems == []


def test_rows_of_the_training_data_are_no_new_data() -> None:
    import numpy as np

    from histhooks._collect.row_hashes import Rows

    random = np.random.RandomState(0)
    train, new = random.rand(100, 3), random.rand(50, 3)
    whole, parts, texts = Rows(), Rows(), Rows()
    whole.add(train, 100)
    for _ in range(3):  # three epochs
        order = random.permutation(100)
        for start in range(0, 100, 10):
            parts.add(train[order[start : start + 10]], 10)
    for _ in range(10):
        texts.add([object()] * 10, 10)  # which nobody can compare
    assert parts.split_of(train, 100) == ("train", "")
    assert parts.split_of(pandas_of(train), 100) == ("train", "")
    assert parts.split_of(train.astype("float32"), 100) == ("test", "")  # other numbers
    for rows in (whole, parts):
        assert rows.split_of(new, 50) == ("test", "")
        assert rows.split_of(train[5:50], 45) == (None, "45 of its 45 rows are rows of the training data")
        assert rows.split_of(np.vstack([train[:5], new]), 55) == ("test", "")  # some are equal by chance
        assert rows.split_of(np.vstack([train, new]), 150)[0] is None
    assert texts.split_of(["others"] * 100, 100) == (None, "it has as many rows as the parts that trained together")
    assert texts.split_of(["others"] * 37, 37) == ("test", "")


SPARSE = pytest.importorskip("scipy.sparse")
NUMBERS = (RNG.random((40, 6)) < 0.4) * RNG.normal(size=(40, 6)) + np.eye(40, 6)
TEXTS = [f"text {n} of {n % 7}" for n in range(60)]
MIXED = pd.DataFrame(
    {"a": np.arange(60) / 7, "b": TEXTS, "c": pd.date_range("2020", periods=60), "d": [None, 2.5] * 30}
)


@pytest.mark.parametrize(
    ("train", "part", "new"),
    [
        (BIG, BIG[1000:1100], RNG.normal(size=(500, 3))),
        (np.asfortranarray(BIG), BIG[::7], RNG.normal(size=(90_000, 3))),
        (pd.DataFrame(BIG), pd.DataFrame(BIG).sample(frac=0.5, random_state=0), RNG.normal(size=(500, 3))),
        (BIG.astype("float32"), BIG.astype("float32")[:50], BIG[:50]),
        (SPARSE.csr_matrix(NUMBERS), SPARSE.csr_matrix(NUMBERS)[5:20], SPARSE.csr_matrix(NUMBERS * 3)),
        (SPARSE.csc_matrix(NUMBERS), SPARSE.csr_array(NUMBERS)[5:20], SPARSE.csc_matrix(NUMBERS * 2)[::2]),
        (SPARSE.csr_matrix(NUMBERS), NUMBERS[:30], NUMBERS[:30] * 2),
        (TEXTS, TEXTS[10:20], ["another text", "text 1"]),
        (pd.Series(TEXTS), pd.Series(TEXTS[5:9], index=[9, 8, 7, 6]), pd.Series(["another"])),
        (np.array(TEXTS, dtype=object), TEXTS[3:], ["another"]),
        (MIXED, MIXED.iloc[10:30], MIXED.assign(b="other").iloc[:20]),
        ([[1, "a"], [2, "b"], [3, "c"]], [[1, "a"], [3, "c"]], [[1, "b"], [2, "a"]]),
        (np.array(TEXTS), np.array(TEXTS[:5]), np.array(["another"])),
        (X + 1j, (X + 1j)[3:9], X + 2j),
    ],
)  # fmt: skip
def test_a_part_of_training_data_of_any_kind_is_not_new_and_other_data_is(train: Any, part: Any, new: Any) -> None:
    from histhooks._collect.row_hashes import Rows

    rows = Rows()
    rows.add(train, None)
    n = part.shape[0] if hasattr(part, "shape") else len(part)
    assert rows.split_of(part, n) == (None, f"{n} of its {n} rows are rows of the training data")
    assert rows.split_of(new, None) == ("test", "")


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_a_part_of_a_table_of_another_library_is_not_new(library: str) -> None:
    made: Any = pytest.importorskip(library)
    from histhooks._collect.row_hashes import Rows

    def table(n: int, shift: float = 0.0) -> Any:
        columns = {"a": (np.arange(n) + shift).tolist(), "b": [f"text {k + shift}" for k in range(n)]}
        return made.DataFrame(columns) if library == "polars" else made.table(columns)

    rows = Rows()
    rows.add(table(40), 40)
    assert rows.split_of(table(20), 20)[0] is None
    assert rows.split_of(table(20, 0.5), 20) == ("test", "")


def test_a_part_of_a_dataset_of_tensors_is_not_new() -> None:
    torch = pytest.importorskip("torch")
    from histhooks._collect.row_hashes import Rows

    def dataset(X: Any, y: Any) -> Any:
        return torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(y))

    rows = Rows()
    rows.add(dataset(X, Y), len(X))
    assert rows.split_of(dataset(X[5:20], Y[5:20]), 15)[0] is None
    assert rows.split_of(dataset(NEW, Y[:20]), 20) == ("test", "")
    assert rows.split_of(dataset(X, Y), len(X)) == ("train", "")


def test_of_very_many_rows_some_are_kept_which_are_the_same_wherever_they_stand() -> None:
    from histhooks._collect.row_hashes import _MOST, Rows

    train = RNG.normal(size=1_000_000)
    rows = Rows()
    rows.add(train, len(train))
    assert sum(map(len, rows._hashes)) <= _MOST // 2
    split, why = rows.split_of(train[5000:6000], 1000)
    assert split is None
    assert "rows that were compared are rows of the training data" in why
    assert rows.split_of(RNG.normal(size=1000), 1000) == ("test", "")
    assert rows.split_of(train[:0], 0)[0] != "train"


def test_a_score_on_a_part_of_texts_or_of_big_data_is_none_on_new_data(store_path: Path) -> None:
    body = """
import histhooks; histhooks.autolog("sklearn")
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
words = [f"word{n % 7} other{n}" for n in range(80)]
y = np.arange(80) % 2
model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(words[:60], y[:60])
for part in (slice(0, 60), slice(5, 20), slice(60, 80)):
    model.score(words[part], y[part])
X = np.random.RandomState(0).rand(60_000, 3)
z = (X[:, 0] > 0.5).astype(int)
model = LogisticRegression().fit(X[:50_000], z[:50_000])
for part in (slice(0, 50_000), slice(5, 20_000), slice(50_000, 60_000)):
    model.score(X[part], z[part])
"""
    code, _, err = run_warm(body, store_path)
    assert code == 0, err
    sql = "SELECT m.name FROM metrics AS m JOIN runs ON runs.id = run_id WHERE m.metric = 'score' "
    sql += "ORDER BY started_at, m.time"
    assert [name for (name,) in query(store_path, sql)] == ["train_score", "unsaid_score", "score"] * 2


def test_rows_are_hashed_once_for_each_content() -> None:
    def rows_of(array: Any) -> Any:
        run_data = DataFacts(None)
        run_data.id = str(id(array))
        run_data.know("train", print_at(array), array)
        assert run_data.data is not None
        assert run_data.data.rows is not None
        return run_data.data.rows

    random = np.random.RandomState(1)
    train = random.rand(60, 3)
    before, again = rows_of(train), rows_of(train.copy())
    assert before._hashes[0] is again._hashes[0]
    kept = train.copy()
    train[7] += 1.0  # in place: the same object has other rows
    after = rows_of(train)
    assert after.split_of(train, 60) == ("train", "")
    assert before.split_of(kept, 60) == ("train", "")
    assert before.split_of(train, 60) == (None, "59 of its 60 rows are rows of the training data")
    assert after.split_of(kept, 60) == (None, "59 of its 60 rows are rows of the training data")


def pandas_of(array: object) -> object:
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(array)
