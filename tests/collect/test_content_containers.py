"""The same values in any container have the same digests and the same row hashes."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from histhooks._collect.content import Held, hold, index_overlap, look, ordered_row_hashes

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")
sparse = pytest.importorskip("scipy.sparse")
torch = pytest.importorskip("torch")

KEY = b"sixteen bytes of"
N = 17_000  # more than one block


def seen(X: Any, y: Any = None) -> dict[str, str]:
    found = look(hold(X, y), key=KEY, with_columns=False)
    assert found.why == ""
    assert found.rows is not None
    return {f"{row['part']} {row['algorithm']}": row["digest"] for row in found.digests}


def numbers(dtype: str = "f8") -> Any:
    rng = np.random.default_rng(5)
    if dtype[0] in "iu":
        return rng.integers(0, 100, (N, 3)).astype(dtype)
    return rng.normal(size=(N, 3)).astype(dtype)


def in_f_order(X: Any) -> Any:
    return np.asfortranarray(X)


def with_gaps(X: Any) -> Any:
    return np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3]


def backwards(X: Any) -> Any:
    return X[::-1].copy()[::-1]


def big_endian(X: Any) -> Any:
    return X.astype(X.dtype.newbyteorder(">"))


def masked_array(X: Any) -> Any:
    return np.ma.masked_array(X, mask=np.zeros(X.shape, bool))


def structured(X: Any) -> Any:
    out = np.empty(len(X), dtype=[(name, X.dtype) for name in "abc"])
    for number, name in enumerate("abc"):
        out[name] = X[:, number]
    return out


def frame(X: Any) -> Any:
    return pd.DataFrame(X, columns=["a", "b", "c"])


def frame_by_columns(X: Any) -> Any:
    return pd.DataFrame({name: X[:, number].copy() for number, name in enumerate("abc")})


def polars(X: Any) -> Any:
    return pl.DataFrame({name: X[:, number] for number, name in enumerate("abc")})


def polars_in_chunks(X: Any) -> Any:
    return pl.concat([polars(X[:7]), polars(X[7:12_345]), polars(X[12_345:])], rechunk=False)


def arrow(X: Any) -> Any:
    return pa.table({name: X[:, number] for number, name in enumerate("abc")})


def arrow_in_chunks(X: Any) -> Any:
    return pa.concat_tables([arrow(X).slice(0, 9), arrow(X).slice(9, 9000), arrow(X).slice(9009)])


def record_batch(X: Any) -> Any:
    return pa.record_batch({name: X[:, number] for number, name in enumerate("abc")})


def pandas_of_arrow(X: Any) -> Any:
    return arrow(X).to_pandas(types_mapper=pd.ArrowDtype)


def tensor(X: Any) -> Any:
    return torch.from_numpy(X.copy())


def strided_tensor(X: Any) -> Any:
    return torch.from_numpy(np.ascontiguousarray(X.T)).T


def tensor_data_set(X: Any) -> Any:
    return torch.utils.data.TensorDataset(torch.from_numpy(X.copy()))


def subset(X: Any) -> Any:
    twice = torch.from_numpy(np.concatenate([X[::-1], X[::-1]]))
    inner = torch.utils.data.Subset(torch.utils.data.TensorDataset(twice), range(2 * N - 1, -1, -1))
    return torch.utils.data.Subset(inner, list(range(N, 2 * N)))


def concatenated(X: Any) -> Any:
    return torch.utils.data.ConcatDataset(
        [tensor_data_set(X[:100]), tensor_data_set(X[100:16_900]), subset_at(X, 16_900)]
    )


def subset_at(X: Any, start: int) -> Any:
    return torch.utils.data.Subset(tensor_data_set(X), list(range(start, N)))


def parts(X: Any) -> Any:
    return [X[:, :2], X[:, 2:]]


def mapping(X: Any) -> Any:
    return {"left": X[:, :1], "right": X[:, 1:]}


def rows_of_arrays(X: Any) -> Any:
    return list(X)


def lists(X: Any) -> Any:
    return X.tolist()


def deep(X: Any) -> Any:
    return X.reshape(N, 1, 3)


CONTAINERS = [
    in_f_order, with_gaps, backwards, big_endian, masked_array, structured, frame, frame_by_columns, polars,
    polars_in_chunks, arrow, arrow_in_chunks, record_batch, pandas_of_arrow, tensor, strided_tensor, tensor_data_set,
    subset, concatenated, parts, mapping, rows_of_arrays, lists, deep,
]  # fmt: skip


@pytest.mark.parametrize("container", CONTAINERS)
def test_numbers_have_one_digest_in_every_container(container: Any) -> None:
    X = numbers()
    assert seen(container(X)) == seen(X)


SMALL = [c for c in CONTAINERS if c not in (lists, big_endian)]


@pytest.mark.parametrize("dtype", ["f4", "u1"])
@pytest.mark.parametrize("container", SMALL)
def test_other_dtypes_too(container: Any, dtype: str) -> None:
    X = numbers(dtype)[:N]
    assert seen(container(X)) == seen(X)


def test_a_memory_map(tmp_path: Path) -> None:
    X = numbers()
    np.save(tmp_path / "x.npy", X)
    assert seen(np.load(tmp_path / "x.npy", mmap_mode="r")) == seen(X)


def test_rows_are_equal_across_dtypes() -> None:
    X = numbers("i8")
    rows = {seen(X.astype(dtype))["rows bag64"] for dtype in ("i8", "i4", "i2", "u1", "f8", "f4", "f2")}
    assert len(rows) == 1
    brain = torch.from_numpy(X).to(torch.bfloat16)
    assert seen(brain)["rows bag64"] in rows
    assert seen(X)["features xxh3_128"] != seen(X.astype("f8"))["features xxh3_128"]


@pytest.mark.filterwarnings("ignore:Constructing a DIA")
@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "bsr", "lil", "dok", "dia"])
def test_sparse_matrices_of_every_format(kind: str) -> None:
    dense = np.random.default_rng(0).integers(0, 3, (300, 40)) * 1.5
    dense[dense > 1.5] = 0.0
    dense[0] = 0.0
    matrix = sparse.csr_matrix(dense)
    one, other = seen(matrix), seen(matrix.asformat(kind))
    assert one == other
    assert one["rows bag64"] == seen(dense)["rows bag64"]
    assert (ordered_row_hashes(matrix, KEY) == ordered_row_hashes(dense, KEY)).all()


def test_a_sparse_matrix_stays_as_it_is() -> None:
    data, columns, ends = np.array([1.0, 2.0, 0.0, 5.0]), np.array([2, 0, 1, 1]), np.array([0, 2, 3, 4])
    matrix = sparse.csr_matrix((data, columns, ends), shape=(3, 3))
    fields = set(vars(matrix))
    tidy = sparse.csr_matrix(matrix.toarray())
    assert seen(matrix) == seen(tidy)
    assert columns.tolist() == [2, 0, 1, 1]
    assert data.tolist() == [1.0, 2.0, 0.0, 5.0]
    assert set(vars(matrix)) == fields


def test_many_sparse_columns() -> None:
    rows, columns = np.arange(50), np.arange(50) * 9973 % (1 << 19)
    matrix = sparse.csr_matrix((rows + 1.0, (rows, columns)), shape=(50, 1 << 19))
    assert seen(matrix)["rows bag64"] == seen(matrix.tocsc())["rows bag64"]


WORDS = [("oslo", "rome", "", None, "ålesund")[i % 5] for i in range(N)]


@pytest.mark.parametrize(
    "column",
    [
        lambda: pd.Series(WORDS, dtype=object),
        lambda: pd.Series(WORDS, dtype="str"),
        lambda: pd.Series(WORDS, dtype="string"),
        lambda: pd.Series(WORDS, dtype="category"),
        lambda: pd.Series(WORDS, dtype=pd.ArrowDtype(pa.string())),
        lambda: pl.Series("w", WORDS),
        lambda: pl.Series("w", WORDS, dtype=pl.Categorical),
        lambda: pl.Series("w", WORDS, dtype=pl.Enum(["", "rome", "oslo", "ålesund"])),
        lambda: pa.array(WORDS),
        lambda: pa.chunked_array([WORDS[:5], WORDS[5:]], type=pa.large_string()),
        lambda: pa.array(WORDS).dictionary_encode(),
        lambda: np.array(WORDS, dtype=object),
        lambda: np.array(WORDS, dtype=object).reshape(-1, 1),
        lambda: list(WORDS),
        lambda: [[word] for word in WORDS],
    ],
)
def test_texts_have_one_digest_in_every_container(column: Any) -> None:
    assert seen(column()) == seen(tuple(WORDS))


def test_arrays_of_texts() -> None:
    words = [word or "" for word in WORDS]
    expected = seen(words)
    assert seen(np.array(words)) == seen(np.array(words, dtype="U20")) == expected


GAPS = [None if i % 7 == 3 else i % 5 for i in range(N)]


@pytest.mark.parametrize(
    "column",
    [
        lambda: pd.Series(GAPS, dtype="Int64"),
        lambda: pl.Series("g", GAPS),
        lambda: pa.array(GAPS),
        lambda: pd.Series(GAPS, dtype=pd.ArrowDtype(pa.int64())),
        lambda: np.ma.masked_array([gap or 0 for gap in GAPS], mask=[gap is None for gap in GAPS]),
    ],
)
def test_missing_whole_numbers(column: Any) -> None:
    expected = seen(pa.chunked_array([GAPS[:11], GAPS[11:]]))
    assert seen(column()) == expected
    floats = np.array([np.nan if gap is None else gap for gap in GAPS])
    assert seen(floats)["rows bag64"] == expected["rows bag64"]
    filled = np.array([gap or 0 for gap in GAPS])
    assert seen(filled)["features xxh3_128"] != expected["features xxh3_128"]


@pytest.mark.parametrize(
    "column",
    [
        lambda values: pd.Series(values, dtype="Float64"),
        lambda values: pd.Series(values, dtype="float64"),
        lambda values: pl.Series("g", values, dtype=pl.Float64),
        lambda values: pa.array(values, type=pa.float64()),
        lambda values: pa.chunked_array([values[:3], values[3:]], type=pa.float64()),
        lambda values: np.ma.masked_array([v or 0.0 for v in values], mask=[v is None for v in values]),
    ],
)
def test_missing_floats(column: Any) -> None:
    values = [None if gap is None else gap / 3 for gap in GAPS]
    assert seen(column(values)) == seen(np.array(values, dtype=float))


FLAGS = [i % 3 == 0 for i in range(N)]


@pytest.mark.parametrize(
    "column",
    [
        lambda: pd.Series(FLAGS),
        lambda: pd.Series(FLAGS, dtype="boolean"),
        lambda: pl.Series("f", FLAGS),
        lambda: pa.array(FLAGS).slice(0),
        lambda: pa.chunked_array([[True, False, *FLAGS[:3]], FLAGS[3:]]).slice(2),
        lambda: torch.tensor(FLAGS),
        lambda: list(FLAGS),
    ],
)
def test_booleans(column: Any) -> None:
    assert seen(column()) == seen(np.array(FLAGS))


@pytest.mark.parametrize("unit", ["ns", "us"])
@pytest.mark.parametrize("zone", [None, "Europe/Rome"])
def test_times(unit: str, zone: str | None) -> None:
    series = pd.Series(pd.date_range("2024-03-01", periods=N, freq="h", tz="UTC")).dt.as_unit(unit)
    series[5] = pd.NaT
    local = series.dt.tz_convert(zone)
    expected = seen(local)
    table = pa.Table.from_pandas(pd.DataFrame({"t": local}))
    assert seen(table.column("t")) == seen(pl.from_arrow(table)["t"]) == expected
    assert seen(local.to_numpy(dtype=f"M8[{unit}]")) == expected
    assert seen(pd.Series(local, dtype=pd.ArrowDtype(table.schema.field("t").type))) == expected


def test_times_of_other_units_are_the_same_rows() -> None:
    days = np.arange("2024-01-01", "2024-03-01", dtype="M8[D]")
    assert {seen(days.astype(f"M8[{unit}]"))["rows bag64"] for unit in ("D", "s", "ms", "us", "ns")} == {
        seen(pl.Series("d", days))["rows bag64"]
    }
    dates = days.astype(object).tolist()
    assert isinstance(dates[0], datetime.date)
    assert seen(pl.Series("d", dates)) == seen(days) == seen(pa.array(dates))


def test_a_mixed_frame() -> None:
    table = pa.table({"n": GAPS, "w": WORDS, "x": [float(i) for i in range(N)], "f": FLAGS})
    expected = seen(table)
    assert seen(pl.from_arrow(table)) == expected
    assert seen(table.to_pandas(types_mapper=pd.ArrowDtype)) == expected
    nullable = pd.DataFrame({
        "n": pd.array(GAPS, dtype="Int64"), "w": pd.Series(WORDS, dtype=object),
        "x": np.arange(float(N)), "f": FLAGS,
    })  # fmt: skip
    assert seen(nullable) == expected
    mixed = np.empty((N, 2), dtype=object)
    mixed[:, 0], mixed[:, 1] = WORDS, np.arange(float(N))
    assert seen(mixed) == seen(table.select(["w", "x"])) == seen([list(row) for row in mixed])


def test_complex_numbers() -> None:
    X = numbers()
    assert seen(X[:, :1] + 1j * X[:, 1:2]) == seen(X[:, :2])


def test_a_data_set_has_its_target() -> None:
    X, y = numbers(), np.arange(N) % 3
    whole = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(y))
    assert seen(whole) == seen(X, y)
    train, test = torch.utils.data.random_split(whole, [15_000, 2000], torch.Generator().manual_seed(1))
    assert seen(train) == seen(X[train.indices], y[train.indices])
    both = torch.utils.data.ConcatDataset([train, test])
    assert seen(both)["rows bag64"] == seen(X, y)["rows bag64"]


class Digits(torch.utils.data.Dataset[Any]):
    """As in torchvision: the values lie in two attributes."""

    def __init__(self, data: Any, targets: Any) -> None:
        self.data, self.targets = data, targets

    def __getitem__(self, index: int) -> Any:
        raise AssertionError("asked for a row")

    def __len__(self) -> int:
        return len(self.data)


def test_data_and_targets_of_a_data_set() -> None:
    images, classes = numbers("u1").reshape(N, 3, 1), (np.arange(N) % 4).tolist()
    expected = seen(images, classes)
    assert seen(Digits(images, classes)) == seen(Digits(torch.from_numpy(images), torch.tensor(classes))) == expected
    part = torch.utils.data.Subset(Digits(images, classes), [4, 2])
    assert seen(part) == seen(images[[4, 2]], [0, 2])


class Opaque(torch.utils.data.Dataset[Any]):
    def __getitem__(self, index: int) -> Any:
        raise AssertionError("asked for a row")

    def __len__(self) -> int:
        raise AssertionError("asked for its length")


def unread(X: Any) -> Held:
    held = hold(X)
    assert held.coverage == "none"
    found = look(held, key=KEY)
    assert (found.digests, found.columns, found.rows) == ([], [], None)
    assert found.why == held.why != ""
    return held


def test_what_is_made_when_asked_for_is_not_read() -> None:
    unread(Opaque())
    unread(torch.utils.data.DataLoader(Opaque()))
    unread(pl.LazyFrame({"a": [1]}))
    unread(iter([1, 2]))
    unread(torch.zeros(3, device="meta"))
    unread(torch.zeros(3).to_sparse())
    ragged = look(hold([[1, 2], [3]]), key=KEY)
    assert (ragged.digests, ragged.why) == ([], "rows of different lengths")


def test_indices_of_one_data_set_that_meet() -> None:
    whole = Opaque()
    part = torch.utils.data.Subset
    train, test = hold(part(whole, list(range(80)))), hold(part(whole, [75, 79, 80, 81]))
    assert index_overlap(test, train) == {
        "n_rows": 4, "n_equal": 2, "n_twins": 0, "is_identifying": 1, "method": "index",
    }  # fmt: skip
    inner = hold(part(part(whole, list(range(70, 90))), [9, 10]))
    assert index_overlap(inner, train)["n_equal"] == 1  # type: ignore[index]
    assert index_overlap(hold(part(Opaque(), [1])), train) is None
    elsewhere = torch.utils.data.TensorDataset(torch.zeros(10, 2, device="meta"))
    first, second = hold(part(elsewhere, [1, 2])), hold(part(elsewhere, [2, 3]))
    assert first.why == "a tensor on meta is not fetched"
    assert index_overlap(first, second)["n_equal"] == 1  # type: ignore[index]
    assert index_overlap(hold(numbers()), train) is None
    assert train.n_rows == 80


class Folder(torch.utils.data.Dataset[Any]):
    def __init__(self, root: str) -> None:
        self.root = root
        self.samples = [(f"{root}/cat/{i}.png", 0) for i in range(5)]

    def __getitem__(self, index: int) -> Any:
        raise AssertionError("asked for a row")

    def __len__(self) -> int:
        return len(self.samples)


def test_names_of_files_are_an_index() -> None:
    one, other = (look(hold(Folder(root)), key=KEY) for root in ("/a", "/b/c"))
    assert one.digests[0]["digest"] == other.digests[0]["digest"]
    assert [row["coverage"] for row in one.digests] == ["index"]
    part = look(hold(torch.utils.data.Subset(Folder("/a"), [1, 2])), key=KEY)
    assert part.digests[0]["n_rows"] == 2
    assert part.digests[0]["digest"] != one.digests[0]["digest"]


def test_rows_of_what_xgboost_holds() -> None:
    xgboost = pytest.importorskip("xgboost")
    X = numbers()
    X[::3, 1] = 0.0
    matrix = xgboost.DMatrix(X, label=np.arange(N))
    assert (ordered_row_hashes(matrix.get_data(), KEY) == ordered_row_hashes(X, KEY)).all()
    assert (ordered_row_hashes(X.astype("f4"), KEY) == ordered_row_hashes(X, KEY)).all()
    held = hold(matrix)
    assert (held.coverage, held.why) == ("none", "a DMatrix is read where it is made")


class Fingerprinted:
    """As a Dataset of Hugging Face, whose rows lie in files."""

    def __init__(self, fingerprint: str) -> None:
        self._data, self._indices, self._fingerprint = object(), None, fingerprint

    def __getitem__(self, index: int) -> Any:
        raise AssertionError("asked for a row")

    def __len__(self) -> int:
        return 7


def test_the_fingerprint_of_a_library_is_an_index() -> None:
    rows = [look(hold(Fingerprinted(text)), key=KEY).digests for text in ("a1", "a1", "b2")]
    assert [(row["part"], row["coverage"], row["n_rows"]) for (row,) in rows] == [("all", "index", 7)] * 3
    assert rows[0][0]["digest"] == rows[1][0]["digest"] != rows[2][0]["digest"]


def test_rows_that_are_large_are_read_a_few_at_once() -> None:
    X = np.random.default_rng(0).integers(0, 255, (40, 600_000), dtype="u1")
    expected = seen(X)
    assert seen(np.asfortranarray(X)) == seen(X.reshape(40, 1000, 600)) == seen(torch.from_numpy(X)) == expected


def test_lists_of_scalars_of_numpy() -> None:
    X = numbers("f4")
    assert seen(list(X[:, 0])) == seen(X[:, 0])
    assert seen(list(np.arange(50))) == seen(np.arange(50)) == seen(np.arange(50).astype(object))


def test_sparse_columns_of_a_frame() -> None:
    X = numbers()
    X[X < 0] = 0.0
    assert seen(pd.DataFrame(X).astype(pd.SparseDtype("float64", 0.0))) == seen(X)


@pytest.mark.parametrize(
    "make",
    [
        "import numpy as np; X = np.ones((9, 3))",
        "import numpy as np; X = [[1.0, 2.0], [3.0, 4.0]]",
        "import pandas as pd; X = pd.DataFrame({'a': [1, 2], 'b': ['x', None], 'c': pd.Categorical(['u', 'v'])})",
        "import numpy, polars as pl; X = pl.DataFrame({'a': [1, None], 'b': ['x', None]})",
        "import numpy, pyarrow as pa; X = pa.table({'a': [1, None], 'b': ['x', None]})",
        "import scipy.sparse as sp; X = sp.csc_matrix([[1.0, 0.0], [0.0, 2.0]])",
    ],
)
def test_no_library_is_imported(make: str) -> None:
    """Polars and Arrow may load parts of their own; nothing of NumPy is, whose random streams begin with an import."""
    program = f"""
{make}
import sys, json, xxhash
from histhooks._collect.content import hold, look, sketch
before = set(sys.modules)
seen = look(hold(X), key=b"k" * 16)
assert seen.digests and not seen.why, seen.why
sketch(seen.rows)
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [name for name in json.loads(done.stdout) if not name.startswith("histhooks")] == []
