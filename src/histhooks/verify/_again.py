"""What a tombstone says is gone must be gone: a file that was merged carelessly has it again."""

from __future__ import annotations

from histhooks._store.graves import LISTED, Graves, graves_in, has_table, listed, redacted_content
from histhooks._store.tables import COVERED
from histhooks.verify._ledger import LedgerCheck


class AgainCheck:
    """Looks for what tombstones name.

    Parameters
    ----------
    ledger : LedgerCheck
        What checked the lines of the same file.
    """

    def __init__(self, ledger: LedgerCheck) -> None:
        self.ledger = ledger
        self.report = ledger.report

    def run(self) -> None:
        """Check everything."""
        graves = graves_in(self.ledger.connection)
        if graves.deleted:
            self._runs(graves)
        for table, keys in redacted_content(self.ledger.connection, graves).items():
            scope = COVERED[table].scope
            for (key,) in self.ledger.all(
                f"SELECT DISTINCT {scope} FROM {table} WHERE {scope} {LISTED.format('?')}", listed(keys)
            ):
                self.report.problem(f"{table} {key}: it was redacted, and is here again")

    def _runs(self, graves: Graves) -> None:
        ids = listed(graves.deleted)
        sql = f"SELECT id FROM runs WHERE id {LISTED.format('?')} ORDER BY id"
        again = [run_id for (run_id,) in self.ledger.all(sql, ids)]
        for run_id in again:
            self.report.problem(f"run {run_id}: it was deleted, and is here again")
        for table, spec in COVERED.items():
            if spec.kind != "row" or not has_table(self.ledger.connection, "main", table):
                continue
            sql = f"SELECT DISTINCT {spec.scope} FROM {table} WHERE {spec.scope} {LISTED.format('?')} ORDER BY 1"
            for (scope,) in self.ledger.all(sql, ids):
                if scope not in again:
                    again.append(scope)
                    self.report.problem(f"{table} of run {scope}: it was deleted, and is here again")
