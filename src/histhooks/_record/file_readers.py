"""The functions of libraries that open files in C, where no audit hook sees it: their paths are taken from the call.

Found by experiment with pandas 3.1, Polars 2.1, PyArrow 26, XGBoost 3.2, safetensors 0.8, h5py 3.16, torch 2.13: what
pandas, NumPy, joblib, `torch.load` and the `.keras` files of Keras open, Python opens, so that they need no hook here.
`pandas.read_parquet` comes through PyArrow, `pandas.read_hdf` through PyTables, and `.weights.h5` through h5py.
`DataFrame.to_parquet` gives PyArrow a file that it has opened in C, so it has a hook of its own.

Not seen: ``safetensors.safe_open``, a class of Rust, called by the program itself; ``torch.from_file``,
``pyarrow.memory_map``, ``cv2.imread`` and what else is C that nothing here names. ``numpy.fromfile`` is recorded as
`open`, which is all that Python sees of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from histhooks._hooks.fronts import run_watched
from histhooks._hooks.imports import no_longer, when_imported
from histhooks._hooks.patching import Patches

_patches = Patches()


class Notes(NamedTuple):
    """What is called before a library opens files.

    Attributes
    ----------
    read : callable
        Takes what a reader was given, and what the program calls the reader.
    written : callable
        Takes what a writer was given.
    """

    read: Callable[[Any, str], None]
    written: Callable[[Any], None]


# Module -> functions in it, each with the param that names what it reads and with what the program calls it.
_READING: dict[str, tuple[tuple[str, str, str], ...]] = {
    "pyarrow.parquet.core": (
        ("read_table", "source", "pyarrow.parquet.read_table"),
        ("ParquetFile.__init__", "source", "pyarrow.parquet.ParquetFile"),
        ("ParquetDataset.__init__", "path_or_paths", "pyarrow.parquet.ParquetDataset"),
    ),
    "pyarrow.feather": (
        ("read_table", "source", "pyarrow.feather.read_table"),
        ("read_feather", "source", "pyarrow.feather.read_feather"),
    ),
    "pyarrow.dataset": (("dataset", "source", "pyarrow.dataset.dataset"),),
    "pyarrow._csv": (("read_csv", "input_file", "pyarrow.csv.read_csv"),),
    "polars.io.csv.functions": (
        ("read_csv", "source", "polars.read_csv"),
        ("scan_csv", "source", "polars.scan_csv"),
    ),
    "polars.io.parquet.functions": (
        ("read_parquet", "source", "polars.read_parquet"),
        ("scan_parquet", "source", "polars.scan_parquet"),
    ),
    "polars.io.ipc.functions": (
        ("read_ipc", "source", "polars.read_ipc"),
        ("scan_ipc", "source", "polars.scan_ipc"),
        ("read_ipc_stream", "source", "polars.read_ipc_stream"),
    ),
    "polars.io.ndjson": (
        ("read_ndjson", "source", "polars.read_ndjson"),
        ("scan_ndjson", "source", "polars.scan_ndjson"),
    ),
    "polars.io.json.read": (("read_json", "source", "polars.read_json"),),
    "polars.io.avro": (("read_avro", "source", "polars.read_avro"),),
    "polars.io.spreadsheet.functions": (
        ("read_excel", "source", "polars.read_excel"),
        ("read_ods", "source", "polars.read_ods"),
    ),
    "xgboost.core": (
        ("DMatrix.__init__", "data", "xgboost.DMatrix"),
        ("Booster.load_model", "fname", "xgboost.Booster.load_model"),
    ),
    "safetensors.torch": (("load_file", "filename", "safetensors.torch.load_file"),),
    "safetensors.numpy": (("load_file", "filename", "safetensors.numpy.load_file"),),
    "h5py._hl.files": (("File.__init__", "name", "h5py.File"),),
    "tables.file": (("open_file", "filename", "tables.open_file"),),
    "torch.jit._serialization": (("load", "f", "torch.jit.load"),),
}
# The same of what is written.
_WRITING: dict[str, tuple[tuple[str, str], ...]] = {
    "pandas.core.frame": (("DataFrame.to_parquet", "path"),),
    "pyarrow.parquet.core": (("write_table", "where"), ("ParquetWriter.__init__", "where")),
    "polars.dataframe.frame": (
        ("DataFrame.write_csv", "file"),
        ("DataFrame.write_parquet", "file"),
        ("DataFrame.write_ipc", "file"),
        ("DataFrame.write_ndjson", "file"),
        ("DataFrame.write_json", "file"),
    ),
    "safetensors.torch": (("save_file", "filename"),),
    "safetensors.numpy": (("save_file", "filename"),),
}
_WITH_MODE = ("h5py.File", "tables.open_file")  # whose next param says whether they read or write


def _given(args: tuple[Any, ...], kwargs: dict[str, Any], place: int, name: str) -> Any:
    return args[place] if len(args) > place else kwargs.get(name)


def _reading(notes: Notes, place: int, name: str, title: str) -> Callable[..., Iterator[None]]:
    def watch(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
        source = _given(args, kwargs, place, name)
        if title == "xgboost.DMatrix" and isinstance(source, str):
            source = source.partition("#")[0].partition("?")[0]  # a format and a cache may follow
        if title in _WITH_MODE and str(_given(args, kwargs, place + 1, "mode") or "r")[:1] not in "ra":
            notes.written(source)
        else:
            notes.read(source, title)
        yield

    return watch


def _writing(notes: Notes, place: int, name: str) -> Callable[..., Iterator[None]]:
    def watch(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
        notes.written(_given(args, kwargs, place, name))
        yield

    return watch


def _around(watch: Callable[..., Iterator[None]]) -> Callable[..., Any]:
    """The same for a function that is written in C, which no front can run."""

    def around(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return run_watched(watch, original, args, kwargs)

    return around


def _installer(notes: Notes, name: str) -> Callable[[ModuleType], None]:
    def put(module: ModuleType, path: str, place: int, watch: Callable[..., Iterator[None]]) -> None:
        holder, _, function = path.rpartition(".")
        owner = vars(module).get(holder) if holder else module
        found = None if owner is None else vars(owner).get(function)
        if isinstance(found, FunctionType):
            _patches.wrap(owner, function, watch)
        elif callable(found):
            _patches.wrap(owner, function, _around(watch), of_any_kind=True)

    def install(module: ModuleType) -> None:
        for path, param, title in _READING.get(name, ()):
            place = 1 if "." in path else 0
            put(module, path, place, _reading(notes, place, param, title))
        for path, param in _WRITING.get(name, ()):
            # Where it is in the call: after `self`, the table or the tensors.
            put(module, path, 1, _writing(notes, 1, param))

    return install


def install(notes: Notes) -> None:
    """Put the hooks in, each once the program has imported the library."""
    if not _patches:
        for name in {**_READING, **_WRITING}:
            when_imported(name, _installer(notes, name))


def uninstall() -> None:
    """Put everything back, by identity."""
    for name in {**_READING, **_WRITING}:
        no_longer(name)
    _patches.undo()
