"""Readers of pandas, Polars, PyArrow and others are recorded under their own names, wherever they open their files."""

from __future__ import annotations

import importlib
import inspect
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

import histhooks
from helpers.programs import record
from histhooks._record.file_readers import _READING, _WRITING
from histhooks.testing import query, run_program

# Package, what makes the file `x`, what reads it, and the function that the record names.
CASES = (
    ("pandas", "frame.to_csv('x')", "pandas.read_csv('x')", "pandas.read_csv"),
    ("pandas", "frame.to_csv('x')", "pandas.read_csv('x', engine='python')", "pandas.read_csv"),
    ("pyarrow", "frame.to_csv('x')", "pandas.read_csv('x', engine='pyarrow')", "pandas.read_csv"),
    ("pandas", "frame.to_csv('x', sep='\\t')", "pandas.read_table('x')", "pandas.read_table"),
    ("pandas", "frame.to_pickle('x')", "pandas.read_pickle('x')", "pandas.read_pickle"),
    ("pandas", "frame.to_json('x')", "pandas.read_json('x')", "pandas.read_json"),
    ("pyarrow", "frame.to_parquet('x')", "pandas.read_parquet('x')", "pandas.read_parquet"),
    ("pyarrow", "frame.to_feather('x')", "pandas.read_feather('x')", "pandas.read_feather"),
    ("pyarrow", "frame.to_parquet('x')", "pyarrow.parquet.read_table('x')", "pyarrow.parquet.read_table"),
    ("pyarrow", "frame.to_parquet('x')", "pyarrow.parquet.ParquetFile('x').read()", "pyarrow.parquet.ParquetFile"),
    ("pyarrow", "frame.to_parquet('x')", "pyarrow.dataset.dataset('x').to_table()", "pyarrow.dataset.dataset"),
    ("pyarrow", "frame.to_csv('x')", "pyarrow.csv.read_csv('x')", "pyarrow.csv.read_csv"),
    ("pyarrow", "frame.to_feather('x')", "pyarrow.feather.read_feather('x')", "pyarrow.feather.read_feather"),
    ("polars", "frame.to_csv('x')", "polars.read_csv('x')", "polars.read_csv"),
    ("polars", "frame.to_csv('x')", "polars.scan_csv(pathlib.Path('x')).collect()", "polars.scan_csv"),
    ("polars", "polars.DataFrame({'a': [1]}).write_parquet('x')", "polars.read_parquet('x')", "polars.read_parquet"),
    ("polars", "polars.DataFrame({'a': [1]}).write_parquet('x')", "polars.scan_parquet(['x'])", "polars.scan_parquet"),
    ("polars", "polars.DataFrame({'a': [1]}).write_ipc('x')", "polars.read_ipc(source='x')", "polars.read_ipc"),
    ("polars", "polars.DataFrame({'a': [1]}).write_ndjson('x')", "polars.read_ndjson('x')", "polars.read_ndjson"),
    ("polars", "polars.DataFrame({'a': [1]}).write_json('x')", "polars.read_json('x')", "polars.read_json"),
    ("numpy", "numpy.save('x.npy', array)", "numpy.load('x.npy')", "numpy.load"),
    ("numpy", "numpy.save('x.npy', array)", "numpy.load('x.npy', mmap_mode='r')", "numpy.load"),
    ("numpy", "numpy.savez('x.npz', array)", "dict(numpy.load('x.npz'))", "numpy.load"),
    ("numpy", "numpy.savetxt('x', array)", "numpy.loadtxt('x')", "numpy.loadtxt"),
    ("numpy", "numpy.savetxt('x', array)", "numpy.genfromtxt('x')", "numpy.genfromtxt"),
    ("numpy", "array.tofile('x')", "numpy.memmap('x', float, 'r')", "numpy.memmap"),
    ("numpy", "array.tofile('x')", "numpy.fromfile('x')", "open"),
    ("joblib", "joblib.dump(array, 'x')", "joblib.load('x')", "joblib.load"),
    ("sklearn", "sklearn.datasets.dump_svmlight_file(array, array[:, 0], 'x')",
     "sklearn.datasets.load_svmlight_file('x')", "sklearn.datasets.load_svmlight_file"),
    ("torch", "torch.save(torch.ones(3), 'x')", "torch.load('x')", "torch.load"),
    ("safetensors", "safetensors.torch.save_file({'a': torch.ones(3)}, 'x')", "safetensors.torch.load_file('x')",
     "safetensors.torch.load_file"),
    ("safetensors", "safetensors.numpy.save_file({'a': array}, 'x')", "safetensors.numpy.load_file('x')",
     "safetensors.numpy.load_file"),
    ("xgboost", "model.save_model('x.json')", "xgboost.Booster().load_model('x.json')", "xgboost.Booster.load_model"),
    ("xgboost", "model.save_model('x.json')", "xgboost.XGBRegressor().load_model('x.json')",
     "xgboost.Booster.load_model"),
    ("xgboost", "xgboost.DMatrix(array).save_binary('x')", "xgboost.DMatrix('x')", "xgboost.DMatrix"),
    ("h5py", "h5py.File('x.h5', 'w').close()", "h5py.File('x.h5')", "h5py.File"),
    ("keras", "network.save('x.keras')", "keras.models.load_model('x.keras')", "keras.load_model"),
    ("keras", "network.save('x.h5')", "keras.models.load_model('x.h5')", "keras.load_model"),
    ("keras", "network.save_weights('x.weights.h5')", "network.load_weights('x.weights.h5')",
     "keras.Model.load_weights"),
)  # fmt: skip
_IMPORTS = {
    "pandas": "import pandas", "numpy": "import numpy", "joblib": "import joblib", "torch": "import torch",
    "pyarrow": "import pandas, pyarrow.parquet, pyarrow.dataset, pyarrow.csv, pyarrow.feather",
    "polars": "import pandas, polars", "sklearn": "import sklearn.datasets", "xgboost": "import xgboost",
    "safetensors": "import torch, safetensors.torch, safetensors.numpy", "h5py": "import h5py", "keras": "import keras",
}  # fmt: skip
_SETUP = {
    "xgboost": "model = xgboost.train({}, xgboost.DMatrix(array, array[:, 0]), 1)",
    "keras": "network = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])",
}
# An end waits for half a second, which a busy machine may need for less.
_HASHED = """
histhooks.flush()
import threading, time
while any(thread.name == "histhooks-files" for thread in threading.enumerate()):
    time.sleep(0.01)
"""
_MADE = "SELECT DISTINCT path FROM run_artifacts WHERE direction = 'out'"


