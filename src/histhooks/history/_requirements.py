"""The packages of a run as a requirements file for pip, with a comment wherever an index cannot give the same again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from histhooks._base.secrets import MASK

_COMMIT = re.compile(r"[0-9a-f]{7,64}")


def requirements(packages: Mapping[str, str | None], environment: Mapping[str, Any] | None, run_id: str) -> str:
    """Write the requirements file of a run.

    Parameters
    ----------
    packages : mapping of str to str or None
        Version by name.
    environment : mapping or None
        Its row, with the details as a mapping.
    run_id : str

    Returns
    -------
    str
        Empty if no packages were recorded.
    """
    if not packages:
        return ""
    details = environment["details"] if environment is not None else {}
    origins = details.get("package_origins", {})
    head = [f"# Packages of run {run_id}"]
    if environment is not None:
        head.append(f"# {environment['python']} on {environment['os']}")
    if details.get("is_conda"):
        head.append("# The environment was one of conda, whose packages pip may not find under these versions.")
    lines = [line for name, version in packages.items() for line in _lines(name, version, origins.get(name))]
    return "\n".join([*head, *lines]) + "\n"


def _lines(name: str, version: str | None, origin: Mapping[str, Any] | None) -> Iterator[str]:
    pinned = f"{name}=={version}" if version else name
    if origin is not None:
        yield _from(name, pinned, origin)
    elif not version:
        yield f"# {name}: its version was not recorded"
    else:
        if "+" in version:
            yield f"# {name}: a local version ({version.partition('+')[2]}), from an index that was not recorded"
        yield pinned


def _from(name: str, pinned: str, origin: Mapping[str, Any]) -> str:
    """The line of a package that no index gave."""
    url, commit = origin.get("url"), origin.get("commit")
    if origin.get("folder"):
        return f"# {pinned}: imported from {origin['folder']}, and not installed"
    if not url:
        return f"# {pinned}: where it came from cannot be read"
    if MASK in url:
        return f"# {pinned}: from {url}, whose credentials were not kept"
    below = f"subdirectory={origin['subdirectory']}" if origin.get("subdirectory") else ""
    if origin.get("vcs") and commit and _COMMIT.fullmatch(commit):
        return f"{name} @ {origin['vcs']}+{url}@{commit}" + (f"#{below}" if below else "")
    digest = f"sha256={origin['sha256']}" if origin.get("sha256") else ""
    if not url.startswith(("http://", "https://")):
        how = "editable, " if origin.get("is_editable") else ""
        return f"# {pinned}: installed from {url} ({how}{digest or 'its content was not recorded'})"
    return f"{name} @ {url}" + (f"#{'&'.join(filter(None, [digest, below]))}" if digest or below else "")
