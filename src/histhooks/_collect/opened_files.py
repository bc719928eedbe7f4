"""Which files that a program opens are its data, and which function opened each: told by the path and by the frames.

A file is opened for the program where the nearest code that is not of the standard library is the program's own, or
where a reader of a library stands between, such as ``pandas.read_csv``. What a library opens for itself (its settings,
its caches, its locks) is not data: it counts only where it lies neither in a hidden folder, nor in one of the system,
nor in one of temporary files.
"""

from __future__ import annotations

import os
import sys
from types import FrameType
from typing import NamedTuple

_STDLIB = os.path.dirname(os.__file__) + os.sep
_INSTALLED = ("site-packages" + os.sep, "dist-packages" + os.sep)
# What Python itself reads.
CODE = (".py", ".pyc", ".pyi", ".pyd", ".so", ".pth", ".egg-link", ".dll", ".ipynb")
SYSTEM = ("/proc/", "/dev/", "/sys/", _STDLIB)
_OF_LIBRARIES = ("/usr/", "/etc/", "/lib/", "/lib64/", "/opt/", "/run/", "/var/lib/", "/var/run/", "/snap/")
_OF_TRACKERS = tuple(f"{os.sep}{name}{os.sep}" for name in ("mlruns", "wandb", "lightning_logs"))
_WORKERS = "joblib_memmapping_folder"  # what joblib hands to its workers

_PANDAS = "csv table fwf json excel pickle feather parquet orc stata sas spss xml html hdf".split()
_NUMPY = "load loadtxt genfromtxt fromregex".split()
# Package and qualified name of a function -> what the program calls it.
READERS = {
    **{("pandas", f"read_{kind}"): f"pandas.read_{kind}" for kind in _PANDAS},
    **{("numpy", name): f"numpy.{name}" for name in _NUMPY},
    ("pandas", "ExcelFile.__init__"): "pandas.ExcelFile",
    ("numpy", "memmap.__new__"): "numpy.memmap",
    ("scipy", "loadmat"): "scipy.io.loadmat",
    ("scipy", "mmread"): "scipy.io.mmread",
    ("scipy", "load_npz"): "scipy.sparse.load_npz",
    ("joblib", "load"): "joblib.load",
    ("torch", "load"): "torch.load",
    ("keras", "load_model"): "keras.load_model",
    ("keras", "load_weights"): "keras.load_weights",
    ("keras", "Model.load_weights"): "keras.Model.load_weights",
    ("sklearn", "load_svmlight_file"): "sklearn.datasets.load_svmlight_file",
    ("sklearn", "load_svmlight_files"): "sklearn.datasets.load_svmlight_files",
    ("sklearn", "load_files"): "sklearn.datasets.load_files",
    ("polars", "read_excel"): "polars.read_excel",
    ("safetensors", "load_model"): "safetensors.torch.load_model",
    ("PIL", "open"): "PIL.Image.open",
    ("imageio", "imread"): "imageio.imread",
}
WRITERS = {
    ("pandas", "NDFrame.to_csv"), ("pandas", "NDFrame.to_json"), ("pandas", "NDFrame.to_pickle"),
    ("pandas", "NDFrame.to_excel"), ("pandas", "DataFrame.to_feather"), ("pandas", "DataFrame.to_parquet"),
    ("pandas", "DataFrame.to_stata"), ("pandas", "DataFrame.to_xml"), ("pandas", "DataFrame.to_html"),
    ("numpy", "save"), ("numpy", "savez"), ("numpy", "savez_compressed"), ("numpy", "savetxt"),
    ("scipy", "savemat"), ("scipy", "save_npz"), ("joblib", "dump"), ("sklearn", "dump_svmlight_file"),
    ("matplotlib", "Figure.savefig"), ("PIL", "Image.save"), ("keras", "save_model"), ("keras", "save_weights"),
    ("torch", "save"),
}  # fmt: skip


class Opener(NamedTuple):
    """Who opened a file.

    Attributes
    ----------
    function : str or None
        The reader as the program calls it; None if none is known.
    location : str or None
        `file:line` of the program; None if no code of it is among the frames.
    is_of_program : bool
        Whether the program's own code opened it, with nothing but the standard library between.
    is_writer : bool
        Whether a function stands between that writes files for programs.
    """

    function: str | None
    location: str | None
    is_of_program: bool
    is_writer: bool


def opener(frame: FrameType | None) -> Opener | None:
    """Who opened a file, from the innermost frame outwards; None if histhooks did.

    Frames beyond the nearest one of the program are not looked at.
    """
    function, nearest, is_writer = None, "", False
    while frame is not None:
        code = frame.f_code
        package, kind = _whose(frame)
        if kind == "ours" and not nearest:
            return None
        if kind == "program":
            return Opener(function, _place(frame), not nearest, is_writer)
        if kind == "package":
            nearest = package
            function = READERS.get((package, code.co_qualname), function)  # the outermost
            is_writer = is_writer or (package, code.co_qualname) in WRITERS
        frame = frame.f_back
    return Opener(function, None, False, is_writer)


def is_apart(path: str) -> bool:
    """Whether a file that a library opened without a reader is the library's own business."""
    if path.startswith(_OF_LIBRARIES) or f"{os.sep}." in path or any(name in path for name in _OF_TRACKERS):
        return True
    # As `tempfile` looks for them, which brings in `random`.
    folders = (os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    return path.startswith(tuple(f"{folder.rstrip(os.sep)}{os.sep}" for folder in (*folders, "/tmp") if folder))


def is_hidden(path: str) -> bool:
    """Whether a file is hidden by its name, as one that holds secrets often is (`.env`, `.netrc`)."""
    return os.path.basename(path).startswith(".")


def is_installed(path: str) -> bool:
    """Whether a file came with a package, or goes between a program and its workers."""
    return any(name in path for name in _INSTALLED) or _WORKERS in path


def calling(frame: FrameType | None) -> FrameType | None:
    """The frame of the function that a hook of histhooks stands in front of."""
    while frame is not None and _whose(frame)[1] in ("ours", "stdlib"):
        frame = frame.f_back
    return frame


def _whose(frame: FrameType) -> tuple[str, str]:
    """The package of a frame, and whether it is `ours`, of the `stdlib`, of a `package`, or of the `program`."""
    facts = frame.f_globals
    name = facts.get("__name__")
    package = name.partition(".")[0] if type(name) is str else ""
    if package == "histhooks":
        return package, "ours"
    file = frame.f_code.co_filename
    if file[:1] == "<":  # made while the program runs
        own = facts.get("__file__")
        file = own if type(own) is str else file
        if file.startswith("<frozen") or (file[:1] == "<" and package in sys.stdlib_module_names):
            return package, "stdlib"
    if any(name in file for name in _INSTALLED):
        return package, "package"
    return package, "stdlib" if file.startswith(_STDLIB) else "program"


def _place(frame: FrameType) -> str:
    file = frame.f_code.co_filename
    if os.path.isabs(file):
        try:
            file = file.removeprefix(os.getcwd().rstrip(os.sep) + os.sep)
        except OSError:  # the working folder is gone
            pass
    return f"{file}:{frame.f_lineno}"
