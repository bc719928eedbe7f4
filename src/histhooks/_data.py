"""Fingerprints of data and files. Data is looked at in place: never copied whole, densified, iterated or kept."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

from histhooks._values import clean_text, dumps

_MAX_COLUMNS = 2000
_WHOLE_BYTES = 1 << 20
_SAMPLE_BYTES = 1 << 16


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
        Columns of `datasets` but for its id. ``coverage`` says what ``content_hash`` covers: `all` up to 1 MiB,
        `sample` (first, middle and last 64 KiB) above, `none` where the values do not lie in one buffer.
    """
    shape = _shape(X)
    schema: dict[str, Any] = {"X": _schema(X)}
    if y is not None:
        schema["y"] = _schema(y)
    digest = hashlib.sha256()
    covers = [_hash(part, digest) for part in (X, y) if part is not None]
    coverage = "none" if "none" in covers else "sample" if "sample" in covers else "all"
    return {
        "kind": type(X).__name__,
        "n_rows": shape[0] if shape else None,
        "n_columns": (shape[1] if len(shape) > 1 else 1) if shape else None,
        "size_bytes": _size(X),
        "coverage": coverage,
        "content_hash": None if coverage == "none" else digest.hexdigest(),
        "schema": dumps(schema),
        "profile": None,
    }


def _shape(X: Any) -> tuple[int | None, ...]:
    if hasattr(X, "tensors"):  # a TensorDataset: what its first tensor holds
        return tuple(int(n) for n in X.tensors[0].shape)
    if hasattr(X, "indices") and hasattr(X, "dataset"):
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


def _schema(X: Any) -> dict[str, Any]:
    out: dict[str, Any] = {"kind": type(X).__name__, "shape": list(_shape(X))}
    columns = getattr(X, "columns", None)
    if columns is not None and hasattr(X, "dtypes"):
        names = [clean_text(str(c)) for c in list(columns[:_MAX_COLUMNS])]
        out["columns"] = dict(zip(names, [str(d) for d in list(X.dtypes)[:_MAX_COLUMNS]], strict=False))
        if len(columns) > _MAX_COLUMNS:
            out["columns_in_all"] = len(columns)
    elif getattr(X, "dtype", None) is not None:
        out["dtype"] = str(X.dtype)
    if hasattr(X, "tensors"):
        out["tensors"] = [{"shape": list(tensor.shape), "dtype": str(tensor.dtype)} for tensor in X.tensors]
    if hasattr(X, "nnz"):
        out["nnz"] = int(X.nnz)
    return out


def _size(X: Any) -> int | None:
    nbytes = getattr(X, "nbytes", None)
    if isinstance(nbytes, int):
        return nbytes
    if hasattr(X, "tensors"):
        return sum(int(tensor.nbytes) for tensor in X.tensors)
    if hasattr(X, "nnz") and hasattr(X, "data"):
        parts = (getattr(X, name, None) for name in ("data", "indices", "indptr", "row", "col"))
        return sum(int(getattr(p, "nbytes", 0)) for p in parts if p is not None)
    if hasattr(X, "memory_usage") and hasattr(X, "columns"):
        return int(X.memory_usage(index=False).sum())
    return None


def _buffers(X: Any) -> list[Any] | None:
    """The buffers that hold the values, without a copy; None where there are none."""
    if hasattr(X, "nnz") and hasattr(X, "indices"):
        return [X.indptr, X.indices, X.data]
    if hasattr(X, "indices") and hasattr(X, "dataset"):  # a Subset of PyTorch
        whole = _buffers(X.dataset)
        return None if whole is None else [_numbers(X.indices), *whole]
    if hasattr(X, "tensors"):  # a TensorDataset; what lies on a device is not fetched
        on_host = all(t.device.type == "cpu" and not t.requires_grad for t in X.tensors)
        return [tensor.numpy() for tensor in X.tensors] if on_host else None
    if hasattr(X, "dtypes") and hasattr(X, "columns"):
        arrays = [getattr(X[c], "array", None) for c in X.columns] if len(X.columns) <= _MAX_COLUMNS else [None]
        numpy_arrays = [getattr(a, "_ndarray", None) for a in arrays]
        return None if any(a is None for a in numpy_arrays) else numpy_arrays
    if hasattr(X, "__array_interface__"):
        return [X]
    inner = getattr(getattr(X, "array", None), "_ndarray", None)
    return None if inner is None else [inner]


def _numbers(indices: Any) -> Any:
    """The indices of a Subset, which are a list, as a buffer."""
    numpy = sys.modules.get("numpy")
    return indices.numpy() if hasattr(indices, "numpy") or numpy is None else numpy.asarray(indices, dtype="int64")


def _hash_strided(buffer: Any, digest: Any) -> bool:
    """Hash a view with gaps, copying 1 MiB at most; give whether that was all of it."""
    if buffer.nbytes <= _WHOLE_BYTES:
        digest.update(buffer.tobytes())
        return True
    rows = max(1, _SAMPLE_BYTES * len(buffer) // buffer.nbytes)
    for start in (0, len(buffer) // 2, len(buffer) - rows):
        digest.update(buffer[start : start + rows].tobytes())
    return False


def _hash(X: Any, digest: Any) -> str:
    try:
        buffers = _buffers(X)
        if buffers is None:
            return "none"
        digest.update(repr([(str(b.dtype), tuple(b.shape)) for b in buffers]).encode())
        covers = "all"
        for buffer in buffers:
            if buffer.dtype.hasobject:
                return "none"
            if not buffer.flags.c_contiguous and buffer.flags.f_contiguous:
                buffer = buffer.T
            if not buffer.flags.c_contiguous:
                covers = "all" if _hash_strided(buffer, digest) and covers == "all" else "sample"
                continue
            view = memoryview(buffer).cast("B") if buffer.nbytes else b""
            if len(view) <= _WHOLE_BYTES:
                digest.update(view)
            else:
                middle = len(view) // 2
                for start in (0, middle, len(view) - _SAMPLE_BYTES):
                    digest.update(view[start : start + _SAMPLE_BYTES])
                covers = "sample"
        return covers
    except (AttributeError, TypeError, ValueError, KeyError, BufferError, NotImplementedError, RuntimeError):
        return "none"