def program(package: str) -> str:
    """Make files and read each in a folder of its own; print what came of it."""
    lines = ["import os, pathlib, numpy", _IMPORTS[package], "array = numpy.arange(30.0).reshape(10, 3)"]
    if "pandas" in _IMPORTS[package]:
        lines.append("frame = pandas.DataFrame(array, columns=list('abc'))")
    lines.append(_SETUP.get(package, ""))
    for number, (_, make, read, _) in enumerate(case for case in CASES if case[0] == package):
        lines += [f"os.makedirs('{number}'); os.chdir('{number}')", make, f"print({read!r}, repr({read})[:500])"]
        lines.append("os.chdir('..')")
    return "\n".join(lines)


def _shown(out: str) -> str:
    return "\n".join(line.partition(" at 0x")[0] for line in out.splitlines())


@pytest.mark.parametrize("package", sorted(_IMPORTS))
def test_each_reader_gives_what_it_gave_and_is_recorded_by_its_name(
    package: str, store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(package)
    cases = [case for case in CASES if case[0] == package]
    for folder in ("plain", "recorded"):
        (store_path.parent / folder).mkdir()
    start = f"import os\nos.chdir({str(store_path.parent)!r} + '/plain')\n"
    code, plain, err = run_program(start + program(package), store_path)
    assert code == 0, err
    hooks = "import histhooks\nhisthooks.autolog()\n"
    out = record(store_path, start.replace("plain", "recorded") + hooks + "with histhooks.start_run('a'): pass\n"
                 + "run = histhooks.start_run('b').__enter__()\n" + program(package) + _HASHED)  # fmt: skip
    assert _shown(out) == _shown(plain)
    rows = query(store_path, "SELECT path, function, sha256 FROM file_reads ORDER BY time, ordinal")
    found = {(Path(str(path)).parent.name, function) for path, function, sha256 in rows if sha256}
    assert found >= {(str(number), function) for number, (*_, function) in enumerate(cases)}
    beside = {f"{number}" for number, (*_, function) in enumerate(cases) if function == "pyarrow.dataset.dataset"}
    assert {number for number, _ in found} == {str(number) for number in range(len(cases))} | beside
    assert len(rows) == len(cases)


def test_files_that_writers_in_c_make_are_artifacts(store_path: Path) -> None:
    for package in ("pandas", "pyarrow", "polars", "safetensors"):
        pytest.importorskip(package)
    record(
        store_path,
        """
import histhooks
histhooks.autolog()
import numpy, pandas, polars, pyarrow.parquet, safetensors.numpy
frame = pandas.DataFrame({"a": [1]})
with histhooks.start_run("a"):
    frame.to_parquet("pandas.parquet")
    frame.to_csv("pandas.csv")
    polars.DataFrame(frame.to_dict("list")).write_parquet("polars.parquet")
    polars.DataFrame(frame.to_dict("list")).write_csv("polars.csv")
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), "arrow.parquet")
    safetensors.numpy.save_file({"a": numpy.ones(3)}, "a.safetensors")
""",
    )
    assert sorted(os.path.basename(str(path)) for (path,) in query(store_path, _MADE)) == [
        "a.safetensors", "arrow.parquet", "pandas.csv", "pandas.parquet", "polars.csv", "polars.parquet",
    ]  # fmt: skip


def test_folders_patterns_and_addresses_are_recorded_by_name(store_path: Path) -> None:
    for package in ("pandas", "pyarrow", "polars"):
        pytest.importorskip(package)
    record(
        store_path,
        """
import io, os
import histhooks
histhooks.autolog()
import pandas, polars
frame = pandas.DataFrame({"a": [1], "key": ["u"]})
frame.to_parquet("folder", partition_cols=["key"])
with histhooks.start_run("a"):
    pandas.read_parquet("folder")
    polars.scan_parquet("folder/*/*.parquet")
    polars.scan_csv("s3://name:geheim42@bucket/data.csv")
    pandas.read_csv(io.StringIO("a,b"))
    polars.read_csv(b"a,b")
    try:
        pandas.read_csv("http://name:geheim42@127.0.0.1:9/data.csv")
    except OSError:
        pass
""",
    )
    rows = query(store_path, "SELECT path, sha256, size_bytes, function FROM file_reads ORDER BY ordinal")
    named = [(str(path).removeprefix(f"{store_path.parent}/"), *rest) for path, *rest in rows]
    assert named == [
        ("folder", None, None, "pandas.read_parquet"),
        ("folder/*/*.parquet", None, None, "polars.scan_parquet"),
        ("s3://[masked]@bucket/data.csv", None, None, "polars.scan_csv"),
        ("http://[masked]@127.0.0.1:9/data.csv", None, None, "pandas.read_csv"),
    ]
    assert b"geheim42" not in store_path.read_bytes()


def _functions() -> list[tuple[str, str]]:
    found = [(module, path) for module, entries in _READING.items() for path, *_ in entries]
    return found + [(module, path) for module, entries in _WRITING.items() for path, *_ in entries]


def _seen(function: Any) -> tuple[Any, ...]:
    """What a program can see of a function."""
    names = ("__name__", "__qualname__", "__module__", "__doc__", "__defaults__", "__kwdefaults__", "__annotations__")
    return (str(inspect.signature(function)), *(getattr(function, name, None) for name in names))


@pytest.mark.parametrize(("module", "path"), _functions())
def test_the_functions_stay_what_they_are(module: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    holder: Any = pytest.importorskip(module, exc_type=ImportError)
    *outer, name = path.split(".")
    for each in outer:
        holder = getattr(holder, each)
    before, shown = vars(holder)[name], _seen(vars(holder)[name])  # a name that has moved fails here
    is_plain = inspect.isfunction(before)
    histhooks.autolog()
    during = vars(holder)[name]
    assert _seen(during) == shown
    if is_plain:
        assert during is before
    if not outer:
        assert pickle.loads(pickle.dumps(during)) is during
    histhooks.disable()
    assert vars(holder)[name] is before
    assert _seen(before) == shown
    assert importlib.import_module(module) is not None


def test_what_a_loop_of_pytorch_reads_and_writes_is_the_loops(store_path: Path) -> None:
    pytest.importorskip("torch")
    (store_path.parent / "data.csv").write_text("1")
    record(
        store_path,
        f"""
import os
os.chdir({str(store_path.parent)!r})
import histhooks
histhooks.autolog()
import torch
model = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    model(torch.ones(4, 2)).sum().backward()
    optimizer.step()
    open("data.csv").close()
with open("losses.txt", "w") as file: file.write("0.1")
""",
    )
    rows = query(store_path, "SELECT r.kind, f.path FROM file_reads AS f JOIN runs AS r ON r.id = f.run_id")
    assert [(kind, os.path.basename(str(path))) for kind, path in rows] == [("loop", "data.csv")]
    assert [os.path.basename(str(path)) for (path,) in query(store_path, _MADE)] == ["losses.txt"]
