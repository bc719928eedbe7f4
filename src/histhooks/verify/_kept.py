"""Kept files: each copy in ``<store>.files/`` is what its name says, and each that a run had made is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from histhooks._host.store_location import real_path
from histhooks._store.kept_files import digest_of, elsewhere, folder_of, kept_in, spool_folders

if TYPE_CHECKING:
    from histhooks.verify._report import Report

_HASH = 12


def check_kept(
    wanted: dict[str, str], store: Path, report: Report, progress: Callable[[int, int], None] | None
) -> None:
    """Add what is wrong with the kept files of a store to its report. Reads all of them.

    Parameters
    ----------
    wanted : dict of str to str
        What :func:`histhooks._store.kept_record.wanted` gives.
    store : Path
    report : Report
    progress : callable, optional
        Called with the number of files that are done, and their total.
    """
    folders = [folder_of(real_path(store)), *spool_folders(real_path(store))]
    files = {path.name: path for folder in reversed(folders) for path in kept_in(folder)}
    is_part = any(part["kind"] == "export" for part in report.parts_of)
    never_came = elsewhere(store)
    for number, (sha256, path) in enumerate(sorted(files.items()), start=1):
        try:
            with path.open("rb") as file:
                found = digest_of(file)
                report.kept_bytes += file.tell()
            report.kept_files += 1
            why = None if found == sha256 else f"its SHA-256 is {found[:_HASH]}"
        except OSError as error:
            why = f"it cannot be read ({error.strerror})"
        if why is not None:
            name = wanted.get(sha256, "of a run that is not here")
            report.file_problem(f"the kept copy {path} ({name}) is not what was kept: {why}")
        if progress is not None:
            progress(number, len(files))
    for sha256, name in sorted(wanted.items(), key=lambda pair: pair[1]):
        if sha256 in files:
            continue
        if is_part or sha256 in never_came:
            report.kept_elsewhere += 1
        else:
            report.file_problem(f"missing: the kept copy {sha256[:_HASH]}, {name}, is no longer in {folders[0]}")
