"""Fingerprints of data and files. Data is looked at in place: never copied whole, densified, iterated or kept."""

from __future__ import annotations

import hashlib
import math
import sys
from pathlib import Path
from typing import Any

from histhooks._base.captures import Capture
from histhooks._base.jsonable import key_text
from histhooks._base.names import masked_word
from histhooks._base.values import dumps
from histhooks._collect.data_hash import hash_values
from histhooks._collect.data_profile import profile
from histhooks._collect.data_values import MAX_COLUMNS, at_hand, dtypes_of, has, is_frame, is_pandas, names_of
from histhooks._collect.same_data import FAILURES, Print, print_of, reference
from histhooks._host.named_columns import named
from histhooks._host.store_location import data_mode
from histhooks._store.ledger import canonical


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(data).hexdigest()


def hash_file(path: Path) -> tuple[str, int]:
    """SHA-256 and size of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return digest.hexdigest(), file.tell()


def describe(X: Any, y: Any = None) -> dict[str, Any]:
    """The fingerprint of data.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,), optional

    Returns
    -------
    dict
        Columns of `datasets`. ``coverage`` says what ``content_hash`` covers: `all` up to 1 MiB, `sample` (first,
        middle and last rows) above, `none` where the values cannot be read in place.
    """
    return look_at(X, y)[0]


def look_at(X: Any, y: Any = None) -> tuple[dict[str, Any], Print]:
    """The fingerprint of data, as :func:`describe` gives it, and what is kept to know the data again."""
    if data_mode() == "off":
        return _unseen(X, y)
    X, y = at_hand(X), at_hand(y)
    key = _key_of(X, y)
    known = _looked_at.get(key) if key is not None else None
    if known is not None:
        return dict(known[0]), known[1]
    digest = hashlib.sha256()
    covers = [hash_values(X, digest)] if X is not None else []
    seen = _print(X, y, covers, digest)
    if y is not None:
        covers.append(hash_values(y, digest))
    found = _fingerprint(X, y, covers, digest)
    if key is not None and seen.thing is None:
        if len(_looked_at) >= _MOST_SEEN:
            _looked_at.clear()
        _looked_at[key] = dict(found), seen
    return found, seen


# What came of the latest arrays, by all that it follows from: a loop of fits looks at its data once.
_looked_at: dict[tuple[Any, ...], tuple[dict[str, Any], Print]] = {}
_MOST_BYTES = 1 << 20  # above, a hash covers a sample


def _key_of(X: Any, y: Any) -> tuple[Any, ...] | None:
    """What arrays are known again by, at the cost of reading them; None of anything but small plain arrays."""
    numpy = sys.modules.get("numpy")
    array: Any = getattr(numpy, "ndarray", None)
    key: list[Any] = []
    for part in (X, y):
        if part is None:
            key.append(None)
        elif (
            type(part) is array and part.flags.c_contiguous and part.nbytes <= _MOST_BYTES and part.dtype.kind in "biuf"
        ):
            import xxhash

            key += [part.shape, part.dtype.str, part.flags.f_contiguous, xxhash.xxh3_128_digest(part)]
        else:
            return None
    return tuple(key)


def _is_plain(array: Any) -> bool:
    return array.dtype.kind in "biuf" and array.dtype.metadata is None


def print_at(X: Any, y: Any = None) -> Print:
    """What is kept to know data again, without its fingerprint."""
    if data_mode() == "off":
        return _unseen(X, y)[1]
    X, y = at_hand(X), at_hand(y)
    digest = hashlib.sha256()
    return _print(X, y, [hash_values(X, digest)] if X is not None else [], digest)


def _unseen(X: Any, y: Any) -> tuple[dict[str, Any], Print]:
    """What is said of data whose values HISTHOOKS_DATA=off leaves alone: class and shape; and which object it is."""
    shape = _shape(at_hand(X))
    parts = {name: {"kind": type(p).__name__, "shape": list(_shape(at_hand(p)))} for name, p in (("X", X), ("y", y))}
    row: dict[str, Any] = {
        "kind": type(X).__name__,
        "n_rows": shape[0] if shape else None,
        "n_columns": _width(shape),
        "size_bytes": None,
        "coverage": "none",
        "content_hash": None,
        "schema": dumps(parts if y is not None else {"X": parts["X"]}),
        "profile": None,
    }
    found = {"id": sha256(canonical(row)), **row}
    return found, Print(type(X).__name__, (), shape, "none", None, None, None, reference(X))


def _print(X: Any, y: Any, covers: list[str], digest: Any) -> Print:
    # A stand-in for data that nobody may look at names what it stands for, by a weak reference.
    stands_for = vars(type(X)).get("stands_for")
    thing = stands_for() if stands_for is not None else None
    return print_of(X, y, _shape(X), covers[0] if covers else "none", digest.copy().digest(), thing)


def _names_and_types(X: Any) -> list[Any]:
    """What a frame or a series says beside its values: the names of its columns, as text and kind, and their dtypes."""
    if not is_pandas(X):
        return []
    try:
        if is_frame(X):
            names, kinds = names_of(X, MAX_COLUMNS), [type(name).__name__ for name in X.columns[:MAX_COLUMNS]]
            return [*zip(names, kinds, map(_type_of, dtypes_of(X)), strict=False)]
        name = getattr(X, "name", None)
        return [(masked_word(key_text(name)), type(name).__name__, _type_of(X.dtype))]
    except (AttributeError, TypeError, ValueError, RuntimeError):
        return []


def _type_of(dtype: Any) -> str:
    """A dtype with what its name leaves out: whether categories have an order, and which there are."""
    categories = getattr(dtype, "categories", None)
    if categories is None or not hasattr(dtype, "ordered"):
        return str(dtype)
    digest = hashlib.sha256()
    return f"{dtype} {dtype.ordered} {hash_values(categories, digest)} {digest.hexdigest()}"


def _fingerprint(X: Any, y: Any, covers: list[str], digest: Any) -> dict[str, Any]:
    for part in (X, y):
        names = _names_and_types(part)
        if names:
            digest.update(repr(names).encode("utf-8", "backslashreplace"))
    coverage = "none" if "none" in covers else "sample" if "sample" in covers else "all"
    schema = {"X": _schema(X)} if y is None else {"X": _schema(X), "y": _schema(y)}
    content_hash = None if coverage == "none" else digest.hexdigest()
    if coverage != "all":
        return _row(X, y, coverage, content_hash, dumps(schema))
    # All of a profile follows from values that were hashed: a grid of fits looks at its data once.
    key = repr((content_hash, schema, _size(X), named()))
    row = _seen.get(key)
    if row is None:
        row = _row(X, y, coverage, content_hash, dumps(schema))
        if len(_seen) >= _MOST_SEEN:
            _seen.clear()
        _seen[key] = row
    return dict(row)


# The latest fingerprints by what they follow from; a few hundred bytes each, and a few kB where columns are many.
_seen: dict[str, dict[str, Any]] = {}
_MOST_SEEN = 16


def _row(X: Any, y: Any, coverage: str, content_hash: str | None, schema: str) -> dict[str, Any]:
    shape = _shape(X)
    counts = profile(X, y)
    row = {
        "kind": type(X).__name__,
        "n_rows": shape[0] if shape else None,
        "n_columns": _width(shape),
        "size_bytes": _size(X),
        "coverage": coverage,
        "content_hash": content_hash,
        "schema": schema,
        "profile": None if counts is None else dumps(counts),
    }
    return {"id": sha256(canonical(row)), **row}


def with_content(row: dict[str, Any], coverage: str, content_hash: str | None) -> dict[str, Any]:
    """The fingerprint of data whose values were hashed elsewhere."""
    facts = {**row, "coverage": coverage, "content_hash": content_hash}
    del facts["id"]
    return {"id": sha256(canonical(facts)), **facts}


def content_of(X: Any, y: Any) -> tuple[str, str | None]:
    """How much of data is hashed, and its hash, without a profile; at a tenth of the cost of :func:`describe`."""
    import xxhash

    X, y = at_hand(X), at_hand(y)
    digest = xxhash.xxh3_128()
    covers = [hash_values(part, digest) for part in (X, y) if part is not None]
    coverage = "none" if "none" in covers or not covers else "sample" if "sample" in covers else "all"
    return coverage, None if coverage == "none" else sha256(digest.digest())


def size_of(X: Any) -> int:
    """Bytes of data as far as it says so, else 0."""
    try:
        return _size(at_hand(X)) or 0
    except FAILURES:
        return 0


def capture_of(role: str, row: dict[str, Any]) -> Capture:
    """What came of reading data, given its fingerprint."""
    if data_mode() == "off":
        return Capture("data", "off", f"{role}: its values were not read, since HISTHOOKS_DATA is off")
    status = {"all": "ok", "sample": "truncated"}.get(row["coverage"], "skipped")
    why = {
        "ok": "",
        "truncated": ": its content was hashed by a sample",
        "skipped": f": its content was not hashed, since values of this {row['kind']} cannot be read in place",
    }
    return Capture("data", status, role + why[status])


def _shape(X: Any) -> tuple[int | None, ...]:
    if has(X, "tensors"):  # a TensorDataset: what its first tensor holds
        return tuple(int(n) for n in X.tensors[0].shape)
    if has(X, "indices") and has(X, "dataset"):
        return (len(X), *_shape(X.dataset)[1:])
    shape = getattr(X, "shape", None)
    if shape is not None:
        try:
            return tuple(None if n is None else int(n) for n in shape)
        except (TypeError, ValueError):
            return ()
    if isinstance(X, (list, tuple)):
        first = X[0] if X else None
        return (len(X), len(first)) if isinstance(first, (list, tuple)) else (len(X),)
    return ()


def _width(shape: tuple[int | None, ...]) -> int | None:
    """Values in one sample, whatever their arrangement."""
    sizes = [n for n in shape[1:] if n is not None]
    return math.prod(sizes) if shape and len(sizes) == len(shape) - 1 else None


def _schema(X: Any) -> dict[str, Any]:
    out: dict[str, Any] = {"kind": type(X).__name__, "shape": list(_shape(X))}
    columns = X.columns if has(X, "columns") else None
    if columns is not None and has(X, "dtypes"):
        names = names_of(X, MAX_COLUMNS)
        out["columns"] = dict(zip(names, [str(d) for d in dtypes_of(X)], strict=False))
        if len(columns) > MAX_COLUMNS:
            out["columns_in_all"] = len(columns)
    elif has(X, "dtype") and X.dtype is not None:
        out["dtype"] = str(X.dtype)
    if has(X, "tensors"):
        out["tensors"] = [{"shape": list(tensor.shape), "dtype": str(tensor.dtype)} for tensor in X.tensors]
    if has(X, "nnz"):
        out["nnz"] = int(X.nnz)
    return out


def _size(X: Any) -> int | None:
    try:
        nbytes = X.nbytes if has(X, "nbytes") else None
    except RuntimeError:  # a sparse tensor of PyTorch
        return None
    if isinstance(nbytes, int):
        return nbytes
    if has(X, "tensors"):
        return sum(int(tensor.nbytes) for tensor in X.tensors)
    if has(X, "nnz") and has(X, "data"):
        parts = (getattr(X, name, None) for name in ("data", "indices", "indptr", "row", "col"))
        return sum(int(getattr(p, "nbytes", 0)) for p in parts if p is not None)
    if is_frame(X):
        return sum(int(X.iloc[:, n].array.nbytes) for n in range(len(X.columns)))
    return None
