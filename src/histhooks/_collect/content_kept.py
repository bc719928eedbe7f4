"""Keep data until it is looked at, in some microseconds: a copy of what is small, a reference to what is large.

No value is looked at here, no Dataset is iterated, no library imported and no device asked.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from histhooks._collect.content_blocks import Unreadable, np
from histhooks._collect.data_values import is_frame, is_lazy, is_pandas

_MOST_ROWS_COPIED = 4096  # of a list of lists, or numbers of a list of indices
_MOST_PARTS = 64  # of data that is made of several


@dataclass(slots=True, frozen=True)
class Kept:
    """Data that is kept until it is looked at.

    Attributes
    ----------
    kind : str
        How it is read.
    data : object
        A copy if it was small, else the data itself.
    n_rows : int
    is_copy : bool
    """

    kind: str
    data: Any
    n_rows: int
    is_copy: bool = True


def keep(X: Any, copy_up_to: int) -> Kept:
    """Keep data that has no target of its own.

    Raises
    ------
    Unreadable
        If its values cannot be read in place; with why.
    """
    kind = type(X)
    if kind in (list, tuple):
        return _keep_list(X, copy_up_to)
    numpy = np()
    if isinstance(X, numpy.ndarray):
        return _keep_array("array", X, copy_up_to)
    if is_pandas(X):
        return _keep_pandas(X, copy_up_to)
    package = kind.__module__.partition(".")[0]
    keeper = _KEEPERS.get(package)
    if keeper is not None and not is_lazy(X):
        kept: Kept = keeper(X, copy_up_to)
        return kept
    if kind is dict and X:
        return _beside(list(X.values()), copy_up_to)
    if is_lazy(X):
        raise Unreadable(f"to look at a {kind.__name__} may compute it")
    raise Unreadable(f"values of class {kind.__name__} are not read")


def _keep_array(kind: str, array: Any, copy_up_to: int) -> Kept:
    is_small = array.nbytes <= copy_up_to
    return Kept(kind, array.copy(order="K") if is_small else array, len(array) if array.shape else 0, is_small)


def _keep_list(X: Any, copy_up_to: int) -> Kept:
    n = len(X)
    first = X[0] if n else None
    if type(first) in (list, tuple):
        if n > _MOST_ROWS_COPIED:
            return Kept("list", X[:], n, False)
        return Kept("list", [row[:] if type(row) is list else row for row in X], n)
    if _is_array(first):
        kept = [keep(one, copy_up_to // n) for one in X[:_MOST_PARTS]] if n <= _MOST_PARTS else []
        shapes = {one.data.shape for one in kept if one.kind == "array"}
        if kept and (len(shapes) != 1 or len(next(iter(shapes))) > 1):  # the inputs of a model
            return _beside(X, copy_up_to)
        if type(first) is np().ndarray and all(type(one) is type(first) for one in X):
            return Kept("rows", X[:], n, False)
        raise Unreadable(f"a list of {type(first).__name__}")
    return Kept("list", X[:], n)


def _is_array(thing: Any) -> bool:
    return hasattr(type(thing), "__array__") and hasattr(type(thing), "shape") and bool(thing.shape)


def _beside(parts: Any, copy_up_to: int) -> Kept:
    if len(parts) > _MOST_PARTS:
        raise Unreadable(f"{len(parts)} parts side by side")
    kept = [keep(part, copy_up_to // len(parts)) for part in parts]
    return Kept("beside", kept, kept[0].n_rows, all(one.is_copy for one in kept))


def _keep_pandas(X: Any, copy_up_to: int) -> Kept:
    if not hasattr(type(X), "iloc"):
        if not hasattr(type(X), "to_series"):
            raise Unreadable(f"values of class {type(X).__name__} are not read")
        return Kept("series", X, len(X))  # an Index, which nothing changes
    # The copy has the columns of now, whatever the program adds or renames until it is looked at.
    is_small = X.size * 8 <= copy_up_to
    return Kept("frame" if is_frame(X) else "series", X.copy(deep=is_small), len(X), is_small)


def _keep_polars(X: Any, copy_up_to: int) -> Kept:
    if not hasattr(type(X), "clone"):
        raise Unreadable(f"to look at a {type(X).__name__} may compute it")
    # What the program does to its frame later makes new buffers; these are kept for a moment only if they are small.
    return Kept("polars", X.clone(), len(X), X.estimated_size() <= copy_up_to)


def _keep_arrow(X: Any, copy_up_to: int) -> Kept:
    if not (hasattr(type(X), "num_rows") or hasattr(type(X), "null_count")):
        raise Unreadable(f"values of class {type(X).__name__} are not read")
    return Kept("arrow", X.slice(0), len(X), X.nbytes <= copy_up_to)  # nothing changes its buffers


def _keep_sparse(X: Any, copy_up_to: int) -> Kept:
    if not hasattr(type(X), "tocsr"):
        raise Unreadable(f"values of class {type(X).__name__} are not read")
    is_small = X.format in ("csr", "csc", "coo") and X.nnz * 16 <= copy_up_to
    return Kept("sparse", X.copy() if is_small else X, int(X.shape[0]), is_small)


def _keep_tensor(X: Any, copy_up_to: int) -> Kept:
    torch = sys.modules["torch"]
    if type(X) not in (torch.Tensor, torch.nn.Parameter):
        raise Unreadable(f"values of class {type(X).__name__} are not read")
    if X.device.type != "cpu":
        raise Unreadable(f"a tensor on {X.device.type} is not fetched")
    if X.layout is not torch.strided or X.is_quantized:
        raise Unreadable(f"a tensor of layout {X.layout}")
    if X.dtype is torch.bfloat16:
        return _keep_array("bfloat16", X.detach().view(torch.int16).numpy().view("u2"), copy_up_to)
    return _keep_array("array", X.detach().numpy(), copy_up_to)


def _keep_matrix(X: Any, copy_up_to: int) -> Kept:
    raise Unreadable(f"a {type(X).__name__} is read where it is made")


_KEEPERS: dict[str, Any] = {
    "polars": _keep_polars,
    "pyarrow": _keep_arrow,
    "scipy": _keep_sparse,
    "torch": _keep_tensor,
    "xgboost": _keep_matrix,
}


# --- data sets of PyTorch ---------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Set:
    """A Dataset of PyTorch: its features, its target, and which rows it is of which other Dataset.

    Attributes
    ----------
    X, y : Kept or None
    base : object
        The Dataset that a Subset is of, the Dataset itself if it is none.
    indices : list
        Those of each Subset, the outermost first; empty if there is none.
    why : str
        Why there are no features.
    """

    X: Kept | None
    y: Kept | None
    base: Any
    indices: list[Any]
    why: str


def set_of(X: Any, copy_up_to: int) -> Set | None:
    """A Dataset of PyTorch as what it is made of; None if it is none.

    A Dataset of a class of its own has values only if they lie in ``data`` and ``targets``, as in torchvision. One
    whose values cannot be read is still known by its indices.
    """
    data = sys.modules.get("torch.utils.data")
    if data is None or not isinstance(X, data.Dataset):
        return None
    base: Any = X
    indices: list[Any] = []
    while isinstance(base, data.Subset) and len(indices) < _MOST_PARTS:
        indices.append(base.indices)
        base = base.dataset
    out = Set(None, None, base, indices, f"rows of a {type(base).__name__} are made when they are asked for")
    try:
        out.X, out.y = _values_of_set(data, base, copy_up_to)
    except Unreadable as error:
        out.why = str(error)
    for numbers in reversed(indices):
        out.X, out.y = (None if kept is None else _picked(kept, numbers) for kept in (out.X, out.y))
    return out


def _picked(kept: Kept, indices: Any) -> Kept:
    return Kept("picked", (kept, indices), len(indices), kept.is_copy)


def _values_of_set(data: Any, base: Any, copy_up_to: int) -> tuple[Kept | None, Kept | None]:
    if isinstance(base, data.TensorDataset) and type(base).__getitem__ is data.TensorDataset.__getitem__:
        kept = [_keep_tensor(tensor, copy_up_to // len(base.tensors)) for tensor in base.tensors]
        features = kept[:-1] or kept
        X = features[0] if len(features) == 1 else Kept("beside", features, features[0].n_rows, False)
        return X, kept[-1] if len(kept) > 1 else None
    if isinstance(base, data.ConcatDataset) and type(base).__getitem__ is data.ConcatDataset.__getitem__:
        parts = [set_of(part, copy_up_to // len(base.datasets)) for part in base.datasets[:_MOST_PARTS]]
        Xs = [part.X for part in parts if part is not None and part.X is not None]
        ys = [part.y for part in parts if part is not None and part.y is not None]
        if len(Xs) == len(base.datasets):
            return _stacked(Xs), _stacked(ys) if len(ys) == len(Xs) else None
        return None, None
    fields = getattr(base, "__dict__", {})
    values, targets = fields.get("data"), fields.get("targets", fields.get("labels"))
    if _is_array(values):
        return keep(values, copy_up_to), None if targets is None else keep(targets, copy_up_to)
    return None, None


def _stacked(parts: list[Kept]) -> Kept:
    n = sum(part.n_rows for part in parts)
    return Kept("stacked", parts, n, all(part.is_copy for part in parts))


@dataclass(slots=True)
class Index:
    """What names the rows of data whose values lie elsewhere.

    Attributes
    ----------
    n_rows : int
    why : str
        What is not known.
    """

    n_rows: int
    why: str
    _what: Any
    _root: str = ""

    def words(self) -> list[str]:
        """The names: the fingerprint of a Dataset of Hugging Face, or files with their classes."""
        if isinstance(self._what, str):
            return [self._what]
        return [f"{str(path).removeprefix(self._root)} {label}" for path, label in self._what]


def index_of(X: Any) -> Index | None:
    """The names of the rows of data that has no values at hand; None if it has no names."""
    fields = getattr(X, "__dict__", None)
    if not isinstance(fields, dict):
        return None
    while isinstance(fields.get("indices"), (list, tuple)) and hasattr(fields.get("dataset"), "__dict__"):
        fields = vars(fields["dataset"])  # a Subset
    # Both are private to Hugging Face's datasets, and there in 5.2.
    fingerprint, samples = fields.get("_fingerprint"), fields.get("samples")
    if isinstance(fingerprint, str) and "_data" in fields:
        return Index(len(X), "the fingerprint of its library, not its values", fingerprint)
    if type(samples) is list and samples and type(samples[0]) is tuple and len(samples[0]) == 2:
        return Index(len(X), "names of files, not their content", samples, str(fields.get("root", "")))
    return None
