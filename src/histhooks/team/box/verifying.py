"""Verify a box from here: all of its files are read and hashed, and its receipts have to fit them."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from histhooks._store.graves import graves_in
from histhooks._store.kept_files import digest_of
from histhooks.errors import StoreError
from histhooks.team.box import clearing, receipts
from histhooks.team.box.address import Box
from histhooks.team.box.drops import drops_in
from histhooks.team.box.files import FILES
from histhooks.team.box.gathering import gather
from histhooks.team.box.places import Gone, Place, place_of
from histhooks.verify import Report, verify


def verify_box(box: Box, *, kept_files: bool = True, **asked: Any) -> Report:
    """Verify a box.

    Parameters
    ----------
    box : Box
    kept_files : bool
        Whether kept files are read and verified too.
    **asked
        As :func:`histhooks.verify.verify` takes it.

    Returns
    -------
    Report

    Raises
    ------
    TeamError, StoreError, QueryError
    """
    place = place_of(box)
    names = place.names()
    if not drops_in(names):
        raise StoreError(f"nothing was pushed to {box.shown} yet: histhooks push --to {box.shown}")
    with tempfile.TemporaryDirectory(prefix="histhooks-") as name:
        folder = Path(name)
        path = folder / "box.db"
        done = gather(place, names, path, folder)
        with closing(sqlite3.connect(path)) as connection:
            sql = "SELECT session_id, seq, digest FROM ledger"
            lines = {(session_id, seq): digest for session_id, seq, digest in connection.execute(sql)}
            found = [*done.faults, *receipts.problems(place, names, lines)]
            if graves_in(connection):
                found += [
                    f"{each}: it still has what was deleted or redacted: `histhooks merge {box.shown} --compact` "
                    "takes it out"
                    for each in clearing.uncleared(place, names, connection, folder)
                ]
        report = verify(path, **{**asked, "kept_files": False})
        report.problems[:0] = found  # first: the rest often follows from them
        report.ok = report.ok and not found
        if kept_files:
            _verify_files(place, names, folder, report)
        return report


def _verify_files(place: Place, names: set[str], folder: Path, report: Report) -> None:
    path = folder / "kept"
    for name in sorted(names):
        if not name.startswith(f"{FILES}/"):
            continue
        try:
            place.fetch(name, path)
        except Gone as error:
            report.file_problem(str(error))
            continue
        with path.open("rb") as file:
            digest = digest_of(file)
        report.kept_files += 1
        report.kept_bytes += path.stat().st_size
        path.unlink()
        if digest != name.rpartition("/")[2]:
            report.file_problem(f"the kept file {name} is not what was kept (SHA-256 {digest[:12]})")
