"""Write a lock file of the packages of a run, in the form of PEP 751, with where pip finds each and its hash now.

The hashes of installed packages are not known, so the index is asked for the files of the recorded versions: pip
resolves the requirements without installing anything, and reports what it would fetch
(https://pip.pypa.io/en/stable/reference/installation-report/).
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from histhooks.errors import ReproduceError

_TIMEOUT_S = 600
_PIP = (
    "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet", "--no-input",
    "--disable-pip-version-check",
)  # fmt: skip


def lock(requirements: Path, python: str) -> Path:
    """Write `pylock.toml` beside a list of requirements.

    Parameters
    ----------
    requirements : Path
        A requirements file for pip.
    python : str
        The interpreter that the packages are for; it must have pip 22.2 or newer.

    Returns
    -------
    Path

    Raises
    ------
    ReproduceError
        If pip does not find one of the packages, or cannot be run.
    """
    with tempfile.TemporaryDirectory(prefix="histhooks-") as scratch:
        report = Path(scratch) / "report.json"
        command = [python, *_PIP, "--report", str(report), "-r", str(requirements)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
        except (OSError, subprocess.SubprocessError) as error:
            raise ReproduceError(f"{python} cannot run pip: {error}") from error
        if done.returncode or not report.is_file():
            lines = [line for line in done.stderr.splitlines() if line.strip()] or ["it wrote no report"]
            raise ReproduceError(f"pip does not find all packages, so no lock file was written: {lines[-1].strip()}")
        found = json.loads(report.read_text(encoding="utf-8"))
    target = requirements.with_name("pylock.toml")
    target.write_text("\n".join(_lines(found)) + "\n", encoding="utf-8")
    return target


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    python = report["environment"]["python_version"]
    yield 'lock-version = "1.0"'
    yield 'created-by = "histhooks"'
    yield f"requires-python = {_text(f'=={python}.*')}"
    for each in sorted(report["install"], key=lambda each: _name(each["metadata"]["name"])):
        yield ""
        yield "[[packages]]"
        yield f"name = {_text(_name(each['metadata']['name']))}"
        yield f"version = {_text(each['metadata']['version'])}"
        yield from _source(each["download_info"], is_direct=each.get("is_direct", False))


def _source(info: Mapping[str, Any], *, is_direct: bool) -> Iterator[str]:
    """The table that says where a package comes from."""
    parts = urlsplit(info["url"])
    url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))  # without credentials
    if "vcs_info" in info:
        vcs = info["vcs_info"]
        yield f"vcs = {{ type = {_text(vcs['vcs'])}, url = {_text(url)}, commit-id = {_text(vcs['commit_id'])} }}"
        return
    hashes = info.get("archive_info", {}).get("hashes", {})
    told = ", ".join(f"{_text(kind)} = {_text(value)}" for kind, value in sorted(hashes.items()))
    fields = f"{{ url = {_text(url)}, hashes = {{ {told} }} }}"
    if is_direct:
        yield f"archive = {fields}"
    elif parts.path.endswith(".whl"):
        yield f"wheels = [{fields}]"
    else:
        yield f"sdist = {fields}"


def _name(name: str) -> str:
    """As names of packages are compared (https://packaging.python.org/en/latest/specifications/name-normalization)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _text(value: str) -> str:
    return json.dumps(value)  # whose strings are those of TOML
